"""From misheard letters to words."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.audio_tokens.conv_ctc_network import SYMBOLS
from encoders.audio_tokens.lexicon import SCHEMA, Confusions, read_speller, write_lexicon
from encoders.audio_tokens.lexicon_search import Costs, Trie, search
from mining.contract.errors import CheckpointError

WORDS = ["haus", "hund", "maus", "der", "die", "das", "in", "garten", "a"]


def written(path, rows):
    columns = [
        pa.array(column, field.type)
        for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)
    ]
    write_lexicon(pa.table(columns, schema=SCHEMA), path)
    return path


@pytest.fixture
def speller(tmp_path):
    rows = [("deu", word.upper(), word, -2.0 - 0.1 * n) for n, word in enumerate(WORDS)]
    rows.append(("zho", "中国", "zhongguo", -1.0))
    rows.append(("zho", "人", "ren", -1.5))
    path = written(tmp_path / "lexicon.parquet", rows)
    return read_speller(path, SYMBOLS, Confusions.guessed(len(SYMBOLS)))


def test_what_is_heard_well_stays(speller):
    assert speller.words("der hund in garten", "deu") == "DER HUND IN GARTEN"
    assert speller.words("derhundingarten", "deu") == "DER HUND IN GARTEN"
    assert speller.words("zhong guo ren", "zho") == "中国人"


def test_what_is_misheard_becomes_the_nearest_words(speller):
    assert speller.words("dr hunt ingaten", "deu") == "DER HUND IN GARTEN"


def test_a_language_without_words_keeps_its_letters(speller):
    assert speller.words("dr hunt", "fra") == "dr hunt"
    assert speller.words(" ", "deu") == " "
    assert speller.languages == ("deu", "zho")


def slow(heard, words, costs, word_costs):
    """Cheapest cost of a row of words for some letters: Dijkstra's way, by brute force."""
    size = len(heard)

    def edit(word, low, high):
        # the first letters of a word may be unheard, and so may the last
        table = np.full((len(word) + 1, high - low + 1), np.inf)
        table[0, 0] = 0.0
        for i in range(len(word) + 1):
            for j in range(high - low + 1):
                if i and j:
                    table[i, j] = min(
                        table[i, j],
                        table[i - 1, j - 1] + costs.given[word[i - 1], heard[low + j - 1]],
                    )
                if i:
                    table[i, j] = min(table[i, j], table[i - 1, j] + costs.given[word[i - 1], 0])
                if i and j:
                    table[i, j] = min(
                        table[i, j], table[i, j - 1] + costs.added[heard[low + j - 1]]
                    )
        return table[-1, -1]

    best = np.full(size + 1, np.inf)
    best[0] = 0.0
    for high in range(1, size + 1):
        unit = heard[high - 1]
        best[high] = best[high - 1] + (0.9 - 0.6 if unit == 1 else costs.added[unit])
        for low in range(high):
            for word, cost in zip(words, word_costs, strict=True):
                found = best[low] + edit(word, low, high) + cost + 0.6
                best[high] = min(best[high], found)
    return best[size]


def cost_of(heard, numbers, words, costs, word_costs):
    """Cheapest cost of these words, in this order, for these letters."""
    best = np.full((len(numbers) + 1, len(heard) + 1), np.inf)
    best[0, 0] = 0.0
    for count in range(len(numbers) + 1):
        for high in range(len(heard) + 1):
            if high:
                unit = heard[high - 1]
                best[count, high] = min(
                    best[count, high],
                    best[count, high - 1] + (0.3 if unit == 1 else costs.added[unit]),
                )
            if count:
                word = words[numbers[count - 1]]
                for low in range(high):
                    alone = slow(heard[low:high], [word], costs, [word_costs[numbers[count - 1]]])
                    best[count, high] = min(best[count, high], best[count - 1, low] + alone)
    return best[-1, -1]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_the_search_finds_what_brute_force_finds(heard, seed):
    rng = np.random.default_rng(seed)
    costs = Costs(given=rng.uniform(0.1, 3, (6, 6)), added=rng.uniform(1, 3, 6))
    costs.given[np.arange(6), np.arange(6)] = 0.05
    words = [(2, 3), (3,), (4, 5, 2), (2, 3, 3)]
    prior = rng.uniform(0.5, 2, len(words))
    trie = Trie.of([str(n) for n in range(4)], words, -prior)
    numbers = search(np.array(heard, np.int16), trie, costs, 1.0)
    wanted = slow(heard, words, costs, prior)
    if not numbers:  # nothing but letters between words
        only = sum(0.3 if unit == 1 else costs.added[unit] for unit in heard)
        assert only == pytest.approx(wanted)
        return
    assert cost_of(heard, numbers, words, costs, prior) <= wanted + 1e-9


def test_of_two_words_that_sound_alike_the_likelier_one_is_taken(tmp_path):
    rows = [("eng", "write", "rait", -3.0), ("eng", "right", "rait", -2.0)]
    path = written(tmp_path / "lexicon.parquet", rows)
    speller = read_speller(path, SYMBOLS, Confusions.guessed(len(SYMBOLS)))
    assert speller.words("rait", "eng") == "right"


@pytest.mark.parametrize("fault", ["cut", "columns", "letters", "missing"])
def test_a_damaged_lexicon_is_one_line(tmp_path, fault):
    path = written(
        tmp_path / "lexicon.parquet", [("eng", "a", "ä" if fault == "letters" else "a", -1)]
    )
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif fault == "columns":
        pa.parquet.write_table(pa.table({"lang": ["eng"]}), path)
    elif fault == "missing":
        path.unlink()
    with pytest.raises(CheckpointError) as error:
        read_speller(path, SYMBOLS, Confusions.guessed(len(SYMBOLS)))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
