"""The encoder of spellings: near in letters is near, whatever else is in the batch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders import calibration_of, describe_encoder, load_encoder
from encoders.spelling import folded_text
from mining.contract.encoder import Encoder
from mining.contract.errors import ConfigError

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)


def embedded(texts: list[str]) -> np.ndarray:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    return load_encoder("spelling").embed(batch).vectors


@given(st.lists(TEXT, min_size=1, max_size=6), st.data())
def test_a_vector_depends_on_its_text_alone(texts: list[str], data: st.DataObject) -> None:
    together = embedded(texts)
    order = data.draw(st.permutations(range(len(texts))))
    assert np.array_equal(embedded([texts[i] for i in order]), together[list(order)])
    for text, vector in zip(texts, together, strict=True):
        assert np.array_equal(embedded([text])[0], vector)
        norm = np.linalg.norm(vector)
        assert norm == pytest.approx(1.0, abs=1e-5) if folded_text(text) else norm == 0.0


@given(TEXT, TEXT)
def test_the_product_is_that_of_counted_n_grams(left: str, right: str) -> None:
    """Hashing adds noise of the order of 1 / sqrt(dim), no more than that."""

    def counts(text: str) -> dict[str, float]:
        padded = f" {folded_text(text)} "
        grams = Counter(padded[i : i + n] for n in (1, 2, 3, 4) for i in range(len(padded) - n + 1))
        del grams[" "]
        return {g: np.sqrt(c) * (0.5 if len(g) == 1 else 1.0) for g, c in grams.items()}

    a, b = counts(left), counts(right)
    norm = np.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
    if not (folded_text(left) and folded_text(right)):
        return
    exact = sum(value * b.get(gram, 0.0) for gram, value in a.items()) / norm
    x, y = embedded([left, right])
    assert float(x @ y) == pytest.approx(exact, abs=0.25)


def test_what_a_recogniser_mishears_stays_near() -> None:
    heard = "Den grå katten sovver på spisen"
    texts = ["Den grå katten sover på spisen.", "Den gamla hunden sover i spisen.", "Ett tåg gick."]
    vectors = embedded([heard, *texts])
    near = vectors[1:] @ vectors[0]
    assert near[0] > 0.8 > near[1] > near[2]


def test_accents_vowel_points_and_case_are_nothing() -> None:
    assert folded_text("  Él cantó, ¿NO? ") == "el canto no"
    assert folded_text("كَتَبَ") == folded_text("كتب")
    assert folded_text("北京。") == "北京"
    assert folded_text("—!?") == ""


def test_texts_without_letters_are_problems() -> None:
    batch = pa.record_batch({"text": pa.array(["...", None, "a"], pa.string())})
    assert set(load_encoder("spelling").embed(batch).problems) == {0, 1}


def test_it_is_an_encoder_of_a_space_of_its_own_without_thresholds() -> None:
    encoder, card = load_encoder("spelling"), describe_encoder("spelling")
    assert isinstance(encoder, Encoder)
    assert card.space == "spelling-1" != describe_encoder("builtin").space
    assert (card.dim, card.fingerprint) == (encoder.dim, encoder.fingerprint)
    assert calibration_of("spelling") is None
    with pytest.raises(ConfigError, match="must be left out for 'spelling'"):
        load_encoder("spelling", prefix="query: ")
