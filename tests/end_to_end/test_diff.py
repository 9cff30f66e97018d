"""``mining diff`` as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.conftest import Outcome, World

Cli = Callable[..., Outcome]


@pytest.mark.usefixtures("no_beam")
def test_what_a_higher_threshold_and_another_k_change(world: World, mining: Cli) -> None:
    a, b, c = (world.folder / name for name in "abc")
    for output, setting in ((a, "threshold=1.0"), (b, "threshold=1.2"), (c, "k=2")):
        done = mining(
            "run", "--config", world.config, "--output", output, "--set", f"mining.{setting}"
        )
        assert done.code == 0, done.err

    same = mining("diff", a, a, "--exit-code")
    assert (same.code, same.err) == (0, "")
    assert same.out.splitlines()[-1].split()[-3:] == ["0", "0", "0"]

    table = world.folder / "changes.parquet"
    higher = mining("diff", a, b, "--rows", 2, "--to", table)
    assert higher.code == 0, higher.err
    assert "removed" in higher.out
    assert "deu sentence" in higher.out
    rows = pq.read_table(table).to_pylist()
    assert rows
    assert all(row["change"] == "removed" and row["margin_score_before"] < 1.2 for row in rows)
    assert all(row["margin_score_after"] is None for row in rows)
    lost = sum(pq.read_table(x / "pairs/tt").num_rows * sign for x, sign in ((a, 1), (b, -1)))
    assert len(rows) == lost

    other = mining("diff", a, c, "--json", "--exit-code")
    assert other.code == 1
    counts = json.loads(other.out)
    assert [one["languages"] for one in counts] == ["deu-eng", "deu-fra", "eng-fra"]
    assert all(one["rescored"] for one in counts)
    assert all(one["same"] + one["rescored"] + one["removed"] == one["before"] for one in counts)

    wrong = mining("diff", a, world.folder / "nothing")
    assert wrong.code == 3
    assert wrong.err.count("\n") == 1
    assert wrong.err.startswith("error: ")
    segments = mining("diff", a / "segments", b)
    assert segments.code == 3
    assert "must hold mined pairs, but holds rows of segment" in segments.err
