"""Played searches: what must hold of any, and cases that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.contract.errors import ConfigError
from mining.forecast.fleet import Fleet, Grid, play, undisturbed

GRID = Grid(rows=6, columns=5, tile_s=10.0, row_bytes=0.0, column_bytes=0.0)


def test_equal_workers_share_equal_tiles() -> None:
    played = play([GRID], Fleet(workers=4))
    assert played.seconds == 80.0  # ceil(30 / 4) tiles of 10 s
    assert played.waited_s == 20.0  # two workers have 7
    assert (played.tiles, played.lost) == (30, 0)
    assert undisturbed([GRID], 4) == 75.0


def test_blocks_are_read_again_when_they_were_let_go() -> None:
    grid = replace(GRID, row_bytes=50e6, column_bytes=200e6)
    one = play([grid], Fleet(workers=1))
    assert one.reads == 30 + 5  # every row for every column; a column once
    assert one.read_bytes == 30 * 50e6 + 5 * 200e6
    assert one.seconds == pytest.approx(300.0 + one.read_bytes / 100e6)
    many = play([grid], Fleet(workers=1, held_blocks=11))
    assert many.reads == 6 + 5


def test_a_slow_worker_does_less() -> None:
    # in 80 s the slow one does 2, the others 8 each: 26; the last four end at 90
    played = play([GRID], Fleet(workers=4, stragglers=0.25, slowdown=4.0))
    assert 80.0 <= played.seconds <= 120.0
    assert played.seconds > play([GRID], Fleet(workers=4)).seconds


@given(
    rows=st.integers(1, 8),
    columns=st.integers(1, 8),
    workers=st.integers(1, 9),
    rate=st.sampled_from([0.0, 5.0, 60.0]),
    seed=st.integers(0, 5),
)
def test_every_tile_ends_once_and_nothing_is_faster_than_its_work(
    rows: int, columns: int, workers: int, rate: float, seed: int
) -> None:
    grid = Grid(rows=rows, columns=columns, tile_s=20.0, row_bytes=1e6, column_bytes=1e6)
    fleet = Fleet(workers=workers, preemptions=rate, restart_s=30.0)
    played = play([grid], fleet, seed=seed)
    assert played.tiles == rows * columns
    assert played.seconds >= undisturbed([grid], workers)
    assert played == play([grid], fleet, seed=seed)
    assert (played.lost == 0) == (played.lost_s == 0.0)
    if not rate:
        assert played.lost == 0


def test_lost_workers_cost_what_the_rate_says() -> None:
    grid = Grid(rows=100, columns=100, tile_s=36.0, row_bytes=0.0, column_bytes=0.0)
    fleet = Fleet(workers=10, preemptions=1.0, restart_s=0.0)
    found = [play([grid], fleet, seed=seed) for seed in range(8)]
    lost = sum(one.lost for one in found) / 8
    hours = sum(one.seconds for one in found) / 8 * 10 / 3600.0
    assert lost == pytest.approx(hours, rel=0.15)  # once in an hour of every worker
    each = sum(one.lost_s for one in found) / sum(one.lost for one in found)
    assert each == pytest.approx(18.0, rel=0.15)  # in the middle of a tile


def test_what_cannot_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="before its worker is lost"):
        play([replace(GRID, tile_s=3600.0)], Fleet(workers=2, preemptions=6.0))
    with pytest.raises(ConfigError, match="before its worker is lost"):
        play([Grid(rows=2, columns=2, tile_s=1.0, row_bytes=3e9, column_bytes=3e9)],
             Fleet(workers=2, preemptions=3600.0))  # fmt: skip
    with pytest.raises(ConfigError, match=r"raise execution\.tile_rows"):
        play([replace(GRID, rows=10_000, columns=10_000)], Fleet(workers=2))
