from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mining.contract import vectors as contract_vectors
from mining.contract.errors import SchemaError
from mining.contract.vectors import as_stored, norms, pack, to_stored, unpack

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_stored_rows_have_unit_norm_and_their_direction(dtype):
    vectors = (RNG.standard_normal((50, 24)) * RNG.uniform(0.1, 90, (50, 1))).astype(dtype)
    before = vectors.copy()
    stored, bad = to_stored(vectors)
    assert stored.dtype == np.float16
    assert not bad.any()
    wide = vectors.astype(np.float64)
    expected = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    np.testing.assert_allclose(stored, expected, atol=2**-11)
    np.testing.assert_array_equal(vectors, before)


def test_rows_without_direction_are_named_and_stored_as_zeros():
    vectors = np.ones((5, 3))
    vectors[1] = 0
    vectors[2, 0] = np.nan
    vectors[3, 1] = -np.inf
    stored, bad = to_stored(vectors)
    assert bad.tolist() == [False, True, True, True, False]
    assert not stored[bad].any()


def test_a_row_depends_on_no_other_row():
    vectors = RNG.standard_normal((5000, 7)).astype(np.float32)
    stored, _ = to_stored(vectors)
    for row in (0, 4095, 4096, 4999):
        alone, _ = to_stored(vectors[row : row + 1])
        np.testing.assert_array_equal(alone[0], stored[row])


def test_strided_and_read_only_input_is_accepted():
    vectors = RNG.standard_normal((6, 20))[::2, ::-1]
    vectors.setflags(write=False)
    np.testing.assert_array_equal(to_stored(vectors)[0], to_stored(vectors.copy())[0])


def test_unpack_reverses_pack_for_slices_and_chunks():
    stored, _ = to_stored(RNG.standard_normal((10, 6)))
    packed = pack(stored)
    assert packed.type == pa.binary(12)
    np.testing.assert_array_equal(unpack(packed, 6), stored)
    np.testing.assert_array_equal(unpack(packed[3:8], 6), stored[3:8])
    chunked = pa.chunked_array([packed[7:], packed[:0], packed[:2]])
    np.testing.assert_array_equal(unpack(chunked, 6), stored[[7, 8, 9, 0, 1]])
    assert unpack(packed[:0], 6).shape == (0, 6)


def test_unpack_of_one_chunk_shares_its_memory():
    stored, _ = to_stored(RNG.standard_normal((4, 6)))
    assert np.shares_memory(unpack(pack(stored)[1:], 6), stored)


def test_unpack_refuses_another_dimension_and_nulls():
    packed = pack(np.ones((2, 6), np.float16))
    with pytest.raises(SchemaError, match="another dimension"):
        unpack(packed, 5)
    with pytest.raises(SchemaError, match="with 1"):
        unpack(pa.array([b"ab", None], pa.binary(2)), 1)


def test_norms_are_those_of_the_float16():
    vectors = RNG.standard_normal((300, 5)).astype(np.float16)
    vectors[0] = [2.0**-24, -(2.0**-24), 0.0, -0.0, 2.0**-15]  # subnormal
    vectors[1] = -65504.0
    wide = vectors.astype(np.float64)
    np.testing.assert_allclose(norms(vectors), np.linalg.norm(wide, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(norms(vectors[::-2]), norms(vectors)[::-2])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0])
def test_only_unit_rows_are_taken_as_they_are(wrong, monkeypatch):
    monkeypatch.setattr(contract_vectors, "_CHECKED_VALUES", 30)
    stored, _ = to_stored(RNG.standard_normal((20, 7)))
    assert np.shares_memory(as_stored(stored)[0], stored)
    stored[17] = wrong
    again, bad = as_stored(stored)
    assert not np.shares_memory(again, stored)
    assert np.flatnonzero(bad).tolist() == [17]
