"""Training of the builtin encoder, in small: data, refusal, glosses, one short run."""

import gzip

import numpy as np
import pytest

from encoders import embed_texts, load_encoder
from encoders.train.distill import Schedule, Targets, _join, save, train
from encoders.train.distill_corpus import Ragged, build_corpus
from encoders.train.distill_data import FLORES, Refused, Row, load_rows
from encoders.train.gloss import Glossary
from encoders.wordbag import WordBagConfig
from mining.threads import torch_threads

WORDS = {"dog": "Hund", "cat": "Katze", "sees": "sieht", "house": "Haus", "old": "alt"}
ROWS = [Row("deu", german, english, "dictionaries") for english, german in WORDS.items()] + [
    Row("deu", "der Hund sieht das Haus", "the dog sees the house", "story_game"),
    Row("deu", "die Katze ist alt", "the cat is old", "story_game"),
]
LONG = "one two three four five six seven eight nine"


@pytest.fixture(scope="module")
def corpus():
    return build_corpus(ROWS, 500)


def decoded(tokens, corpus):
    """Texts whose only token is each of the given tokens."""
    first = {
        int(corpus.tokens.take(np.array([corpus.text[row]]))[0][0]): ROWS[row].text
        for row in range(len(WORDS))
    }
    return [first.get(int(token), "?") for token in tokens]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("A Quiet  TOWN!", True),
        (f"and then {LONG} came", True),
        ("one two three four five six seven", False),
        ("東京の空は今日も青く澄んでいて風もなくとても静かだったとさ、めでたし", True),
        ("quiet", False),
    ],
)
def test_texts_of_evaluation_sets_are_refused(tmp_path, text, refused):
    held = tmp_path / "held.txt"
    japanese = "昔々東京の空は今日も青く澄んでいて風もなくとても静かだったとさ"
    held.write_text(f"a quiet town\r\n{LONG}\r\nx\tdeu\t{japanese}\r\n")
    assert Refused([held]).overlaps(text) is refused


def test_rows_are_cleaned_joined_by_id_and_refused(tmp_path):
    flores = tmp_path / "text/flores200_dev"
    flores.mkdir(parents=True)
    for code in FLORES.values():
        (flores / f"{code}.dev").write_text("hello\n")
    folder = tmp_path / "text/packages/story_game"
    folder.mkdir(parents=True)
    (tmp_path / "text/packages/dictionaries").mkdir()
    for name in ("office_help", "desktop_guide", "wiki_interface", "office_interface",
                 "cldr_names", "map_tags"):  # fmt: skip
        (tmp_path / "text/packages" / name).mkdir()
        with gzip.open(tmp_path / "text/packages" / name / "eng.tsv.gz", "wt"):
            pass
    with gzip.open(folder / "eng.tsv.gz", "wt") as file:
        file.write("1\t<b>The dog</b>\n2\tSecret text\n3\t%d\n")
    with gzip.open(folder / "deu.tsv.gz", "wt") as file:
        file.write("2\tGeheim\n1\tDer {x} Hund\n3\t%d\n9\tallein\n")
    held = tmp_path / "held.txt"
    held.write_text("secret text\n")
    rows = [row for row in load_rows(tmp_path, None, [held]) if row.source != "flores"]
    assert rows == [Row("deu", "Der Hund", "The dog", "story_game")]


def test_ragged_take_and_keep():
    ragged = Ragged(values=np.array([1, 2, 3, 4, 5], np.int32), offsets=np.array([0, 2, 2, 5]))
    values, starts = ragged.take(np.array([2, 0]))
    assert values.tolist() == [3, 4, 5, 1, 2]
    assert starts.tolist() == [0, 3]
    kept = ragged.keep(np.array([True, False, False, True, True]))
    assert kept.offsets.tolist() == [0, 1, 1, 3]


def test_joined_lists_are_followed_by_the_next():
    tokens, starts = np.array([1, 2, 3, 4], np.int32), np.array([0, 2, 3])
    values, begins = _join(tokens, starts, np.array([True, False, False]))
    assert values.tolist() == [1, 2, 3, 3, 4]
    assert begins.tolist() == [0, 3, 4]


def test_a_table_holds_no_more_than_it_may():
    small = build_corpus(ROWS, 20)
    assert len(small.keys) == 20
    assert (np.diff(small.keys.astype(np.int64)) > 0).all()
    assert small.features.values.max() < 20
    assert small.chance.sum() == pytest.approx(1)


def test_glosses_are_translations_word_by_word(corpus):
    sentence = np.array([len(WORDS)])
    tokens, sizes = Glossary(corpus).translate(sentence, np.random.default_rng(0))
    words = [word for word in decoded(tokens, corpus) if word != "?"]
    assert words == ["Hund", "sieht", "Haus"]
    assert sizes.sum() == len(tokens)


def test_a_short_run_learns_and_is_saved(corpus, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(len(ROWS), 512)).astype(np.float16)
    targets = Targets(vectors=vectors, of_row=np.arange(len(ROWS)))
    config = WordBagConfig(rows=len(corpus.keys), width=16, word=24, hidden=16, pair=8)
    schedule = Schedule(steps=100, batch=16, table_rate=2e-2, head_rate=1e-2, warm_up=5)
    with torch_threads(1):
        student = train(corpus, targets, config, schedule, seed=0)
    save(student, corpus.keys, tmp_path)
    encoder = load_encoder(str(tmp_path), device="cpu")
    found = embed_texts(encoder, [row.text for row in ROWS], "eng")
    assert (found @ vectors.T.astype(np.float32)).argmax(axis=1).tolist() == list(range(len(ROWS)))
