import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders import describe_encoder, load_encoder, precomputed
from mining.contract.encoder import Encoder
from mining.contract.errors import InputError


def write(folder, vectors, ids, name="v"):
    np.save(folder / f"{name}.npy", vectors)
    (folder / f"{name}.ids").write_text("".join(f"{i}\n" for i in ids), encoding="utf-8")
    return str(folder / f"{name}.npy")


def wanted(segments, doc_ids):
    return segments(["text"] * len(doc_ids), doc_ids=doc_ids)


VECTORS = np.random.default_rng(0).normal(size=(5, 8))
IDS = ["a", "b", "zwei Wörter", "d", "e"]


def unit(vectors):
    vectors = vectors.astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_npy_is_looked_up_by_doc_id(tmp_path, segments, dtype):
    stored = VECTORS.astype(dtype)
    encoder = load_encoder(write(tmp_path, stored, IDS))
    assert isinstance(encoder, Encoder)
    assert encoder.dim == 8
    found = encoder.embed(wanted(segments, ["e", "zwei Wörter", "a", "e"]))
    np.testing.assert_allclose(found.vectors, unit(stored[[4, 2, 0, 4]]), atol=1e-7)
    assert not found.problems


def parquet_column(kind):
    rows = VECTORS.tolist()
    if kind == "binary":
        return pa.array([row.tobytes() for row in VECTORS.astype(np.float16)], pa.binary(16))
    types = {
        "list": pa.list_(pa.float32()),
        "large": pa.large_list(pa.float64()),
        "fixed": pa.list_(pa.float32(), 8),
        "half": pa.list_(pa.float16()),
    }
    values = [np.asarray(row, np.float16) for row in rows] if kind == "half" else rows
    return pa.array(values, types[kind])


@pytest.mark.parametrize("kind", ["list", "large", "fixed", "half", "binary"])
def test_parquet_in_every_layout(tmp_path, segments, kind):
    table = pa.table({"id": IDS, "embedding": parquet_column(kind), "other": range(5)})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=2)
    encoder = load_encoder(str(tmp_path / "v.parquet"))
    found = encoder.embed(wanted(segments, ["d", "b"]))
    np.testing.assert_allclose(found.vectors, unit(VECTORS[[3, 1]]), atol=1e-3)


def test_folder_of_files_is_one_table(tmp_path, segments):
    write(tmp_path, VECTORS[:2], IDS[:2], "p0")
    table = pa.table({"id": IDS[2:], "embedding": VECTORS[2:].tolist()})
    pq.write_table(table, tmp_path / "p1.parquet")
    found = load_encoder(str(tmp_path)).embed(wanted(segments, ["e", "a", "d"]))
    np.testing.assert_allclose(found.vectors, unit(VECTORS[[4, 0, 3]]), atol=1e-7)


def test_faults_of_rows_are_problems(tmp_path, segments):
    stored = VECTORS.astype(np.float32)
    stored[1, 3], stored[2, 0], stored[3] = np.nan, np.inf, 0
    encoder = load_encoder(write(tmp_path, stored, IDS))
    found = encoder.embed(wanted(segments, ["a", "b", "zwei Wörter", "d", "f", None]))
    assert found.problems == {
        1: "vector of id 'b' has NaN",
        2: "vector of id 'zwei Wörter' has infinity",
        3: "vector of id 'd' is zero",
        4: "no vector for id 'f'",
        5: "has no id to look its vector up by; name the column in columns.id",
    }
    np.testing.assert_allclose(found.vectors[0], unit(stored[:1])[0], atol=1e-7)
    assert np.isfinite(found.vectors).all()


def test_row_count_that_is_not_that_of_the_ids(tmp_path):
    path = write(tmp_path, VECTORS, IDS[:4])
    with pytest.raises(InputError, match=r"v\.npy: .* has 5 rows and .*v\.ids has 4 ids"):
        load_encoder(path)


def test_repeated_id(tmp_path):
    path = write(tmp_path, VECTORS, ["a", "b", "b", "d", "b"])
    with pytest.raises(InputError, match=r"v\.ids: .*2 of 5 repeat another, such as 'b'"):
        load_encoder(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(5.0), "must be \\[rows, width\\]"),
        (np.zeros((5, 2, 2)), "must be \\[rows, width\\]"),
        (np.zeros((5, 2), dtype=np.int64), "must be float16"),
        (np.array([[{}, 1]] * 5, dtype=object), "cannot be read"),
    ],
)
def test_arrays_that_are_no_vectors(tmp_path, array, message):
    np.save(tmp_path / "v.npy", array, allow_pickle=True)
    (tmp_path / "v.ids").write_text("\n".join(IDS))
    with pytest.raises(InputError, match=message):
        load_encoder(str(tmp_path / "v.npy"))


def test_files_that_are_absent_or_of_another_kind(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    with pytest.raises(InputError, match=r"v\.ids or .*v\.ids\.txt"):
        load_encoder(str(tmp_path / "v.npy"))
    (tmp_path / "w.npy").write_bytes(b"no array")
    (tmp_path / "w.ids").write_text("a\n")
    with pytest.raises(InputError, match=r"w\.npy"):
        load_encoder(str(tmp_path / "w.npy"))
    pq.write_table(pa.table({"id": IDS}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="'embedding'"):
        load_encoder(str(tmp_path / "x.parquet"))
    ragged = pa.table({"id": ["a", "b"], "embedding": [[1.0, 2.0], [3.0]]})
    pq.write_table(ragged, tmp_path / "y.parquet")
    with pytest.raises(InputError, match="one width"):
        load_encoder(str(tmp_path / "y.parquet"))
    (tmp_path / "z.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"z\.parquet"):
        load_encoder(str(tmp_path / "z.parquet"))


def test_ids_file_of_another_name_and_crlf(tmp_path, segments):
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "names").write_bytes("\r\n".join(IDS).encode())
    encoder = load_encoder(str(tmp_path / "v.npy"), ids=str(tmp_path / "names"))
    assert not encoder.embed(wanted(segments, IDS)).problems


def test_space_is_the_users_or_the_contents(tmp_path):
    one = write(tmp_path, VECTORS, IDS, "one")
    same = write(tmp_path, VECTORS, IDS, "same")
    two = write(tmp_path, VECTORS + 1, IDS, "two")
    spaces = [describe_encoder(path).space for path in (one, same, two)]
    assert spaces[0].startswith("precomputed:")
    assert spaces[0] == spaces[1] != spaces[2]
    assert load_encoder(two, space="mine").space == "mine"
    assert load_encoder(two).fingerprint == describe_encoder(two).fingerprint
    assert load_encoder(two).fingerprint != load_encoder(two, space="mine").fingerprint


@given(
    ids=st.lists(st.text(max_size=3), unique=True, min_size=1, max_size=20),
    others=st.lists(st.text(max_size=3)),
    buckets=st.integers(1, 5),
)
def test_lookup_equals_a_dict_even_when_hashes_collide(ids, others, buckets):
    with pytest.MonkeyPatch.context() as patch:
        real = precomputed._hashes
        patch.setattr(precomputed, "_hashes", lambda column: real(column) % np.uint64(buckets))
        lookup = precomputed._Lookup(pa.chunked_array([pa.array(ids, pa.string())]), "here")
        table = {name: row for row, name in enumerate(ids)}
        names = [*others, *ids]
        assert lookup.rows(pa.array(names, pa.string())).tolist() == [
            table.get(name, -1) for name in names
        ]
