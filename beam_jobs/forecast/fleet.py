"""The search for neighbours, played on workers that are lost and not equally fast."""

from __future__ import annotations

from collections.abc import Sequence

from beam_jobs.forecast.work import Whole
from mining.forecast import Fleet, Grid, Line, Simulation, play, undisturbed

_PLAYS = 3
_ID = 34.0  # bytes of an id beside its vector, as in a Parquet file without its dictionary


def simulated(whole: Whole, lines: Sequence[Line], fleet: Fleet) -> Simulation:
    """Play the search.

    Args:
        whole: the run that is forecast.
        lines: its stages: a task's seconds are shared out over its tiles by their products.
        fleet: the workers.

    Raises:
        ConfigError: if it cannot be played.
    """
    searched = {line.subject: line for line in lines if line.stage == "knn"}
    grids = [
        Grid(
            rows=pool.row_blocks,
            columns=pool.column_blocks,
            tile_s=(searched[task.task].wall_s or 0.0)
            * (pool.rows * pool.columns / task.similarities)
            / (pool.row_blocks * pool.column_blocks),
            row_bytes=pool.rows / pool.row_blocks * (2.0 * task.dim + _ID),
            column_bytes=pool.columns / pool.column_blocks * (2.0 * task.dim + _ID),
        )
        for task in whole.tasks.values()
        for pool in task.pools
    ]
    return Simulation(
        fleet=fleet,
        plays=tuple(play(grids, fleet, seed=seed) for seed in range(_PLAYS)),
        undisturbed_s=undisturbed(grids, fleet.workers),
    )
