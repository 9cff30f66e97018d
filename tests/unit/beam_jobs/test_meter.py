"""Work is measured where somebody asks, and nowhere else."""

from __future__ import annotations

import pytest

from beam_jobs.meter import Meter, timed_stage, timed_unit


def test_spans_are_gathered_while_a_meter_reads() -> None:
    meter = Meter()
    with timed_unit("embed", "texts", "embed", "before"):
        pass
    with meter.reading(), timed_stage("embed"):
        with timed_unit("embed", "texts", "embed", "part-0"):
            sum(range(200_000))
        with (
            pytest.raises(ValueError, match="broken"),
            timed_unit("embed", "texts", "embed", "bad"),
        ):
            raise ValueError("broken")
    with timed_stage("knn"):
        pass
    unit, stage = meter.spans
    assert (unit.subject, unit.phase, unit.unit) == ("texts", "embed", "part-0")
    assert (stage.stage, stage.unit) == ("embed", "")
    assert 0.0 < unit.cpu_s <= stage.cpu_s
    assert 0.0 < unit.wall_s <= stage.wall_s
    assert stage.peak_bytes > 1 << 20
