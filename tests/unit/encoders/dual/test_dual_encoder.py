"""A dual encoder behind the Encoder protocol."""

import logging
import random

import numpy as np
import pyarrow as pa
import pytest
import torch

from encoders import embed_texts, load_encoder
from encoders.dual.create import create_dual_encoder
from encoders.dual.items import Spoken, Written
from mining.contract.encoder import Encoder
from mining.contract.errors import InputError
from mining.contract.schemas import FRAMES_COLUMN


@pytest.fixture(scope="module")
def folder(backbone, kmeans, config, tmp_path_factory):
    path = tmp_path_factory.mktemp("dual") / "saved"
    create_dual_encoder(backbone("gemma3"), kmeans, config(), seed=3).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(str(folder))


def batch(rows, with_frames=True):
    """Rows of (modality, language, text, frames)."""
    modality, lang, text, frames = zip(*rows, strict=True)
    columns = {
        "segment_id": pa.array([f"{number:032x}" for number in range(len(rows))], pa.string()),
        "modality": pa.array(modality, pa.string()),
        "lang": pa.array(lang, pa.string()),
        "text": pa.array(text, pa.string()),
    }
    if with_frames:
        columns[FRAMES_COLUMN.name] = pa.array(frames, FRAMES_COLUMN.type)
    return pa.record_batch(columns)


ROWS = [
    ("text", "eng", "The ferry leaves at seven.", None),
    ("speech", "deu", None, [[1, 1, 2], [3]]),
    ("text", "fra", "ok", None),
    ("speech", "eng", "a transcript that is not read", [[5] * 9, [], [4, 4, 6]]),
    ("speech", "eng", None, [[n % 12 for n in range(90)]]),
    ("text", "eng", "A much longer sentence, so that it is another padded length", None),
    ("speech", "deu", None, [[7]]),
]


def item(row):
    modality, lang, text, frames = row
    if modality == "text":
        return Written(text=text, lang=lang)
    return Spoken(regions=tuple(np.array(f, np.int16) for f in frames), lang=lang)


def test_vectors_are_the_models(encoder):
    assert isinstance(encoder, Encoder)
    result = encoder.embed(batch(ROWS))
    assert not result.problems
    assert result.vectors.dtype == np.float32
    with torch.inference_mode():
        wanted = torch.cat([encoder.model([item(row)]) for row in ROWS]).numpy()
    assert np.allclose(result.vectors, wanted, atol=2e-6)
    assert np.allclose(np.linalg.norm(result.vectors, axis=1), 1, atol=1e-6)


def test_vectors_do_not_depend_on_batch_size(folder, encoder):
    wanted = encoder.embed(batch(ROWS)).vectors
    for batch_tokens in (16, 64, 1 << 16):
        found = load_encoder(str(folder), batch_tokens=batch_tokens).embed(batch(ROWS)).vectors
        assert np.allclose(found, wanted, atol=2e-6)
    pieces = [encoder.embed(batch(ROWS).slice(at, 2)).vectors for at in range(0, len(ROWS), 2)]
    assert np.allclose(np.concatenate(pieces), wanted, atol=2e-6)


def test_vectors_do_not_depend_on_order_to_the_last_bit(encoder):
    whole = batch(ROWS)
    wanted = encoder.embed(whole).vectors
    order = list(range(len(ROWS)))
    for seed in range(5):
        random.Random(seed).shuffle(order)
        found = encoder.embed(whole.take(pa.array(order))).vectors
        assert np.array_equal(found, wanted[order])


def test_problems(encoder):
    rows = [
        ("speech", "eng", "a transcript", None),
        ("speech", "eng", None, []),
        ("speech", "eng", None, [[], None]),
        ("speech", "eng", None, [[12]]),
        ("text", "eng", None, None),
        ("text", "eng", "  ", [[1]]),
        ("text", "eng", "fine", None),
    ]
    result = encoder.embed(batch(rows))
    assert dict(result.problems) == {
        0: "is speech without audio frames",
        1: "has no audio tokens",
        2: "has no audio tokens",
        3: "has unit 12, but the audio tokenizer has 12",
        4: "has no text",
        5: "has no text",
    }
    assert not result.vectors[:6].any()
    assert np.isclose(np.linalg.norm(result.vectors[6]), 1)


def test_speech_without_the_column_is_read_by_its_transcript(encoder):
    rows = [("speech", "eng", "a transcript", None), ("text", "eng", "a transcript", None),
            ("speech", "eng", None, None)]  # fmt: skip
    result = encoder.embed(batch(rows, with_frames=False))
    assert result.problems == {2: "has no text"}
    assert np.array_equal(result.vectors[0], result.vectors[1])


def test_all_problems_and_no_rows(encoder):
    assert encoder.embed(batch([("text", "eng", None, None)])).problems == {0: "has no text"}
    assert encoder.embed(batch(ROWS).slice(0, 0)).vectors.shape == (0, 24)


def test_vector_that_is_not_finite(folder):
    encoder = load_encoder(str(folder))
    with torch.no_grad():
        encoder.model.parts()["audio"][0][3] = float("nan")
    rows = [("speech", "eng", None, [[3]]), ("speech", "eng", None, [[4]])]
    result = encoder.embed(batch(rows))
    assert result.problems == {0: "tiny gives a vector of length nan"}
    assert not result.vectors[0].any()


def test_cutting_is_said_once_and_counted(folder, caplog):
    encoder = load_encoder(str(folder), max_tokens=32)
    with caplog.at_level(logging.WARNING):
        cut = encoder.embed(batch(ROWS)).vectors
        encoder.embed(batch(ROWS))
    said = [r.getMessage() for r in caplog.records if "are cut there" in r.getMessage()]
    assert said == ["tiny: 3 of 7 segments are longer than 32 tokens and are cut there (said once)"]
    assert encoder.notes == ("6 segments cut to 32 tokens",)
    whole = load_encoder(str(folder)).embed(batch(ROWS)).vectors
    changed = [not np.allclose(a, b, atol=1e-4) for a, b in zip(cut, whole, strict=True)]
    assert changed == [True, False, False, False, True, True, False]


def test_without_an_audio_tokenizer(backbone, config, tmp_path):
    create_dual_encoder(backbone("bert"), None, config(), seed=3).save_pretrained(tmp_path / "m")
    encoder = load_encoder(str(tmp_path / "m"))
    assert encoder.modalities == {"text"}
    assert encoder.audio_tokenizer_folder is None
    result = encoder.embed(batch(ROWS[:2]))
    assert result.problems == {1: "is speech, which the model does not hear"}


def test_embed_texts(encoder):
    found = embed_texts(encoder, ["The ferry leaves at seven."], "en")
    assert np.allclose(found, encoder.embed(batch(ROWS[:1])).vectors, atol=2e-6)


def test_embed_texts_of_several_languages(encoder):
    texts, langs = ["One night.", "Eine Nacht.", "Une nuit."], ["en", "deu", "fra"]
    found = embed_texts(encoder, texts, langs)
    each = [embed_texts(encoder, [text], lang) for text, lang in zip(texts, langs, strict=True)]
    assert np.allclose(found, np.concatenate(each), atol=2e-6)
    assert np.abs(found - embed_texts(encoder, texts, "en")).max() > 1e-3
    with pytest.raises(ValueError, match="must be one, or 3, but are 2"):
        embed_texts(encoder, texts, langs[:2])
    with pytest.raises(InputError, match="language code such as deu, but is '@'"):
        embed_texts(encoder, texts, ["en", "@", "fra"])
