import dataclasses

import numpy as np
import pytest

from encoders.recognise import RecogniserRef, load_recogniser
from mining.contract.errors import CheckpointError, ConfigError


def load(folder, **settings):
    return load_recogniser(RecogniserRef(path=str(folder), **settings), device="cpu", threads=1)


@pytest.fixture(scope="module", params=["wav2vec2", "wav2vec2_group", "w2v_bert"])
def recogniser(request):
    return load(request.getfixturevalue(request.param))


def test_words_have_times_inside_their_clips(recogniser, clips):
    found = recogniser.transcribe(clips, "cym")
    assert any(len(transcript.words) > 1 for transcript in found)
    for clip, transcript in zip(clips, found, strict=True):
        assert transcript.no_speech_probability is None
        edges = [edge for word in transcript.words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges)
        assert all(0 <= edge <= len(clip) / 16000 + 0.001 for edge in edges)
        assert all(word.text.startswith(" ") and "|" not in word.text for word in transcript.words)


def test_a_clip_does_not_depend_on_its_batch(recogniser, clips):
    together = recogniser.transcribe(clips, "eng")
    assert recogniser.transcribe(clips, "eng") == together
    for clip, expected in zip(clips, together, strict=True):
        (alone,) = recogniser.transcribe([clip], "eng")
        assert [dataclasses.replace(word, logprob=0.0) for word in alone.words] == [
            dataclasses.replace(word, logprob=0.0) for word in expected.words
        ]
        total = sum(word.logprob for word in expected.words)
        assert sum(word.logprob for word in alone.words) == pytest.approx(total, abs=1e-2)


def test_unusable_clips_have_no_words(recogniser, clips):
    broken = clips[0].copy()
    broken[0] = np.inf
    empty = np.zeros(0, dtype=np.float32)
    found = recogniser.transcribe([empty, clips[2], broken, clips[0][:10]], "eng")
    assert [bool(transcript.words) for transcript in found] == [False, True, False, False]


def test_languages_are_not_told(recogniser, clips):
    assert recogniser.languages == ()
    with pytest.raises(ConfigError, match="CTC"):
        recogniser.language_of(clips)


def test_greedy_path_to_words(wav2vec2):
    recogniser = load(wav2vec2)
    ids = {text: number for number, text in recogniser._tokens.items()}
    spoken = [0, "A", "A", 0, "A", "|", "|", 0, "B", "C", 0, "|", "D"]
    best = np.array([ids.get(token, 0) for token in spoken])
    logprobs = -np.arange(1, len(best) + 1, dtype=np.float32) / 8
    words = recogniser._words(best, logprobs, duration_s=1.3, lang="eng")
    assert [(w.text, w.start_s, w.end_s, w.tokens) for w in words] == [
        (" AA", 0.1, 0.5, 2),
        (" BC", 0.8, 1.0, 2),
        (" D", 1.2, 1.3, 1),
    ]
    assert [word.logprob for word in words] == pytest.approx([-(2 + 3 + 5) / 8, -19 / 8, -13 / 8])
    apart = recogniser._words(best, logprobs, duration_s=1.3, lang="jpn")
    assert [word.text for word in apart] == ["A", "A", "B", "C", "D"]


def test_greedy_words_are_those_of_the_tokenizer(wav2vec2, clips):
    """Batch decoding by the library, one clip at a time."""
    import torch
    from transformers import Wav2Vec2CTCTokenizer

    recogniser = load(wav2vec2)
    tokenizer = Wav2Vec2CTCTokenizer(str(wav2vec2 / "vocab.json"), pad_token="<pad>")
    for clip, transcript in zip(clips, recogniser.transcribe(clips, "eng"), strict=True):
        inputs = recogniser._extract(clip, sampling_rate=16000, return_tensors="pt")
        with torch.inference_mode():
            best = recogniser._network(inputs.input_values).logits.argmax(-1)[0]
        expected = tokenizer.decode(best, skip_special_tokens=True).replace("<unk>", "")
        if not transcript.repetition_cut:
            found = "".join(word.text for word in transcript.words)
            assert found.split() == expected.split()


def test_vocabulary_of_many_languages_is_refused(tmp_path, wav2vec2):
    import json
    import shutil

    folder = shutil.copytree(wav2vec2, tmp_path / "mms")
    (folder / "vocab.json").write_text(json.dumps({"eng": {"a": 1}, "deu": {"a": 1}}))
    with pytest.raises(CheckpointError, match="names several"):
        load(folder)
