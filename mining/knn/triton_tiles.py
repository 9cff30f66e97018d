"""A tile's best on a GPU without the tile: product and maxima of groups in one kernel.

The product of a block of rows and a block of columns stays in registers; what is written is the
highest of each group of 128, along both axes. The k best of a row lie in the k groups of the highest
maxima, whose members a second kernel multiplies again: 128 P of W columns.

R rows and W columns, D dimensions, P nominees.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from mining.knn.device_tiles import DEPTH, GROUP

_SWIZZLE = 8  # row blocks that share the columns in the L2 cache
_WARPS, _STAGES = 4, 3  # the fastest of 4 and 8, 3 and 4 on an H100

Top = tuple[torch.Tensor, torch.Tensor]


def tops(
    block: torch.Tensor, panel: torch.Tensor, real: tuple[int, int], count: tuple[int, int]
) -> tuple[Top, Top]:
    """The highest similarities of each row and of each column, and whose they are.

    Args:
        block: float16 [R, D], R and D in whole groups and steps; contiguous, on the device.
        panel: float16 [W, D], likewise.
        real: rows and columns that are not padding.
        count: P of a row and of a column.

    Returns:
        Of the rows float32 and int64 [R, P], fewer if there are fewer columns; of the columns.
    """
    rows, columns = len(block), len(panel)
    row_maxima = torch.empty((rows, columns // GROUP), dtype=torch.float32, device=block.device)
    column_maxima = torch.empty((columns, rows // GROUP), dtype=torch.float32, device=block.device)
    grid = (rows // GROUP * (columns // GROUP),)
    _maxima[grid](
        block, panel, row_maxima, column_maxima, rows, columns, real[0], real[1], block.shape[1],
        GROUP, DEPTH, _SWIZZLE, num_warps=_WARPS, num_stages=_STAGES,
    )  # fmt: skip
    return (
        _best(block, panel, row_maxima, real[1], count[0]),
        _best(panel, block, column_maxima, real[0], count[1]),
    )


def _best(
    queries: torch.Tensor, index: torch.Tensor, maxima: torch.Tensor, real: int, count: int
) -> Top:
    """The members of the groups of the highest maxima, and of those the highest."""
    groups = maxima.topk(min(count, maxima.shape[1]), dim=1).indices
    shape = (len(queries), groups.shape[1] * GROUP)
    members = torch.empty(shape, dtype=torch.float32, device=queries.device)
    _members[(len(queries), groups.shape[1])](
        queries, index, groups, members, groups.shape[1], real, queries.shape[1], GROUP, DEPTH,
        num_warps=4,
    )  # fmt: skip
    values, place = members.topk(min(count, members.shape[1]), dim=1)
    return values, groups.gather(1, place // GROUP) * GROUP + place % GROUP


@triton.jit  # type: ignore[untyped-decorator]
def _maxima(  # type: ignore[no-untyped-def]
    x, y, row_maxima, column_maxima, rows, columns, real_rows, real_columns, dim,
    size: tl.constexpr, depth: tl.constexpr, swizzle: tl.constexpr,
):  # fmt: skip
    row_blocks, column_blocks = rows // size, columns // size
    program = tl.program_id(0)
    band = swizzle * column_blocks
    first = program // band * swizzle
    height = min(row_blocks - first, swizzle)
    i = first + program % band % height
    j = program % band // height
    row = i * size + tl.arange(0, size)
    column = j * size + tl.arange(0, size)
    step = tl.arange(0, depth)
    left = x + row.to(tl.int64)[:, None] * dim + step[None, :]
    right = y + column.to(tl.int64)[None, :] * dim + step[:, None]
    product = tl.zeros((size, size), dtype=tl.float32)
    for _ in range(0, dim, depth):
        product = tl.dot(tl.load(left), tl.load(right), product)
        left += depth
        right += depth
    kept = tl.where(column[None, :] < real_columns, product, float("-inf"))
    tl.store(row_maxima + row.to(tl.int64) * column_blocks + j, tl.max(kept, 1))
    kept = tl.where(row[:, None] < real_rows, product, float("-inf"))
    tl.store(column_maxima + column.to(tl.int64) * row_blocks + i, tl.max(kept, 0))


@triton.jit  # type: ignore[untyped-decorator]
def _members(  # type: ignore[no-untyped-def]
    queries, index, groups, out, places, real, dim, size: tl.constexpr, depth: tl.constexpr
):
    query, place = tl.program_id(0).to(tl.int64), tl.program_id(1)
    group = tl.load(groups + query * places + place)
    row = group * size + tl.arange(0, size)
    step = tl.arange(0, depth)
    total = tl.zeros((size,), dtype=tl.float32)
    for start in range(0, dim, depth):
        values = tl.load(queries + query * dim + start + step).to(tl.float32)
        others = tl.load(index + row[:, None] * dim + (start + step)[None, :]).to(tl.float32)
        total += tl.sum(others * values[None, :], 1)
    total = tl.where(row < real, total, float("-inf"))
    tl.store(out + (query * places + place) * size + tl.arange(0, size), total)


def installed() -> bool:
    """Whether the kernels can run: a CUDA device of capability 8.0 or above."""
    return bool(torch.cuda.is_available()) and torch.cuda.get_device_capability() >= (8, 0)
