import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoders.dual.pooling import pooled


def slow(hidden, mask, pooling):
    rows = []
    for vectors, kept in zip(hidden.double(), mask, strict=True):
        tokens = [vector for vector, keep in zip(vectors, kept, strict=True) if keep]
        first_last = {"cls": tokens[0], "last_token": tokens[-1]}
        rows.append(first_last.get(pooling, sum(tokens) / len(tokens)))
    return torch.stack(rows)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last_token"])
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), left=st.booleans())
def test_padding_on_either_side_is_left_out(pooling, lengths, left):
    width = max(lengths) + 1
    hidden = torch.randn(len(lengths), width, 3)
    mask = torch.zeros(len(lengths), width, dtype=torch.int64)
    for row, length in enumerate(lengths):
        mask[row, slice(width - length, None) if left else slice(0, length)] = 1
    hidden[mask == 0] = float("nan")  # as attention over nothing may give
    found = pooled(hidden, mask, pooling)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), slow(hidden, mask, pooling), atol=1e-6)


def test_low_precision_is_pooled_in_float32():
    hidden = torch.ones(1, 1000, 1, dtype=torch.bfloat16) * 1.0078125
    assert pooled(hidden, torch.ones(1, 1000, dtype=torch.int64), "mean").item() == 1.0078125
