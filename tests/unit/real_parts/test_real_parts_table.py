"""The table for people."""

import pyarrow as pa
import pyarrow.parquet as pq


def _row(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "length_only": 0.01,
            "shuffled": 0.02}  # fmt: skip


def test_one_line_a_language_with_controls(example):
    systems = {"units": {"deu": _row(0.25), "macro": _row(0.2)}, "cascade": {"deu": _row(0.75)}}
    assert example("table").markdown(systems).splitlines() == [
        "| R@1 | units | cascade | by length | shuffled |",
        "|---|---|---|---|---|",
        "| deu | 0.25 [0.15, 0.35] | 0.75 [0.65, 0.85] | 0.01 | 0.02 |",
        "| macro | 0.20 [0.10, 0.30] |  | 0.01 | 0.02 |",
    ]


def test_figures_are_found_by_language(example, tmp_path):
    rows = [
        {"pair": pair, "metric": metric, "task": task, **_row(value)}
        for pair, metric, task, value in (
            ("speech-text deu-deu", "recall_at_1", "own", 0.5),
            ("speech-text deu-deu", "mrr", "own", 0.7),
            ("speech-text deu-eng", "recall_at_1", "english", 0.3),
            ("macro", "recall_at_1", "own", 0.4),
        )
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "figures.parquet")
    found = example("table").recalls(tmp_path / "figures.parquet")
    assert {lang: row["value"] for lang, row in found.items()} == {"deu": 0.5, "macro": 0.4}
