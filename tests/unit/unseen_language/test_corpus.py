"""What is judged is learned from in no language, and what is known of a language from text."""

import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = ("der", "wald", "ist", "dunkel", "und", "tief", "aber", "ich", "habe", "noch", "weg", "mir")


def write(folder, lang, texts):
    path = folder / "story_game" / f"{lang}.tsv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("id\ttext\n" + "".join(f"{n}\t{text}\n" for n, text in enumerate(texts)))


@pytest.fixture
def packages(tmp_path):
    rng = np.random.default_rng(0)
    english = [" ".join(rng.choice(WORDS, 6)) for _ in range(400)]
    write(tmp_path, "eng", english)
    write(tmp_path, "ita", [f"Così {text}" for text in english])
    write(tmp_path, "deu", [f"Also {text}!" for text in english])
    return tmp_path


def test_a_judged_meaning_is_learned_in_no_language(example, packages):
    corpus = example("corpus")
    found = {lang: corpus.read_sentences(packages, lang) for lang in ("eng", "ita", "deu")}
    learned = {one.english for some in found.values() for one in some.learned}
    judged = {one.english for some in found.values() for one in some.judged}
    assert len(learned) > 300
    assert len(judged) > 20
    assert not learned & judged
    assert all(one.text == one.english for one in found["eng"].learned)
    assert all(one.text == f"Così {one.english}" for one in found["ita"].judged)


def test_each_meaning_is_judged_once(example, tmp_path):
    corpus = example("corpus")
    meaning = next(text for n in range(99) if corpus.is_judged(text := "the dark wood" + "s" * n))
    write(tmp_path, "eng", [meaning, meaning])
    write(tmp_path, "ita", ["il bosco scuro", "la selva oscura"])
    assert len(corpus.read_sentences(tmp_path, "ita").judged) == 1


def test_case_and_punctuation_do_not_decide(example):
    corpus = example("corpus")
    texts = [f"{word} {other}" for word in WORDS for other in WORDS]
    plain = [corpus.is_judged(text) for text in texts]
    assert plain == [corpus.is_judged(f"“{text.title()}”, ...") for text in texts]
    assert 0.05 < np.mean(plain) < 0.25


def test_sentences_are_kept_as_letters(example, tmp_path):
    corpus = example("corpus")
    found = [corpus.Sentence("Тёмный лес!", "A dark forest."), corpus.Sentence("«…»", "...")]
    corpus.save_sentences(tmp_path / "text" / "rus.tsv", found)
    (kept,) = corpus.load_sentences(tmp_path / "text" / "rus.tsv")
    assert kept.text.startswith("t")
    assert kept.text.isascii()
    assert kept.english == "a dark forest"


def test_what_is_known_from_text(example):
    corpus = example("corpus")
    learned = [corpus.Sentence("il bosco scuro e profondo", "the dark and deep wood")] * 50
    rng = np.random.default_rng(0)
    assert corpus.text_pairs(learned, "none", rng) == []
    alone = corpus.text_pairs(learned, "monolingual", rng)
    both = corpus.text_pairs(learned, "parallel", rng)
    assert {pair[1:] for pair in alone} == {(learned[0].text, False)}
    assert {pair[1:] for pair in both} == {(learned[0].english, True)}
    assert len({pair[0] for pair in alone}) > 20


def test_speakable_is_neither_short_nor_long(example):
    corpus = example("corpus")
    texts = ["Ja.", "Der Wald ist dunkel.", "x" * 71, "Aber ich habe noch einen Weg."]
    found = corpus.speakable([corpus.Sentence(text, "") for text in texts], 9)
    assert [one.text for one in found] == [texts[1], texts[3]]
    assert len(corpus.speakable([corpus.Sentence(texts[1], "")] * 5, 2)) == 2


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join),
    seed=st.integers(0, 99),
)
def test_noise_leaves_letters(example, text, seed):
    corpus = example("corpus")
    found = corpus.noisy(text, np.random.default_rng(seed))
    assert found == corpus.noisy(text, np.random.default_rng(seed))
    assert found
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz ")
    assert found == " ".join(found.split())


def test_noise_changes_fifteen_letters_in_a_hundred(example):
    corpus = example("corpus")
    rng = np.random.default_rng(0)
    text = "a" * 20_000
    found = corpus.noisy(text, rng)
    others = sum(letter != "a" for letter in found)  # two kinds in three, but 1 of 27 draws an a
    assert 0.08 < others / len(text) < 0.12
    assert 0.97 < len(found.replace(" ", "")) / len(text) < 1.0
