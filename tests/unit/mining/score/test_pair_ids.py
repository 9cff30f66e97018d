from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.contract.ids import content_id, pair_id
from mining.score import pair_ids as module
from mining.score.pair_ids import pair_id_array

names = st.lists(st.text(max_size=20), min_size=1, max_size=5)


def made(src: list[str], tgt: list[str], rows: list[tuple[int, int]], few: int) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW", few)
        src_rows, tgt_rows = np.array(rows, np.int64).reshape(-1, 2).T
        found = pair_id_array((pa.array(src), src_rows), (pa.array(tgt), tgt_rows))
        found.validate(full=True)
        return found.to_pylist()


@pytest.mark.parametrize("few", [0, 1 << 16], ids=["compiled", "plain"])
@given(names, names, st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30))
def test_they_are_those_of_one_pair_each(few, src, tgt, rows):
    rows = [(i % len(src), j % len(tgt)) for i, j in rows]
    assert made(src, tgt, rows, few) == [pair_id(src[i], tgt[j]) for i, j in rows]


@pytest.mark.parametrize("length", [126, 127, 128, 300])
def test_two_ids_that_fill_a_block_or_more(length):
    src, tgt = ["x" * (length - 30), "y"], ["z" * 30, ""]
    assert made(src, tgt, [(0, 0), (1, 1)], 0) == [pair_id(src[0], tgt[0]), pair_id("y", "")]


def test_ids_that_are_a_slice_and_chunks(monkeypatch):
    monkeypatch.setattr(module, "_FEW", 0)
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    ids = [content_id(str(number)) for number in range(40)]
    rows = np.random.default_rng(0).integers(0, 30, 100)
    found = pair_id_array((pa.array(ids)[10:], rows), (pa.array(ids)[5:35], rows[::-1]))
    assert found.num_chunks == 15
    expected = [pair_id(ids[10 + i], ids[5 + j]) for i, j in zip(rows, rows[::-1], strict=True)]
    assert found.to_pylist() == expected
