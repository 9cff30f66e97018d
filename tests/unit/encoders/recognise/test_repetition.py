from hypothesis import given
from hypothesis import strategies as st

from encoders.recognise.repetition import LONGEST_PHRASE_WORDS, MAX_REPEATS, cut_repetitions
from mining.contract.speech import Word

ALPHABET = st.sampled_from(["a", "b", "Hm,", "hm", "...", "谢", "thank you"])


def words_of(texts) -> list[Word]:
    return [
        Word(text=text, start_s=i, end_s=i + 1, logprob=-1.0, tokens=1)
        for i, text in enumerate(texts)
    ]


def texts_of(words) -> list[str]:
    return [word.text for word in words]


def holds_loop(keys) -> bool:
    """Slow and obvious: some phrase stands more than MAX_REPEATS times in a row."""
    for start in range(len(keys)):
        for length in range(1, LONGEST_PHRASE_WORDS + 1):
            phrase = keys[start : start + length]
            if len(phrase) == length and keys[start:][: length * (MAX_REPEATS + 1)] == phrase * (
                MAX_REPEATS + 1
            ):
                return True
    return False


def key(text: str) -> str:
    return text.casefold().strip(",") if text != "..." else text


@given(st.lists(ALPHABET, max_size=30))
def test_touches_nothing_without_loops_and_leaves_none(texts):
    words = words_of(texts)
    kept, cut = cut_repetitions(words)
    assert cut == holds_loop([key(text) for text in texts])
    if not cut:
        assert list(kept) == words
    assert not holds_loop([key(text) for text in texts_of(kept)])
    assert cut_repetitions(kept) == (kept, False)


@given(
    st.lists(ALPHABET, min_size=1, max_size=8), st.integers(0, 12), st.lists(ALPHABET, max_size=4)
)
def test_keeps_an_ordered_subset(phrase, repeats, rest):
    words = words_of([*phrase * repeats, *rest])
    kept, _ = cut_repetitions(words)
    assert [word.start_s for word in kept] == sorted({word.start_s for word in kept})
    assert set(kept) <= set(words)


def test_first_of_a_loop_stays():
    texts = [" So,", *[" Thank", " you."] * 4, " Bye."]
    kept, cut = cut_repetitions(words_of(texts))
    assert cut
    assert texts_of(kept) == [" So,", " Thank", " you.", " Bye."]
    assert kept[1].start_s == 1


def test_what_is_said_thrice_stays():
    texts = [" no"] * 3 + [" location"] + [" location"] * 2
    assert cut_repetitions(words_of(texts)) == (tuple(words_of(texts)), False)


@given(st.text(st.characters(categories=["L"]), min_size=1, max_size=40))
def test_inside_a_word_is_idempotent(text):
    kept, cut = cut_repetitions(words_of([text]))
    assert cut == (kept[0].text != text)
    assert cut_repetitions(kept) == (kept, False)


def test_loops_of_characters_in_a_word():
    kept, cut = cut_repetitions(words_of(["ha" * 30, "好的" * 12 + "再见", "aha", "loooool"]))
    assert cut
    assert texts_of(kept) == ["ha", "好的再见", "aha", "loooool"]


def test_vowel_signs_make_words_different():
    texts = ["கா", "கி", "கு", "கெ", "கே"]
    assert not cut_repetitions(words_of(texts))[1]


def test_a_cut_that_makes_another_loop():
    kept, cut = cut_repetitions(words_of("aaaaaaaaaaaaaaabbbbbabcbcbcbcbcaaa"), max_repeats=1)
    assert cut
    assert "".join(texts_of(kept)) == "abca"
