"""Tiles of a search on many workers that are lost, come back, and are not equally fast: event by event.

Every free worker takes the next tile, index block by index block, as the stage orders them; what a lost
worker was at goes to whoever is free next. Reads of blocks follow the worker's memory of blocks.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mining.contract.errors import ConfigError

MOST_TILES = 5_000_000  # about half a minute to play; whoever has more should take larger ones


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The workers.

    Attributes:
        workers: how many.
        preemptions: how often a worker is lost in an hour of its life (a Poisson process).
        restart_s: seconds until the one in its place has its first tile.
        stragglers: share of the workers that are slow.
        slowdown: how many times as long those take.
        held_blocks: blocks that a worker keeps in memory; the tile's own two at least.
        read_bytes_s: speed of one worker's reading. 100 MB/s is assumed of an object store.
    """

    workers: int
    preemptions: float = 0.0
    restart_s: float = 180.0
    stragglers: float = 0.0
    slowdown: float = 2.0
    held_blocks: int = 2
    read_bytes_s: float = 100e6


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The tiles of a language pair, all as large as each other.

    Attributes:
        rows: blocks of the source; ``columns`` of the target.
        tile_s: seconds of one tile beside its reading.
        row_bytes: of a source block; ``column_bytes`` of a target block.
    """

    rows: int
    columns: int
    tile_s: float
    row_bytes: float
    column_bytes: float

    @property
    def tiles(self) -> int:
        """How many."""
        return self.rows * self.columns


@dataclass(frozen=True, kw_only=True)
class Played:
    """How it went.

    Attributes:
        seconds: until the last tile was there.
        tiles: that were finished, each once.
        lost: tiles that a worker was lost at.
        lost_s: seconds of workers that they had cost.
        waited_s: seconds that workers were free for while others finished the last tiles.
        reads: blocks that were read.
        read_bytes: their bytes.
    """

    seconds: float
    tiles: int
    lost: int
    lost_s: float
    waited_s: float
    reads: int
    read_bytes: float


Tile = tuple[int, int, int]  # grid, column, row


class _Worker:
    """One worker: how fast it is, when it will be lost, and which blocks it holds."""

    def __init__(self, fleet: Fleet, slow: bool, draw: random.Random) -> None:
        self._fleet, self._draw = fleet, draw
        self._factor = fleet.slowdown if slow else 1.0
        self._held: OrderedDict[tuple[int, str, int], None] = OrderedDict()
        self.lost_at = self._life(0.0)

    def _life(self, start: float) -> float:
        rate = self._fleet.preemptions / 3600.0
        return start + self._draw.expovariate(rate) if rate else math.inf

    def reads(self, tile: Tile, grid: Grid) -> list[float]:
        """Bytes of the blocks that it must read; it holds them from then on."""
        number, column, row = tile
        sizes = []
        for key, size in (
            ((number, "row", row), grid.row_bytes), ((number, "column", column), grid.column_bytes),
        ):  # fmt: skip
            if key not in self._held:
                while len(self._held) >= max(2, self._fleet.held_blocks):
                    self._held.popitem(last=False)
                self._held[key] = None
                sizes.append(size)
            self._held.move_to_end(key)
        return sizes

    def seconds(self, read_bytes: float, tile_s: float) -> float:
        return self._factor * (read_bytes / self._fleet.read_bytes_s + tile_s)

    def replace(self, at: float) -> float:
        """Another takes its place, empty and as fast; when it is free."""
        self._held.clear()
        free = at + self._fleet.restart_s
        self.lost_at = self._life(free)
        return free


def play(grids: Sequence[Grid], fleet: Fleet, *, seed: int = 0) -> Played:
    """Play the search of some language pairs.

    Args:
        grids: in the order of the stage.
        fleet: the workers.
        seed: of the draws: equal seeds give equal plays.

    Raises:
        ConfigError: if the grids have more than :data:`MOST_TILES` tiles, or workers live so short that
            no tile can end.
    """
    total = sum(grid.tiles for grid in grids)
    if total > MOST_TILES:
        raise ConfigError(
            f"simulation: must be of at most {MOST_TILES} tiles, but {total} are wanted; raise "
            "execution.tile_rows"
        )
    _check_lives(grids, fleet)
    draw = random.Random(seed)
    slow = round(fleet.stragglers * fleet.workers)
    workers = [_Worker(fleet, number < slow, draw) for number in range(fleet.workers)]
    free = [(0.0, number) for number in range(fleet.workers)]
    seconds = 0.0
    again: list[tuple[float, Tile]] = []
    fresh = _tiles(grids)
    waiting = next(fresh, None)
    lost, lost_s, reads, read_bytes = 0, 0.0, 0, 0.0
    while waiting is not None or again:
        now, number = heapq.heappop(free)
        worker = workers[number]
        if again and (again[0][0] <= now or waiting is None):
            since, tile = heapq.heappop(again)
            now = max(now, since)
        else:
            assert waiting is not None
            tile, waiting = waiting, next(fresh, None)
        if worker.lost_at <= now:  # while it was free
            heapq.heappush(free, (worker.replace(worker.lost_at), number))
            heapq.heappush(again, (now, tile))
            continue
        grid = grids[tile[0]]
        sizes = worker.reads(tile, grid)
        reads, read_bytes = reads + len(sizes), read_bytes + sum(sizes)
        end = now + worker.seconds(sum(sizes), grid.tile_s)
        if worker.lost_at < end:
            lost, lost_s = lost + 1, lost_s + worker.lost_at - now
            heapq.heappush(again, (worker.lost_at, tile))
            end = worker.replace(worker.lost_at)
        else:
            seconds = max(seconds, end)
        heapq.heappush(free, (end, number))
    return Played(
        seconds=seconds,
        tiles=total,
        lost=lost,
        lost_s=lost_s,
        waited_s=sum(max(0.0, seconds - since) for since, _ in free),
        reads=reads,
        read_bytes=read_bytes,
    )


def undisturbed(grids: Sequence[Grid], workers: int) -> float:
    """Seconds that equal workers would take that are never lost, never read and never wait."""
    return sum(grid.tiles * grid.tile_s for grid in grids) / workers


def _tiles(grids: Sequence[Grid]) -> Iterator[Tile]:
    for number, grid in enumerate(grids):
        for column in range(grid.columns):
            for row in range(grid.rows):
                yield number, column, row


def _check_lives(grids: Sequence[Grid], fleet: Fleet) -> None:
    """A tile that takes many lives of a worker would never end."""
    longest = max(
        (g.tile_s + (g.row_bytes + g.column_bytes) / fleet.read_bytes_s for g in grids), default=0.0
    ) * (fleet.slowdown if fleet.stragglers else 1.0)
    if longest * fleet.preemptions / 3600.0 > 5.0:  # 1 of 150 would end
        raise ConfigError(
            f"simulation: a tile must end before its worker is lost, but takes {longest:.0f} s where "
            f"workers are lost {fleet.preemptions:g} times an hour; lower execution.tile_rows"
        )
