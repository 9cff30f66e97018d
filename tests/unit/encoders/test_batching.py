import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoders.batching import BatchRunner, canonical_batches, tokens_of
from mining.contract.errors import CapacityError

rows_of_input = st.lists(st.tuples(st.integers(0, 90), st.sampled_from("xy")), max_size=40)


def deal(rows, ids, **limits):
    lengths = np.array([length for length, _ in rows], dtype=np.int64)
    return list(canonical_batches(lengths, ids, [group for _, group in rows], **limits))


@given(rows=rows_of_input, max_tokens=st.integers(1, 100), budget=st.integers(1, 300))
def test_batches_keep_to_their_law(rows, max_tokens, budget):
    ids = [f"{i:03d}" for i in range(len(rows))]
    batches = deal(rows, ids, max_tokens=max_tokens, batch_tokens=budget)
    seen = [int(row) for batch in batches for row in batch.rows[: batch.kept]]
    assert sorted(seen) == list(range(len(rows)))  # each row once
    for batch in batches:
        height = len(batch.rows)
        assert height & (height - 1) == 0
        assert height == 1 or height * batch.tokens <= budget
        assert set(batch.rows[batch.kept :]) <= {batch.rows[batch.kept - 1]}
        assert batch.tokens == max_tokens or batch.tokens % 16 == 0 or batch.tokens == 1
        for row in batch.rows:
            length, group = rows[row]
            assert group == batch.group
            assert min(length, max_tokens) <= batch.tokens
            assert batch.tokens - min(length, max_tokens) <= 16


@given(rows=rows_of_input, order=st.randoms())
def test_batches_are_a_function_of_the_set_of_rows(rows, order):
    ids = [f"{i:03d}" for i in range(len(rows))]
    places = list(range(len(rows)))
    order.shuffle(places)
    limits = {"max_tokens": 64, "batch_tokens": 128}
    one = deal(rows, ids, **limits)
    two = deal([rows[i] for i in places], [ids[i] for i in places], **limits)
    moved = [[ids[places[r]] for r in b.rows] for b in two]
    assert [[ids[r] for r in b.rows] for b in one] == moved
    assert [(b.tokens, b.group, b.kept) for b in one] == [(b.tokens, b.group, b.kept) for b in two]


@given(rows=rows_of_input, max_tokens=st.integers(1, 100), budget=st.integers(1, 300))
def test_padding_is_what_a_forward_pass_meets_beyond_the_rows(rows, max_tokens, budget):
    lengths = np.array([length for length, _ in rows], dtype=np.int64)
    ids = [f"{i:03d}" for i in range(len(rows))]
    batches = deal(rows, ids, max_tokens=max_tokens, batch_tokens=budget)
    met = []

    def forward(rows, tokens, group):
        met.append(len(rows) * tokens)
        return np.zeros((len(rows), 2), np.float32)

    BatchRunner(forward).run(batches, len(rows), 2)
    tokens = tokens_of(batches, lengths)
    assert tokens.computed == sum(met)
    assert tokens.needed == sum(min(length, max_tokens) for length, _ in rows) <= tokens.computed


def vectors_of(rows, tokens):
    return np.stack([rows, np.full(len(rows), tokens)], axis=1).astype(np.float32)


def test_out_of_memory_halves_the_batch_and_is_noted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    heights = []

    def forward(rows, tokens, group):
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        heights.append(len(rows))
        return vectors_of(rows, tokens)

    runner = BatchRunner(forward)
    rows = [(9 - i, "x") for i in range(7)]  # sorted by length, a batch runs backwards
    batches = deal(rows, list("abcdefg"), max_tokens=64, batch_tokens=256)
    found = runner.run(iter(batches), 7, 2)
    assert found[:, 0].tolist() == list(range(7))
    assert heights == [2, 2, 2, 2]
    assert runner.backed_off == 3


def test_one_row_that_does_not_fit(monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    def forward(rows, tokens, group):
        raise torch.OutOfMemoryError

    batches = deal([(5, "x")] * 3, list("abc"), max_tokens=64, batch_tokens=256)
    with pytest.raises(CapacityError, match="one text of 16 tokens"):
        BatchRunner(forward).run(iter(batches), 3, 2)
