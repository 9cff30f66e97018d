"""The table for people."""


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
