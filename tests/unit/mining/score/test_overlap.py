from __future__ import annotations

import pytest

from mining.contract.errors import InputError
from mining.contract.ids import pair_id
from mining.contract.schemas import BACKWARD, FORWARD, NEIGHBOR, REJECT, checked
from mining.score import CANDIDATE, ScoreSettings, Spans, score_candidates, select, select_spans
from mining.score import overlap as module
from tests.reference.neighbors import neighbor_table
from tests.reference.speech import Span, spans_of

# a sentence of two regions, its halves, a run beyond it, and what follows
SPANS: dict[str, Span] = {
    "left": (0, 0, 10),
    "right": (0, 10, 20),
    "whole": (0, 0, 20),
    "long": (0, 0, 30),
    "next": (0, 20, 30),
    "other": (2, 0, 30),
    "text": (None, 0, 0),
}


def selected(
    scores: dict[tuple[str, str], float],
    src: Spans | None = None,
    tgt: Spans | None = None,
    **fields: object,
) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """Pairs kept as ``source target``, and reason and detail of the others."""
    tables = []
    for direction, end in ((FORWARD, 0), (BACKWARD, 1)):
        rank: dict[str, int] = {}
        rows = []
        for pair, score in sorted(scores.items(), key=lambda item: (-item[1], item[0])):
            rank[pair[end]] = rank.get(pair[end], 0) + 1
            rows.append((pair[end], pair[1 - end], score, rank[pair[end]]))
        tables.append(neighbor_table(rows, direction))
    settings = ScoreSettings(**{"k": 9, "margin": "absolute"} | fields)
    candidates = score_candidates(*tables, settings)
    kept, rejected = select_spans(candidates, settings, src, tgt)
    assert kept.schema.equals(CANDIDATE)
    checked(rejected, REJECT, "rejects")
    assert kept.num_rows + rejected.num_rows == len(scores)
    names = {pair_id(*pair): " ".join(pair) for pair in scores}
    return (
        [f"{r['src_segment_id']} {r['tgt_segment_id']}" for r in kept.to_pylist()],
        {names[r["row_id"]]: (r["reason"], r["detail"]) for r in rejected.to_pylist()},
    )


HERE = spans_of(SPANS)


def test_the_whole_sentence_beats_two_fragments_of_other_texts():
    scores = {("whole", "p"): 1.4, ("left", "q"): 1.25, ("right", "r"): 1.25, ("other", "s"): 1.0}
    kept, lost = selected(scores, HERE)
    assert kept == ["whole p", "other s"]
    assert lost == {
        f"{half} {text}": ("overlap", f"margin_score 1.25, overlaps {pair_id('whole', 'p')}")
        for half, text in (("left", "q"), ("right", "r"))
    }


def test_two_good_pairs_beat_a_run_over_both():
    scores = {("whole", "p"): 1.3, ("next", "q"): 1.3, ("long", "r"): 1.35, ("other", "s"): 1.0}
    kept, lost = selected(scores, HERE)
    assert kept == ["next q", "whole p", "other s"]
    assert lost["long r"][0] == "overlap"


def test_a_text_whose_segment_lost_gets_another():
    # p is best with the long run, which loses to whole + next; p then goes to the other recording
    scores = {
        ("long", "p"): 1.35,
        ("whole", "q"): 1.3,
        ("next", "r"): 1.3,
        ("other", "p"): 1.2,
        ("text", "s"): 1.0,
    }
    kept, _ = selected(scores, HERE)
    assert kept == ["next r", "whole q", "other p", "text s"]


def test_a_stretch_whose_pair_lost_one_to_one_is_free_again():
    # both runs want p; the loser holds its stretch in the first round only
    scores = {("other", "p"): 1.4, ("whole", "p"): 1.35, ("left", "q"): 1.1, ("text", "s"): 1.0}
    kept, lost = selected(scores, HERE)
    assert kept == ["other p", "left q", "text s"]
    assert lost["whole p"] == ("not_best", "margin_score 1.35")


def test_the_rest_after_the_last_round_is_not_best(monkeypatch):
    monkeypatch.setattr(module, "_MAX_ROUNDS", 1)
    scores = {("other", "p"): 1.4, ("whole", "p"): 1.35, ("left", "q"): 1.1, ("text", "s"): 1.0}
    kept, lost = selected(scores, HERE)
    assert kept == ["other p", "text s"]
    assert lost["left q"][0] == "not_best"


def test_all_pairs_of_a_segment_stay_or_go_together():
    scores = {("whole", "p"): 1.4, ("whole", "q"): 1.1, ("left", "p"): 1.2, ("left", "q"): 1.15}
    kept, lost = selected(scores, HERE, select="all")
    assert kept == ["whole p", "whole q"]
    assert {reason for reason, _ in lost.values()} == {"overlap"}


def test_both_sides_of_speech():
    scores = {("left", "long"): 1.3, ("right", "whole"): 1.2, ("next", "other"): 1.1}
    kept, lost = selected(scores, HERE, HERE)
    assert kept == ["left long", "next other"]
    assert lost == {
        "right whole": ("overlap", f"margin_score 1.2, overlaps {pair_id('left', 'long')}")
    }


def test_a_source_beaten_by_what_then_loses_its_target_returns():
    scores = {
        ("whole", "long"): 1.25,  # beats left, then its target loses to other recordings' pairs
        ("left", "text"): 1.1,
        ("other", "left"): 1.3,
        ("next", "right"): 1.3,
        ("text", "other"): 1.0,
    }
    kept, _ = selected(scores, HERE, HERE, select="all")
    assert kept == ["next right", "other left", "left text", "text other"]


def test_pairs_at_the_threshold_are_kept_where_they_take_nothing():
    scores = {("left", "p"): 1.0, ("right", "q"): 1.0}
    assert selected(scores, HERE, threshold=1.0)[0] == ["left p", "right q"]


def test_without_spans_it_is_select():
    scores = {("whole", "p"): 1.4, ("left", "p"): 1.2, ("left", "q"): 1.1, ("next", "q"): 1.0}
    kept, lost = selected(scores)
    assert kept == ["whole p", "left q"]
    assert {reason for reason, _ in lost.values()} == {"not_best"}


def test_nothing_is_selected_from_nothing():
    empty = NEIGHBOR.empty_table()
    for strategy in ("max", "all"):
        settings = ScoreSettings(select=strategy)
        candidates = score_candidates(empty, empty, settings, HERE)
        found = select_spans(candidates, settings, HERE)
        assert [t.num_rows for t in found] == [0, 0]
        assert all(a.equals(b) for a, b in zip(found, select(candidates, settings), strict=True))


def test_a_segment_without_a_span_is_refused():
    with pytest.raises(InputError, match="'stranger' has not"):
        selected({("left", "p"): 1.0, ("stranger", "p"): 0.5}, HERE)
