from __future__ import annotations

import unicodedata

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.train.data.held_out import Clip, hold_back
from encoders.train.data.pairs import clip_keys, sentence_keys


def keys(*texts: str, lang: str = "eng") -> list[int]:
    found: list[int] = sentence_keys(
        pa.array(texts, pa.string()), pa.array([lang] * len(texts), pa.string())
    ).tolist()
    return found


def test_a_sentence_has_one_key_however_it_is_spelled() -> None:
    first, *others = keys(
        "Hello, world 1!", "hello world 1", "ＨＥＬＬＯ – world1", "«Hello», World 1…"
    )
    assert set(others) == {first}
    assert first > 0


def test_sentences_and_languages_have_keys_of_their_own() -> None:
    texts = ("no", "not", "నో", "నొ", "か", "が", "12", "21")
    both = keys(*texts) + keys(*texts, lang="spa")
    assert len(set(both)) == 2 * len(texts)
    assert keys("", " ", "!?") == [0, 0, 0]


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cn"])), max_size=8))
def test_keys_are_those_of_a_slow_obvious_rule(texts: list[str]) -> None:
    def letters(text: str) -> str:
        folded = unicodedata.normalize("NFKC", text)
        return "".join(one for one in folded if unicodedata.category(one)[0] in "LMN")

    found = keys(*texts)
    assert all(0 <= key < 1 << 63 for key in found)
    for text, key in zip(texts, found, strict=True):
        assert (key == 0) == (not letters(text))
        assert [key] == keys(f"¡ {text} !")


def test_clips_have_keys_of_their_ids() -> None:
    found = clip_keys([b"a" * 16, b"b" * 16, b"a" * 16]).tolist()
    assert found[0] == found[2] != found[1]
    assert all(0 < key < 1 << 63 for key in found)


clips_of = st.lists(
    st.tuples(st.sampled_from(["fra", "deu"]), st.integers(0, 8), st.booleans()), max_size=60
)


@given(drawn=clips_of, count=st.integers(0, 10), seed=st.integers(0, 3))
def test_held_out_clips_are_whole_speakers_and_at_most_half(
    drawn: list[tuple[str, int, bool]], count: int, seed: int
) -> None:
    clips = [
        Clip(
            clip_id=number.to_bytes(16, "big"),
            lang=lang,
            speaker=f"{lang} {voice}" if named else "",
            recording=f"{number}.wav",
        )
        for number, (lang, voice, named) in enumerate(drawn)
    ]
    held = hold_back(clips, count, seed)
    assert held == hold_back(clips[::-1], count, seed)
    owner = {clip.clip_id: clip for clip in clips}
    assert len(set(held.judged)) == len(held.judged)
    for lang in ("fra", "deu"):
        mine = [clip for clip in clips if clip.lang == lang]
        judged = [one for one in held.judged if owner[one].lang == lang]
        assert len(judged) <= count
        assert all(owner[one].voice in held.voices for one in judged)
        gone = [clip for clip in mine if clip.voice in held.voices]
        assert len(gone) <= len(mine) // 2
        # fewer than asked for only where every other speaker would take too much
        if len(judged) < count:
            assert len(judged) == len(gone)
            left = len(mine) // 2 - len(gone)
            for clip in mine:
                if clip.voice not in held.voices:
                    assert sum(other.voice == clip.voice for other in mine) > left
