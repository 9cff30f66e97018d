"""Which mined pairs are learned from: nothing is lost, nothing of the gold gets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.bootstrap.config import Filter
from beam_jobs.bootstrap.filter import Sifted, sift
from beam_jobs.bootstrap.gold import HeldOutGold, held_out_gold
from mining.contract.errors import InputError
from mining.contract.schemas import PAIR, REJECT, REJECT_REASONS, checked
from mining.filter import load_guard
from mining.io.filesystem import Storage

SENTENCE = "The ferry to the island leaves at half past seven."
NO_GOLD = HeldOutGold(ids=pa.array([], pa.string()), guard=load_guard((), Storage()), stretches={})
OPEN = Filter()


def pair(number: int, **values: Any) -> dict[str, Any]:
    """A pair of speech and text that nothing is to be said against."""
    found: dict[str, Any] = {
        "pair_id": f"{number:032x}", "src_segment_id": f"s{number}", "tgt_segment_id": f"t{number}",
        "src_lang": "deu", "tgt_lang": "eng", "src_modality": "speech", "tgt_modality": "text",
        "src_text": None, "tgt_text": "about forty letters are spoken in three seconds",
        "src_uri": "talk.wav", "src_start_s": 10.0 * number, "src_end_s": 10.0 * number + 3.0,
        "tgt_uri": "texts.tsv", "similarity": 0.8, "margin_score": 1.2, "mutual": True,
        "src_mean_similarity": 0.5, "tgt_mean_similarity": 0.5, "run_id": "r",
    }  # fmt: skip
    return found | values


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in PAIR.names} for row in rows], schema=PAIR
    )


def reasons(sifted: Sifted) -> dict[int, str]:
    rows = sifted.rejected.to_pylist()
    return {int(row["row_id"], 16): row["reason"] for row in rows}


def write_gold(folder: Path, *rows: str) -> HeldOutGold:
    uri = folder / "gold.tsv"
    header = "meaning_id\tlang\ttext\tmodality\tsource_uri\tstart_s\tend_s"
    uri.write_text("\n".join([header, *rows]) + "\n")
    return held_out_gold(str(uri), Storage(), str(folder / "sentences.txt"))


PAIRS = st.lists(
    st.fixed_dictionaries(
        {
            "margin_score": st.sampled_from([0.9, 1.0, 1.1, 1.2, 1.3]),
            "mutual": st.booleans(),
            "tgt_text": st.sampled_from(["a", "ten letter", "x" * 40, "y" * 200, "", None]),
            "src_end_s": st.floats(0.0, 30.0),
            "src_modality": st.sampled_from(["speech", "text"]),
            "src_text": st.sampled_from([None, "some words"]),
        }
    ),
    max_size=30,
)
RULES = st.builds(
    Filter,
    mutual_only=st.booleans(),
    max_length_ratio=st.sampled_from([None, 1.0, 1.5, 4.0]),
    max_pairs=st.sampled_from([None, 1, 3, 100]),
)
MARGINS = st.sampled_from([None, 1.0, 1.15, 9.0])


@settings(max_examples=60, deadline=None)
@given(found=PAIRS, rules=RULES, margin=MARGINS)
def test_every_pair_is_kept_or_rejected_once(
    found: list[dict[str, Any]], rules: Filter, margin: float | None
) -> None:
    rows = table(*(pair(number, **{"src_start_s": 0.0} | one) for number, one in enumerate(found)))
    sifted = sift(rows, rules, margin, NO_GOLD)
    checked(sifted.kept, PAIR, "kept")
    checked(sifted.rejected, REJECT, "rejected")
    kept = sifted.kept["pair_id"].to_pylist()
    refused = sifted.rejected["row_id"].to_pylist()
    ids = rows["pair_id"].to_pylist()
    assert [one for one in ids if one in set(kept)] == kept
    assert [one for one in ids if one in set(refused)] == refused
    assert sorted(kept + refused) == ids
    assert set(sifted.rejected["reason"].to_pylist()) <= REJECT_REASONS
    for one in sifted.kept.to_pylist():
        assert margin is None or one["margin_score"] >= margin
        assert one["mutual"] or not rules.mutual_only
    assert rules.max_pairs is None or len(kept) <= rules.max_pairs
    margins = dict(zip(ids, rows["margin_score"].to_pylist(), strict=True))
    for one in sifted.rejected.to_pylist():
        low = margin is not None and margins[one["row_id"]] < margin
        assert (one["reason"] == "below_threshold") == low


@settings(max_examples=60, deadline=None)
@given(found=PAIRS, most=st.integers(1, 10), order=st.randoms(use_true_random=False))
def test_the_best_are_kept_whatever_the_order(
    found: list[dict[str, Any]], most: int, order: Any
) -> None:
    rows = [pair(number, margin_score=one["margin_score"]) for number, one in enumerate(found)]
    wanted = sorted(rows, key=lambda one: (-one["margin_score"], one["pair_id"]))[:most]
    order.shuffle(rows)
    sifted = sift(table(*rows), Filter(max_pairs=most), None, NO_GOLD)
    assert set(sifted.kept["pair_id"].to_pylist()) == {one["pair_id"] for one in wanted}
    assert len(sifted.kept) == min(most, len(rows))


def test_without_a_rule_all_are_kept() -> None:
    rows = table(pair(1, mutual=False, margin_score=0.1), pair(2, tgt_text="no"))
    assert len(sift(rows, OPEN, None, NO_GOLD).kept) == 2
    assert len(sift(table(), Filter(max_length_ratio=2.0, max_pairs=1), 1.0, NO_GOLD).kept) == 0


def test_each_rule_refuses_by_its_reason() -> None:
    rows = table(
        pair(1),
        pair(2, margin_score=1.05),
        pair(3, mutual=False),
        pair(4, src_end_s=40.0 + 9.0),
        pair(5, src_end_s=50.0 + 1.0),
        pair(6, margin_score=1.1),
        pair(7),
    )
    rules = Filter(mutual_only=True, max_length_ratio=2.0, max_pairs=2)
    sifted = sift(rows, rules, 1.06, NO_GOLD)
    assert reasons(sifted) == {
        2: "below_threshold", 3: "not_mutual", 4: "too_long", 5: "too_short", 6: "not_best",
    }  # fmt: skip
    assert [int(one, 16) for one in sifted.kept["pair_id"].to_pylist()] == [1, 7]


def test_length_is_held_against_what_is_usual_for_the_languages() -> None:
    usual = [pair(n, src_modality="text", src_text="x" * 20, tgt_text="y" * 60) for n in range(5)]
    same = pair(9, src_modality="text", src_text="x" * 40, tgt_text="y" * 40)
    found = sift(table(*usual, same), Filter(max_length_ratio=2.0), None, NO_GOLD)
    assert reasons(found) == {9: "too_long"}
    # what is refused by another rule does not say what is usual
    bad = [pair(20 + n, margin_score=0.1, tgt_text="y") for n in range(20)]
    found = sift(table(*usual, *bad), Filter(max_length_ratio=2.0), 1.0, NO_GOLD)
    assert set(reasons(found)) == set(range(20, 40))


@pytest.mark.parametrize(
    "text", [SENTENCE, SENTENCE.upper(), SENTENCE.replace(".", " !"), SENTENCE.replace("p", "b")]
)
@pytest.mark.parametrize("side", ["src", "tgt"])
def test_sentences_of_the_gold_are_refused(tmp_path: Path, text: str, side: str) -> None:
    gold = write_gold(tmp_path, f"m1\teng\t{SENTENCE}\ttext\t\t\t")
    rows = table(pair(1), pair(2, **{f"{side}_text": text}))
    assert reasons(sift(rows, OPEN, None, gold)) == {2: "benchmark_overlap"}


def test_gold_may_be_known_by_its_id(tmp_path: Path) -> None:
    uri = tmp_path / "gold.tsv"
    uri.write_text("meaning_id\tlang\tsegment_id\nm1\teng\tt2\n")
    gold = held_out_gold(str(uri), Storage(), str(tmp_path / "sentences.txt"))
    rows = table(pair(1), pair(2))
    assert reasons(sift(rows, OPEN, None, gold)) == {2: "benchmark_overlap"}


def test_any_moment_of_a_gold_recording_is_refused(tmp_path: Path) -> None:
    gold = write_gold(
        tmp_path,
        "m1\tdeu\t\tspeech\ttalk.wav\t10.0\t12.0",
        "m2\tdeu\t\tspeech\ttalk.wav\t30.0\t31.0",
        "m3\tdeu\t\tspeech\twhole.wav\t\t",
        f"m3\teng\t{SENTENCE}\ttext\t\t\t",
    )

    def spoken(number: int, start_s: float, end_s: float, uri: str = "talk.wav") -> dict[str, Any]:
        return pair(number, src_uri=uri, src_start_s=start_s, src_end_s=end_s)

    rows = table(
        spoken(1, 8.0, 10.0),  # ends where it begins
        spoken(2, 8.0, 10.01),
        spoken(3, 10.5, 11.0),
        spoken(4, 0.0, 60.0),
        spoken(5, 12.0, 30.0),
        spoken(6, 30.9, 40.0),
        spoken(7, 10.5, 11.0, "other.wav"),
        spoken(8, 900.0, 901.0, "whole.wav"),
    )
    refused = reasons(sift(rows, OPEN, None, gold))
    assert refused == dict.fromkeys((2, 3, 4, 6, 8), "benchmark_overlap")


@settings(max_examples=60, deadline=None)
@given(
    held=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(1, 9)), max_size=6),
    heard=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20), st.integers(1, 9)), max_size=9),
)
def test_stretches_as_found_slowly(
    held: list[tuple[int, int, int]], heard: list[tuple[int, int, int]]
) -> None:
    stretches: dict[str, list[tuple[float, float]]] = {}
    for uri, start, length in held:
        stretches.setdefault(f"{uri}.wav", []).append((start, start + length))
    gold = HeldOutGold(
        ids=NO_GOLD.ids,
        guard=NO_GOLD.guard,
        stretches={uri: np.array(some, dtype=np.float64) for uri, some in stretches.items()},
    )
    rows = table(
        *(
            pair(n, src_uri=f"{uri}.wav", src_start_s=float(start), src_end_s=float(start + length))
            for n, (uri, start, length) in enumerate(heard)
        )
    )
    wanted = [
        any(u == uri and s < start + length and start < s + le for u, s, le in held)
        for uri, start, length in heard
    ]
    assert gold.touches(rows).tolist() == wanted


def test_gold_speech_must_have_a_place(tmp_path: Path) -> None:
    uri = tmp_path / "gold.tsv"
    uri.write_text("meaning_id\tlang\tmodality\tsegment_id\nm1\teng\tspeech\tabc\n")
    with pytest.raises(InputError, match="must be named by source_uri"):
        held_out_gold(str(uri), Storage(), str(tmp_path / "sentences.txt"))
