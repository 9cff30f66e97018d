"""``mining score`` as a user sees it: every row comes out, in its order, with figures or a reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mining.score_corpus import FIGURES
from tests.end_to_end.conftest import Outcome, World

Cli = Callable[..., Outcome]

# Names that two languages spell nearly alike, so that the encoder `spelling` finds the partners.
NAMES = ["Konstantinopel", "Amsterdam", "Philadelphia", "Warschau", "Montenegro", "Kopenhagen"]
OTHERS = ["Constantinople", "Amsterdam", "Philadelphia", "Warsaw", "Montenegro", "Copenhagen"]
SPELLING = ("--model", "spelling", "--k", "2")


def tsv(folder: Path) -> Path:
    rows = [f"{n}\t{a}\t{b}" for n, (a, b) in enumerate(zip(NAMES, OTHERS, strict=True))]
    rows[3] = "3\tWarschau\tCopenhagen"  # a wrong pair
    path = folder / "pairs.tsv"
    path.write_text("\n".join(["id\tsrc_text\ttgt_text", *rows, "6\t \tx", "7", rows[0]]) + "\n")
    return path


def figures(path: Path) -> list[dict]:
    return pq.read_table(path).select(FIGURES.names).to_pylist()


def test_every_row_comes_out_in_its_order(tmp_path: Path, mining: Cli) -> None:
    target = tmp_path / "out" / "scored.parquet"
    done = mining("score", tsv(tmp_path), "--langs", "de-en", "--to", target, *SPELLING)
    assert done.code == 0, done.err
    assert "9 rows: 7 scored, 2 not (1 empty, 1 ragged_row)" in done.out
    table = pq.read_table(target)
    assert table.column_names == ["id", "src_text", "tgt_text", *FIGURES.names]
    assert table["id"].to_pylist() == ["0", "1", "2", "3", "4", "5", "6", "7", "0"]
    assert table["src_text"].to_pylist()[:6] == NAMES
    rows = figures(target)
    assert [row["reason"] for row in rows] == [None] * 6 + ["empty", "ragged_row", None]
    assert rows[8] == rows[0]
    wrong = rows[3]
    assert wrong["mutual"] is False
    right = [rows[n] for n in (0, 1, 2, 4, 5)]
    assert all(row["forward_rank"] == row["backward_rank"] == 1 for row in right)
    assert wrong["margin_score"] < min(row["margin_score"] for row in right)
    assert "deu-eng" in done.out


def test_the_format_changes_no_figure(tmp_path: Path, mining: Cli) -> None:
    plain = tsv(tmp_path)
    plain.write_text("\n".join(plain.read_text().splitlines()[:7]) + "\n")
    lines = [line.split("\t") for line in plain.read_text().splitlines()]
    head, rows = lines[0], lines[1:]
    mixed = [{"a": a, "b": b, "from": "deu", "to": "en-GB"} for _, a, b in rows]
    (tmp_path / "a.csv.gz").write_bytes(
        gzip.compress("\n".join(",".join(f'"{f}"' for f in line) for line in lines).encode())
    )
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, mixed)))
    pq.write_table(
        pa.table(dict(zip(head, zip(*rows, strict=True), strict=True))), tmp_path / "a.parquet"
    )
    (tmp_path / "bare.tsv").write_text("\n".join("\t".join(row) for row in rows))
    langs = ("--langs", "deu-eng")
    columns = ("--src-text", "a", "--tgt-text", "b", "--src-lang", "from", "--tgt-lang", "to")
    found = []
    for name, options in (
        ("pairs.tsv", langs),
        ("a.csv.gz", langs),
        ("a.jsonl", columns),
        ("a.parquet", langs),
        ("bare.tsv", (*langs, "--no-header", "--src-text", "1", "--tgt-text", "2")),
    ):
        target = tmp_path / f"{name}.out"
        done = mining("score", tmp_path / name, "--to", target, *options, *SPELLING)
        assert done.code == 0, done.err
        found.append(figures(target))
    assert found == [found[0]] * 5
    assert len(found[0]) == 6


def test_pairs_of_a_run_are_scored_with_its_config(world: World, mining: Cli) -> None:
    assert mining("run", "--config", world.config).code == 0
    own = pq.read_table(world.output / "pairs" / "tt")
    target = world.folder / "scored.parquet"
    call = ("score", world.output / "pairs" / "tt", "--to", target)
    refused = mining(*call, "--config", world.config)
    assert refused.code == 2
    assert "vectors that were computed elsewhere" in refused.err
    done = mining(*call, "--config", world.config, "--model", "spelling")
    assert done.code == 0, done.err
    assert "margin_score is now input_margin_score" in done.out
    scored = pq.read_table(target)
    assert scored.num_rows == own.num_rows
    assert scored["pair_id"].equals(own["pair_id"])
    assert scored["input_margin_score"].equals(own["margin_score"])
    assert set(scored["reason"].to_pylist()) == {None}
    assert [line.split()[0] for line in done.out.splitlines()[2:5]] == [
        "deu-eng", "deu-fra", "eng-fra"
    ]  # fmt: skip


def test_k_margin_and_preset_decide(tmp_path: Path, mining: Cli) -> None:
    path, target = tsv(tmp_path), tmp_path / "out.parquet"
    call = ("score", path, "--langs", "deu-eng", "--model", "spelling", "--to", target)
    seen = []
    for options in ((), ("--k", "1"), ("--margin", "distance"), ("--preset", "speech-vecalign")):
        assert mining(*call, *options).code == 0
        seen.append([row["margin_score"] for row in figures(target)])
    assert len({tuple(scores) for scores in seen}) == 4
    assert mining(*call, "--margin", "absolute").code == 0
    assert all(row["margin_score"] == row["similarity"] for row in figures(target))


def test_a_language_that_the_model_was_not_made_for_is_said(tmp_path: Path, mining: Cli) -> None:
    target = tmp_path / "out.parquet"
    done = mining("score", tsv(tmp_path), "--langs", "swa-eng", "--to", target)
    assert done.code == 0, done.err
    assert "builtin: was not made for swa: scores there mean little" in done.err
    assert figures(target)[0]["margin_score"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("gone.tsv", "--langs", "deu-eng"), 3, "must name at least one file"),
        (
            ("pairs.tsv",),
            3,
            "languages, given for all rows or in a column 'src_lang', but the columns",
        ),
        (
            ("pairs.tsv", "--langs", "deu-eng", "--src-text", "de"),
            3,
            "'id', 'src_text', 'tgt_text'",
        ),
        (("empty.tsv", "--langs", "deu-eng"), 3, "must hold at least one row"),
        (("pairs.tsv", "--langs", "deu"), 2, "two language codes such as deu-eng, but is 'deu'"),
        (("pairs.tsv", "--langs", "deu-eng", "--model", "bultin"), 3, "did you mean 'builtin'"),
        (("pairs.tsv", "--langs", "deu-eng", "--preset", "lasr"), 2, "laser"),
        (("pairs.tsv", "--langs", "deu-eng", "--config", "gone.yaml"), 2, "cannot be read"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, mining: Cli, monkeypatch: pytest.MonkeyPatch, arguments, code, words
) -> None:
    monkeypatch.chdir(tmp_path)
    tsv(tmp_path)
    (tmp_path / "empty.tsv").write_text("src_text\ttgt_text\n")
    failed = mining("score", *arguments, "--to", "out.parquet")
    assert failed.code == code
    assert words in failed.err
    assert "Traceback" not in failed.err
    assert not (tmp_path / "out.parquet").exists()


def test_a_pool_widens_the_neighbourhood(tmp_path: Path, mining: Cli) -> None:
    plain, wide = tmp_path / "plain.parquet", tmp_path / "wide.parquet"
    base = (tsv(tmp_path), "--langs", "de-en", *SPELLING)
    assert mining("score", *base, "--to", plain).code == 0
    pool = tmp_path / "news.txt.gz"
    lines = ["Constantinople!", "Konstantinopolis", " ", "Warsaw", OTHERS[0]]
    pool.write_bytes(gzip.compress("\n".join(lines).encode()))
    done = mining("score", *base, "--to", wide, "--pool", f"en={pool}")
    assert done.code == 0, done.err
    assert "pool eng: 4 sentences, refused: 1 empty" in done.err
    before, after = figures(plain), figures(wide)
    assert after[0]["src_mean_similarity"] > before[0]["src_mean_similarity"]
    assert after[0]["tgt_mean_similarity"] == before[0]["tgt_mean_similarity"]
    assert after[0]["margin_score"] < before[0]["margin_score"]
    assert [row["similarity"] for row in after] == [row["similarity"] for row in before]
    assert len(after) == len(before)
    # a sentence that the corpus holds already changes nothing
    pool.write_bytes(gzip.compress(OTHERS[0].encode()))
    assert mining("score", *base, "--to", wide, "--pool", f"eng={pool}").code == 0
    assert figures(wide) == before
    # nor does one of another language
    assert mining("score", *base, "--to", wide, "--pool", f"fra={pool}").code == 0
    assert figures(wide) == before


@pytest.mark.parametrize(
    ("pool", "said"),
    [("news.txt", "must read LANG=FILES"), ("xx=news.txt", "must read LANG=FILES"),
     ("eng=none.txt", "none.txt")],
)  # fmt: skip
def test_a_pool_that_cannot_be_is_one_line(
    tmp_path: Path, mining: Cli, pool: str, said: str
) -> None:
    done = mining("score", tsv(tmp_path), "--langs", "de-en", "--to", tmp_path / "a.parquet",
                  *SPELLING, "--pool", pool)  # fmt: skip
    assert done.code in (2, 3)
    assert said in done.err
    assert "Traceback" not in done.err
