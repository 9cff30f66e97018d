"""Speech is judged by its place: hits, queries, boundaries, the shuffled control, speakers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from mining.evaluate.bitext import precision_recall_f1
from mining.evaluate.controls import shuffled_rows
from mining.evaluate.gold import GOLD, PairKey, pair_gold
from mining.evaluate.judge import JudgeSettings, Side, Trial, evaluate
from mining.evaluate.locate import locate_speech
from mining.evaluate.render import render

RATE_HZ = 16000
SPEECH_TEXT = PairKey(src_modality="speech", src_lang="deu", tgt_lang="eng")
TEXT_SPEECH = PairKey(tgt_modality="speech", src_lang="eng", tgt_lang="deu")
SETTINGS = JudgeSettings(resamples=300)
# Candidates about a gold stretch from 10 s to 14 s: exact, half of it, too little (.43), elsewhere.
CANDIDATES_S = ((10.0, 14.0), (12.0, 14.0), (11.0, 16.9), (20.0, 24.0))


def spoken(meaning: str, uri: str, lang: str = "deu", **values: object) -> dict[str, object]:
    row = {"meaning_id": meaning, "lang": lang, "modality": "speech", "segment_id": f"?{uri}"}
    return {**row, "source_uri": uri, "start_s": 10.0, "end_s": 14.0, **values}


def written(meaning: str, segment_id: str, lang: str = "eng") -> dict[str, object]:
    return {"meaning_id": meaning, "lang": lang, "modality": "text", "segment_id": segment_id}


def segments_of(*places: tuple[str, str, float, float]) -> pa.Table:
    """Of (id, uri, start, end) in seconds."""
    ids, uris, starts, ends = zip(*places, strict=True)
    first = [round(RATE_HZ * start) for start in starts]
    return pa.table(
        {
            "segment_id": list(ids),
            "source_uri": list(uris),
            "channel": pa.nulls(len(ids), pa.int16()),
            "start_sample": first,
            "num_samples": [round(RATE_HZ * end) - f for end, f in zip(ends, first, strict=True)],
            "sample_rate_hz": [RATE_HZ] * len(ids),
        }
    )


def candidates_of(uri: str) -> list[tuple[str, str, float, float]]:
    return [(f"{uri}#{n}", uri, *times) for n, times in enumerate(CANDIDATES_S)]


def gold_of(rows: list[dict[str, object]], segments: pa.Table, key: PairKey = SPEECH_TEXT):
    return pair_gold(locate_speech(pa.Table.from_pylist(rows, schema=GOLD), segments), key)


def pairs_of(*rows: tuple[str, str, float]) -> pa.Table:
    sources, targets, scores = zip(*rows, strict=True)
    return pa.table(
        {
            "src_segment_id": list(sources),
            "tgt_segment_id": list(targets),
            "margin_score": pa.array(scores, pa.float32()),
        }
    )


def make_trial(key: PairKey = SPEECH_TEXT, golds: int = 60, **speaker: object) -> Trial:
    """Recordings of four candidates each against as many texts; each source takes its nearest."""
    rng = np.random.default_rng(11)
    uris = [f"{n:03d}.wav" for n in range(golds)]
    segments = segments_of(*(c for uri in uris for c in candidates_of(uri)))
    rows = [written(f"m{n}", f"eng{n}") for n in range(golds)]
    rows += [spoken(f"m{n}", uri, **speaker) for n, uri in enumerate(uris)]
    texts = rng.standard_normal((2 * golds, 16))
    noise = rng.standard_normal((golds, 4, 16))
    audio = texts[:golds, None] + np.array([0.5, 0.8, 2.0, 100.0])[:, None] * noise
    audio = audio.reshape(-1, 16)
    texts, audio = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (texts, audio))
    ids = [f"eng{n}" for n in range(2 * golds)], segments["segment_id"].to_pylist()
    sides = [
        Side(ids=pa.array(names), lengths=rng.integers(20, 90, len(names)), vectors=vectors)
        for names, vectors in zip(ids, (texts, audio), strict=True)
    ]
    target, source = sides if key == SPEECH_TEXT else sides[::-1]
    similarity = source.vectors @ target.vectors.T
    chosen = target.ids.take(pa.array(similarity.argmax(axis=1)))
    scored = zip(source.ids.to_pylist(), chosen.to_pylist(), similarity.max(axis=1), strict=True)
    return Trial(
        key=key,
        gold=gold_of(rows, segments, key),
        pairs=pairs_of(*scored),
        source=source,
        target=target,
    )


def test_a_gold_found_again_counts_neither_for_nor_against():
    gold = gold_of([spoken("m1", "a"), written("m1", "e1")], segments_of(*candidates_of("a")))
    twice = pairs_of(("a#0", "e1", 1.2), ("a#1", "e1", 1.1))
    score = precision_recall_f1(twice, gold, 0.0)
    assert (score.mined, score.right, score.golds) == (1, 1, 1)
    # too little of the gold's time is no hit, whatever it is paired with
    score = precision_recall_f1(pairs_of(("a#2", "e1", 1.2), ("a#3", "e1", 1.1)), gold, 0.0)
    assert (score.mined, score.right) == (2, 0)


@pytest.mark.parametrize(
    ("start", "end"), [(6.0, 14.0), (10.0, 18.0), (12.0, 14.0), (10.0, 12.0), (8.0, 16.0)]
)
def test_half_of_the_time_together_is_enough(start: float, end: float):
    """The longest, the shortest, the earliest and the latest that may match 10 to 14 s."""
    long = end - start > 4
    less = (start - 0.01, end + 0.01) if long else (start + 0.01, end - 0.01)
    places = [("enough", "a", start, end), ("less", "a", *less)]
    gold = gold_of([spoken("m1", "a"), written("m1", "e1")], segments_of(*places))
    assert gold.of_sources(pa.array(["enough", "less"])).tolist() == [0, -1]


def test_several_recordings_of_a_sentence_are_alternatives_that_each_ask_once():
    segments = segments_of(*candidates_of("a"), *candidates_of("b"))
    gold = gold_of([spoken("m1", "a"), spoken("m1", "b"), written("m1", "e1")], segments)
    assert gold.meanings == ("m1",)
    ids = segments["segment_id"]
    assert gold.of_sources(ids).tolist() == [0, 0, -1, -1] * 2
    assert gold.queries(ids).tolist() == [0, -1, -1, -1] * 2


def test_a_sentence_may_be_read_and_heard_in_one_language():
    key = PairKey(src_modality="speech", src_lang="deu", tgt_lang="deu")
    rows = [spoken("m1", "a"), written("m1", "d1", "deu"), written("m2", "d2", "deu")]
    gold = gold_of(rows, segments_of(*candidates_of("a")), key)
    assert gold.meanings == ("m1",)
    assert gold.of_targets(pa.array(["d1", "d2"])).tolist() == [0, -1]
    assert gold_of(rows, segments_of(*candidates_of("a")), replace(key, src_modality="text"))


def test_a_whole_recording_is_as_long_as_its_segments_and_has_no_boundaries():
    rows = [spoken("m1", "a", start_s=None, end_s=None), written("m1", "e1")]
    places = [("clip", "a", 0.0, 7.3), ("cut", "b", 0.0, 7.3)]
    gold = gold_of(rows, segments_of(*places))
    assert gold.of_sources(pa.array(["clip", "cut"])).tolist() == [0, -1]
    assert np.isnan(gold.source_errors_ms(pa.array(["clip"]))).all()


def test_speech_that_nothing_matches_is_missed():
    rows = [spoken("m1", "a"), spoken("m2", "gone"), written("m1", "e1"), written("m2", "e2")]
    gold = gold_of(rows, segments_of(*candidates_of("a")))
    assert gold.meanings == ("m1", "m2")
    score = precision_recall_f1(pairs_of(("a#0", "e1", 1.0)), gold, 0.0)
    assert (score.recall, score.precision) == (0.5, 1.0)


def test_boundary_errors_are_those_of_the_best_pair_of_each_gold():
    uris = ["a", "b", "c"]
    rows = [row for u in uris for row in (spoken(u, u), written(u, f"e{u}"))]
    segments = segments_of(
        *(("a0", "a", 10.1, 14.0), ("a1", "a", 10.7, 14.0)),
        *(("b0", "b", 9.8, 14.5), ("c0", "c", 10.4, 12.9)),
    )
    gold = gold_of(rows, segments)
    pairs = pairs_of(("a1", "ea", 1.1), ("a0", "ea", 1.3), ("b0", "eb", 1.2), ("c0", "ec", 1.2))
    speech = Side(ids=segments["segment_id"].combine_chunks(), lengths=np.array([1, 2, 3, 4]))
    text = Side(ids=pa.array(["ea", "eb", "ec"]), lengths=np.array([1, 2, 3]))
    trial = Trial(key=SPEECH_TEXT, gold=gold, pairs=pairs, source=speech, target=text)
    evaluation = evaluate([trial], SETTINGS)
    (side,) = evaluation.pairs[0].boundaries
    assert (side.side, side.hits) == ("source", 3)
    # starts 100, 200, 400 ms; ends 0, 500, 1100 ms
    found = (side.start_median_ms, side.start_p90_ms, side.end_median_ms, side.end_p90_ms)
    assert found == pytest.approx((200, 360, 500, 980))
    assert evaluation.boundaries == (side,)
    twice = evaluate([trial, trial], SETTINGS)
    assert twice.boundaries[0].hits == 6
    assert "pooled" in render(evaluation)
    assert "360" in render(evaluation)
    rows = evaluation.to_table().to_pylist()
    assert [r["value"] for r in rows if r["metric"] == "source_start_p90_ms"] == [
        pytest.approx(360)
    ] * 2


@pytest.mark.parametrize("key", [SPEECH_TEXT, TEXT_SPEECH], ids=["speech-text", "text-speech"])
def test_shuffled_audio_falls_to_chance_and_the_audio_itself_does_not(key: PairKey):
    trial = make_trial(key)
    evaluation = evaluate([trial], SETTINGS)
    for metric in ("recall", "f1", "best_f1", "recall_at_1", "mrr"):
        figure = evaluation.macro[metric]
        assert figure.value > 0.4
        assert figure.low > figure.shuffled + 0.3
        assert figure.shuffled < 0.1
    xsim = evaluation.macro["xsim"]
    assert xsim.value < 0.5
    assert xsim.shuffled > 0.9
    assert "shuffled-audio control" in render(evaluation)
    assert evaluate([trial], SETTINGS) == evaluation


def test_shuffled_audio_is_what_mining_shuffled_vectors_would_give():
    """The figures of vectors really dealt out, mined and searched again."""
    trial = make_trial(golds=12)
    to = shuffled_rows(len(trial.source.ids), np.random.default_rng([SETTINGS.seed, 2]))
    dealt = np.empty_like(trial.source.vectors)
    dealt[to] = trial.source.vectors
    similarity = dealt @ trial.target.vectors.T
    chosen = trial.target.ids.take(pa.array(similarity.argmax(axis=1)))
    names = trial.source.ids.to_pylist(), chosen.to_pylist()
    again = replace(
        trial,
        pairs=pairs_of(*zip(*names, similarity.max(axis=1), strict=True)),
        source=replace(trial.source, vectors=dealt),
    )
    expected = evaluate([again], SETTINGS).macro
    shuffled = evaluate([trial], SETTINGS).macro
    assert {n: f.shuffled for n, f in shuffled.items()} == pytest.approx(
        {n: f.value for n, f in expected.items()}
    )


def test_text_has_neither_shuffled_audio_nor_boundaries():
    trial = make_trial()
    gold = pair_gold(
        pa.Table.from_pylist([written("m", "000.wav#0", "deu"), written("m", "eng0")], schema=GOLD),
        key := PairKey(src_lang="deu", tgt_lang="eng"),
    )
    evaluation = evaluate([replace(trial, key=key, gold=gold)], SETTINGS)
    assert {figure.shuffled for figure in evaluation.macro.values()} == {None}
    assert evaluation.boundaries == ()
    assert "random control" in render(evaluation)
    assert "boundary" not in render(evaluation)


def test_only_the_best_segment_of_a_recording_is_searched_for():
    trial = make_trial(golds=20)
    figures = evaluate([trial], SETTINGS).macro
    best = np.arange(0, 80, 4)
    right = (trial.source.vectors @ trial.target.vectors.T).argmax(axis=1)[best] == np.arange(20)
    assert figures["recall_at_1"].value == pytest.approx(right.mean())


def test_speakers_whose_golds_rise_and_fall_together_widen_the_interval():
    golds, speakers = 60, 6
    uris = [f"{n:03d}.wav" for n in range(golds)]
    segments = segments_of(*(c for uri in uris for c in candidates_of(uri)))
    # of every second speaker everything is found, of the others nothing
    pairs = pairs_of(
        *((f"{u}#0", f"eng{n}", 1.0) for n, u in enumerate(uris) if n % speakers < speakers // 2)
    )
    source = Side(ids=segments["segment_id"].combine_chunks(), lengths=np.full(4 * golds, 9))
    target = Side(ids=pa.array([f"eng{n}" for n in range(golds)]), lengths=np.full(golds, 9))

    def interval(named: bool) -> float:
        rows = [written(f"m{n}", f"eng{n}") for n in range(golds)]
        rows += [
            spoken(f"m{n}", uri, speaker=f"s{n % speakers}" if named else None)
            for n, uri in enumerate(uris)
        ]
        gold = gold_of(rows, segments)
        trial = Trial(key=SPEECH_TEXT, gold=gold, pairs=pairs, source=source, target=target)
        figure = evaluate([trial], SETTINGS).macro["recall"]
        assert figure.value == 0.5
        return figure.high - figure.low

    # the standard error grows by the root of the ten golds of a speaker
    assert interval(named=True) > 2.5 * interval(named=False)


def test_a_speaker_is_drawn_on_whichever_side_the_speech_is():
    assert make_trial(TEXT_SPEECH, golds=5, speaker="one").gold.units == (("speaker", "one"),) * 5
    assert make_trial(golds=5, speaker="one").gold.units == (("speaker", "one"),) * 5


@pytest.mark.parametrize("speakers", ["ab", "ba"])
def test_a_meaning_of_several_speakers_goes_with_the_least(speakers: str):
    rows = [spoken("m1", uri, speaker=name) for uri, name in zip("xy", speakers, strict=True)]
    gold = gold_of([*rows, written("m1", "e1")], segments_of(*candidates_of("x")))
    assert gold.units == (("speaker", "a"),)
