from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from beam_jobs.cli import cli
from mining.contract.errors import InputError
from mining.contract.vectors import to_stored
from mining.mine import mine_pairs

RNG = np.random.default_rng(0)
Y = RNG.standard_normal((300, 24)).astype(np.float32)
X = Y[::-1][:200] + 0.3 * RNG.standard_normal((200, 24)).astype(np.float32)


def run(*args: str) -> str:
    done = CliRunner().invoke(cli, ["mine", *args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_npy_files_are_mined_as_arrays_are(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", to_stored(Y)[0])
    out = tmp_path / "pairs.parquet"
    text = run("--source", f"{tmp_path}/x.npy", "--target", f"{tmp_path}/y.npy", "--to", str(out))
    found = pq.read_table(out)
    assert found.equals(mine_pairs(X, Y))
    assert f"{found.num_rows} pairs of 200 and 300 rows" in text
    assert "k-NN by exact: 200 x 300 rows" in text


def test_ids_come_with_the_pairs_and_options_count(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.ids.txt").write_text("".join(f"deu-{i}\n" for i in range(200)))
    ids = pa.array([f"eng-{i}" for i in range(300)])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(Y.ravel()), 24)
    pq.write_table(pa.table({"id": ids, "embedding": vectors}), tmp_path / "y.parquet")
    out = tmp_path / "pairs.parquet"
    run(
        "--source", f"{tmp_path}/x.npy", "--target", f"{tmp_path}/y.parquet", "--to", str(out),
        "--select", "intersection", "--margin", "distance", "--k", "7", "--threshold", "0.42", "--quiet",
    )  # fmt: skip
    found = pq.read_table(out)
    wanted = mine_pairs(X, Y, select="intersection", margin="distance", k=7, threshold=0.42)
    assert found.select(wanted.column_names).equals(wanted)
    assert 0 < found.num_rows < 200
    assert found["src_id"].to_pylist() == [f"deu-{i}" for i in wanted["src_row"].to_pylist()]
    assert found["tgt_id"].to_pylist() == [f"eng-{i}" for i in wanted["tgt_row"].to_pylist()]


def test_copies_are_kept_on_demand(tmp_path):
    np.save(tmp_path / "x.npy", np.concatenate([X, X]))
    out = tmp_path / "pairs.parquet"
    same = ("--source", f"{tmp_path}/x.npy", "--target", f"{tmp_path}/x.npy", "--to", str(out))
    run(*same, "--select", "union")
    assert pq.read_table(out).num_rows == 200
    run(*same, "--select", "union", "--keep-copies")
    assert pq.read_table(out).num_rows > 400


def test_what_holds_no_vectors_is_refused_in_one_line(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "torn.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:1000])
    np.save(tmp_path / "narrow.npy", X[:, :5])
    np.save(tmp_path / "objects.npy", np.array([{}, None], object), allow_pickle=True)
    for name, message in (
        ("absent.npy", "there is none"),
        ("torn.npy", "cannot be read"),
        ("narrow.npy", "have 24 and 5"),
        ("objects.npy", "cannot be read"),
    ):
        args = ["mine", "--source", f"{tmp_path}/x.npy", "--target", f"{tmp_path}/{name}"]
        with pytest.raises(InputError, match=message):
            CliRunner().invoke(
                cli, [*args, "--to", f"{tmp_path}/out.parquet"], catch_exceptions=False
            )
    assert not (tmp_path / "out.parquet").exists()
