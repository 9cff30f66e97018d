"""Whisper through transformers, and the same network through CTranslate2."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from encoders.recognise import RecogniserRef, load_recogniser
from mining.contract.errors import ConfigError

MAX_TOKENS = 12
EMPTY = np.zeros(0, dtype=np.float32)


def load(folder, **settings):
    settings = {"max_tokens": MAX_TOKENS, "dtype": "float32", **settings}
    return load_recogniser(RecogniserRef(path=str(folder), **settings), device="cpu", threads=1)


@pytest.fixture(scope="module", params=["tiny_whisper", "converted"])
def recogniser(request):
    return load(request.getfixturevalue(request.param))


def text_of(transcript) -> list[str]:
    return [word.text for word in transcript.words]


def test_words_have_times_inside_their_clips(recogniser, clips):
    for clip, transcript in zip(clips, recogniser.transcribe(clips, "eng"), strict=True):
        assert transcript.lang == "eng"
        assert transcript.words
        assert 0 <= transcript.no_speech_probability <= 1
        assert sum(word.tokens for word in transcript.words) <= MAX_TOKENS
        edges = [edge for word in transcript.words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges)
        assert edges[0] >= 0
        assert edges[-1] <= len(clip) / 16000 + 0.001
        assert all(np.isfinite(word.logprob) and word.logprob < 0 for word in transcript.words)


def test_a_clip_does_not_depend_on_its_batch(recogniser, clips):
    together = recogniser.transcribe(clips, "deu")
    for clip, expected in zip(clips, together, strict=True):
        (alone,) = recogniser.transcribe([clip], "deu")
        assert text_of(alone) == text_of(expected)
        times = [(word.start_s, word.end_s) for word in alone.words]
        assert times == [(word.start_s, word.end_s) for word in expected.words]
        assert alone.words[0].logprob == pytest.approx(expected.words[0].logprob, abs=1e-4)
    assert recogniser.transcribe(clips, "deu") == together


def test_unusable_clips_have_no_words(recogniser, clips):
    broken = clips[0].copy()
    broken[100] = np.nan
    infinite = clips[0].copy()
    infinite[-1] = -np.inf
    found = recogniser.transcribe([EMPTY, clips[1], broken, infinite], "eng")
    assert [bool(transcript.words) for transcript in found] == [False, True, False, False]
    assert found[1] == recogniser.transcribe([clips[1]], "eng")[0]
    assert recogniser.transcribe([], "eng") == []
    assert recogniser.transcribe([EMPTY], "eng")[0].words == ()


def test_one_sample_is_no_fault(recogniser, clips):
    assert len(recogniser.transcribe([clips[0][:1]], "eng")) == 1


def test_unknown_language_is_refused(recogniser, clips):
    with pytest.raises(ConfigError, match="'que'"):
        recogniser.transcribe(clips, "que")


def test_too_long_a_clip_is_refused(recogniser):
    with pytest.raises(ConfigError, match="at most 2 s"):
        recogniser.transcribe([np.zeros(2 * 16000 + 1, dtype=np.float32)], "eng")


def test_language_is_the_mean_over_clips(recogniser, clips):
    lang, probability = recogniser.language_of(clips[:3])
    single = [recogniser.language_of([clip]) for clip in clips[:3]]
    assert lang in recogniser.languages
    assert probability <= max(found for _, found in single) + 1e-6
    if {found for found, _ in single} == {lang}:
        mean = np.mean([found for _, found in single])
        assert probability == pytest.approx(mean, abs=1e-5)
    assert recogniser.language_of([EMPTY, *clips[:3]]) == pytest.approx((lang, probability))
    with pytest.raises(ConfigError, match="needs a clip"):
        recogniser.language_of([EMPTY])


def test_max_tokens_is_what_is_decoded(tiny_whisper, converted, clips):
    for folder in (tiny_whisper, converted):
        for wanted in (1, 2, 3):
            (found,) = load(folder, max_tokens=wanted).transcribe(clips[:1], "eng")
            if not found.repetition_cut:
                assert sum(word.tokens for word in found.words) == wanted


def test_both_libraries_agree(tiny_whisper, converted, clips):
    ours, theirs = load(tiny_whisper), load(converted)
    assert ours.language_of(clips) == pytest.approx(theirs.language_of(clips), abs=1e-4)
    pairs = zip(ours.transcribe(clips, "eng"), theirs.transcribe(clips, "eng"), strict=True)
    for one, other in pairs:
        assert text_of(one) == text_of(other)
        times = [word.start_s for word in one.words]
        assert times == pytest.approx([word.start_s for word in other.words], abs=0.1)
        assert one.no_speech_probability == pytest.approx(other.no_speech_probability, abs=1e-5)


def test_loop_agrees_with_generate(tiny_whisper, clips):
    import torch

    recogniser = load(tiny_whisper)
    features = recogniser._extract(list(clips), sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        expected = recogniser._network.generate(
            features.input_features,
            language="en",
            task="transcribe",
            num_beams=1,
            do_sample=False,
            max_new_tokens=MAX_TOKENS,
        )
    vocabulary = recogniser._vocabulary
    for row, transcript in zip(expected.tolist(), recogniser.transcribe(clips, "eng"), strict=True):
        text = vocabulary.tokenizer.decode(vocabulary.text_tokens(row))
        if not transcript.repetition_cut:
            assert "".join(text_of(transcript)) == text


def suppressing(folder, target, **lists) -> Path:
    """A copy of a model folder that suppresses other tokens."""
    shutil.copytree(folder, target)
    path = target / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **lists}))
    return target


def test_suppressed_tokens_are_not_chosen(tiny_whisper, tmp_path, clips):
    recogniser = load(tiny_whisper)
    (usual,) = recogniser.transcribe(clips[:1], "eng")
    tokenizer = recogniser._vocabulary.tokenizer
    first = tokenizer.token_to_id("Ġ" + usual.words[0].text.strip())
    never = suppressing(tiny_whisper, tmp_path / "never", suppress_tokens=[first])
    (found,) = load(never).transcribe(clips[:1], "eng")
    assert usual.words[0].text not in text_of(found)
    late = suppressing(tiny_whisper, tmp_path / "late", begin_suppress_tokens=[first])
    (found,) = load(late).transcribe(clips[:1], "eng")
    assert text_of(found)[0] != usual.words[0].text


def test_without_heads_a_clip_is_one_word(untimed_whisper, tiny_whisper, clips):
    recogniser = load(untimed_whisper)
    assert not recogniser.times_words
    (found,) = recogniser.transcribe(clips[:1], "eng")
    (timed,) = load(tiny_whisper).transcribe(clips[:1], "eng")
    (word,) = found.words
    assert (word.start_s, word.end_s) == (0.0, len(clips[0]) / 16000)
    assert word.text == "".join(text_of(timed))
    assert word.logprob == pytest.approx(sum(word.logprob for word in timed.words), abs=1e-4)


def test_loops_are_cut_and_marked(tiny_whisper, clips):
    """Random weights stutter: some of these clips end in a loop."""
    found = load(tiny_whisper, max_tokens=40).transcribe(clips, "eng")
    assert any(transcript.repetition_cut for transcript in found)
    for transcript in found:
        assert transcript.repetition_cut == (sum(word.tokens for word in transcript.words) < 40)
