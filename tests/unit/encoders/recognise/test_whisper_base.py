"""Whisper base on real human speech."""

import csv
import importlib.util
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from encoders.recognise import RecogniserRef, describe_recogniser, load_recogniser

pytestmark = pytest.mark.weights
LANGS = {"en": "eng", "de": "deu", "es": "spa"}


@pytest.fixture(scope="module")
def recogniser(whisper_base):
    pytest.importorskip("faster_whisper")
    return load_recogniser(str(whisper_base), device="cpu")


@pytest.fixture(scope="module")
def spoken(real_data) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Two clips a language with the sentence that was read."""
    import soundfile
    import soxr

    found: dict[str, list[tuple[np.ndarray, str]]] = {lang: [] for lang in LANGS.values()}
    folder = real_data / "commonvoice"
    with (folder / "index.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
            lang = LANGS.get(row["lang"])
            if lang and len(found[lang]) < 2 and len(row["sentence"].split()) > 4:
                path = folder / row["lang"] / "clips" / row["path"]
                samples, rate_hz = soundfile.read(path, dtype="float32")
                found[lang].append((soxr.resample(samples, rate_hz, 16000), row["sentence"]))
    return found


def plain_words(text: str) -> set[str]:
    kept = (c for c in text.casefold() if unicodedata.category(c)[0] not in "PS")
    return set("".join(kept).split())


@pytest.mark.realdata
def test_real_words_come_out_in_order(recogniser, spoken):
    said, heard = 0, 0
    for lang, pairs in spoken.items():
        clips = [clip for clip, _ in pairs]
        transcripts = recogniser.transcribe(clips, lang)
        assert recogniser.transcribe(clips, lang) == transcripts
        for (clip, sentence), transcript in zip(pairs, transcripts, strict=True):
            words = plain_words(sentence)
            said += len(words)
            heard += len(words & plain_words("".join(word.text for word in transcript.words)))
            edges = [edge for word in transcript.words for edge in (word.start_s, word.end_s)]
            assert edges == sorted(edges)
            assert edges[0] >= 0
            assert edges[-1] <= len(clip) / 16000 + 0.001
            assert transcript.no_speech_probability < 0.5
            assert not transcript.repetition_cut
    # of all clips together: int8 kernels differ from processor to processor, and with them what a
    # single hard clip is taken for
    assert heard >= 0.7 * said


@pytest.mark.realdata
def test_languages_are_told(recogniser, spoken):
    for lang, pairs in spoken.items():
        found, probability = recogniser.language_of([clip for clip, _ in pairs])
        assert found == lang
        assert 0.5 < probability <= 1


def test_card(whisper_base):
    card = describe_recogniser(str(whisper_base), device="cpu")
    assert {"eng", "cym", "mon", "zho", "jav", "hat"} <= set(card.languages)
    assert len(card.languages) == 99
    assert card.licence == "mit"


@pytest.mark.realdata
def test_converted_for_transformers_it_says_the_same(whisper_base, spoken, tmp_path):
    path = Path(__file__).parents[4] / "examples/weights_without_a_hub/ctranslate2_file.py"
    spec = importlib.util.spec_from_file_location("ctranslate2_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.to_transformers(whisper_base, tmp_path / "hf")
    theirs = load_recogniser(RecogniserRef(path=str(whisper_base), dtype="float32"), device="cpu")
    ours = load_recogniser(str(tmp_path / "hf"), device="cpu")
    clips = [clip for clip, _ in spoken["deu"]]
    pairs = zip(ours.transcribe(clips, "deu"), theirs.transcribe(clips, "deu"), strict=True)
    for one, other in pairs:
        assert [word.text for word in one.words] == [word.text for word in other.words]
        starts = [word.start_s for word in one.words]
        assert starts == pytest.approx([word.start_s for word in other.words], abs=0.05)
