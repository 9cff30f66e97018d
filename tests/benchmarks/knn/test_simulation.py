"""A played search against a real one: two processes, tiles handed out one by one, one process killed."""

from __future__ import annotations

import multiprocessing as mp
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import numpy as np
import pytest

from mining.contract.vectors import to_stored
from mining.forecast import Fleet, Grid, play
from mining.knn import search_arrays

pytestmark = pytest.mark.benchmark
ROWS, BLOCKS, DIM, KILL_EVERY_S = 4096, 16, 256, 8.0


def block(number: int) -> np.ndarray:
    return to_stored(np.random.default_rng(number).standard_normal((ROWS, DIM), np.float32))[0]


def work(tiles: Connection) -> None:
    """A worker: asks for a tile, searches it, says how long that took."""
    blocks = [block(number) for number in range(2 * BLOCKS)]
    search_arrays(blocks[0][:64], blocks[1][:64], 4, backend="exact", threads=1)
    tiles.send(None)
    while True:
        row, column = tiles.recv()
        start = time.monotonic()
        search_arrays(blocks[row], blocks[BLOCKS + column], 4, backend="exact", threads=1)
        tiles.send(time.monotonic() - start)


class Real:
    """Two processes and the tiles that are left."""

    def __init__(self) -> None:
        self._spawn = mp.get_context("spawn")
        self.left = [(row, column) for column in range(BLOCKS) for row in range(BLOCKS)][::-1]
        self.at: dict[Connection, tuple[int, int] | None] = {}
        self.process: dict[Connection, BaseProcess] = {}
        self.durations: list[float] = []
        self.lost, self.restarts = 0, []

    def start(self) -> None:
        mine, its = self._spawn.Pipe()
        process = self._spawn.Process(target=work, args=(its,), daemon=True)
        process.start()
        self.process[mine], self.at[mine] = process, None

    def kill_one(self) -> None:
        """The one that began its tile last, with -9; another takes its place, as ``begun`` then says."""
        victim = next(iter(self.process))
        self.process.pop(victim).kill()
        if (tile := self.at.pop(victim)) is not None:
            self.left.append(tile)
            self.lost += 1
        self.restarts.append(-time.monotonic())
        self.start()

    def run(self, kills: int) -> float:
        """Seconds from the first tile to the last."""
        for _ in range(2):
            self.start()
        for connection in self.process:
            connection.recv()
        begun = time.monotonic()
        for connection in self.process:
            self.hand_out(connection)
        while any(tile is not None for tile in self.at.values()) or self.left:
            if kills and time.monotonic() - begun > KILL_EVERY_S * (len(self.restarts) + 1):
                self.kill_one()
                kills -= 1
            for connection in wait(list(self.process), timeout=0.2):
                said = connection.recv()
                if said is None:  # a new process
                    self.restarts[-1] += time.monotonic()
                else:
                    self.durations.append(said)
                self.at[connection] = None
                self.hand_out(connection)
        seconds = time.monotonic() - begun
        for process in self.process.values():
            process.kill()
        return seconds

    def hand_out(self, connection: Connection) -> None:
        if self.left:
            self.at[connection] = self.left.pop()
            connection.send(self.at[connection])


@pytest.mark.parametrize("kills", [0, 2])
def test_a_played_search_takes_as_long_as_a_real_one(kills: int) -> None:
    real = Real()
    seconds = real.run(kills)
    tile_s = float(np.mean(real.durations))
    grid = Grid(rows=BLOCKS, columns=BLOCKS, tile_s=tile_s, row_bytes=0.0, column_bytes=0.0)
    fleet = Fleet(
        workers=2,
        preemptions=kills / (2 * seconds / 3600.0),
        restart_s=float(np.mean(real.restarts)) if kills else 0.0,
    )
    played = sorted(play([grid], fleet, seed=seed).seconds for seed in range(101))
    low, middle, high = (played[at] for at in (5, 50, 95))
    print(
        f"\n{grid.tiles} tiles of {ROWS} x {ROWS} x {DIM} on 2 processes, {kills} killed: took "
        f"{seconds:.1f} s; played {middle:.1f} s (90 % of plays {low:.1f} to {high:.1f}), ratio "
        f"{middle / seconds:.2f}"
    )
    assert len(real.durations) == grid.tiles
