"""What pairs there are, and that a model learns from them."""

from pathlib import Path

import numpy as np
import pytest

from encoders.dual.items import Spoken


@pytest.fixture
def heard(example, units_of):
    corpus, lessons = example("corpus"), example("lessons")

    def make(lang, *said):
        return lessons.Heard(
            lang=lang,
            units=[units_of(text) for text, _ in said],
            said=[corpus.Sentence(*one) for one in said],
        )

    return make


def test_speech_goes_with_its_text_and_its_translation(example, heard):
    found = [
        heard("deu", ("wald", "wood"), ("weg", "")),
        heard("eng", ("wood", "wood")),
    ]
    transcribe, translate = example("lessons").speech_pairs(found)
    pairs = [transcribe.pair(row) for row in range(len(transcribe))]
    assert [(p.source.lang, p.target.text, p.target.lang) for p in pairs] == [
        ("deu", "wald", "deu"),
        ("deu", "weg", "deu"),
        ("eng", "wood", "eng"),
    ]
    (pair,) = (translate.pair(row) for row in range(len(translate)))
    assert (pair.target.text, pair.target.lang) == ("wood", "eng")
    assert pair.source.regions[0].tolist() == found[0].units[0].tolist()
    # no negatives of each other: one sentence in two languages, and the same said and written
    assert pair.source_key == pairs[0].source_key
    assert pair.target_key == pairs[2].source_key


def test_text_pairs_name_their_languages(example):
    found = example("lessons").text_pairs(
        {"ita": [("bosc", "bosco", False)], "deu": [("vald", "wood", True)]}
    )
    pairs = [found.pair(row) for row in range(len(found))]
    assert [(p.source.lang, p.source.text, p.target.lang, p.target.text) for p in pairs] == [
        ("ita", "bosc", "ita", "bosco"),
        ("deu", "vald", "eng", "wood"),
    ]


@pytest.mark.parametrize("tie", ["own", "spelling"])
def test_speech_finds_its_translation_after_lessons(example, card, heard, tie):
    lessons, judging, tower = example("lessons"), example("judging"), example("tower")
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("aeioulnrst"), 6)) for _ in range(80)]
    meanings = ["".join(rng.choice(list("abcdfghkmz"), 6)) for _ in range(80)]
    said = [
        (" ".join(words[n] for n in some), " ".join(meanings[n] for n in some))
        for some in rng.integers(0, 80, (300, 4))
    ]
    model = tower.new_encoder(card, Path("nowhere"), tie, 0)
    case = judging.Case(kind="synthetic", heard=heard("deu", *said[200:]), others=[])
    before = {one.target: one.recall for one in judging.judged(model, case)}
    sources = lessons.speech_pairs([heard("deu", *said[:200])])
    lessons.teach(model, sources, lessons.Pace(steps=40, batch=32, rate=1e-2), 0)
    after = {one.target: one.recall for one in judging.judged(model, case)}
    assert before["eng"] < 0.1
    assert after["eng"] > 0.5
    assert all(isinstance(source.pair(0).source, Spoken) for source in sources)
