"""How a text is spelled, as a vector."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoders.audio_tokens.letters import letters
from encoders.wordbag.orthography import FEATURES, Orthography, letter_places

LETTERS = 26
TEXT = st.text(alphabet="abz Éщ漢1.", max_size=30)


def slow_part(kinds, count, spread, many):
    """(kind, relative place) of each letter or pair: features, place after place."""
    found = [[0.0] * many for _ in range(count)]
    for kind, relative in kinds:
        for place in range(count):
            away = (relative - (place + 0.5) / count) / spread
            found[place][kind] += math.exp(-away * away / 2)
    flat = [value for row in found for value in row]
    length = math.sqrt(sum(value * value for value in flat)) or 1.0
    return [value / length for value in flat]


def slow_places(text):
    codes = [ord(c) - ord("a") for c in letters(text) if c != " "]
    size = len(codes)
    single = [(code, (at + 0.5) / size) for at, code in enumerate(codes)]
    pairs = [(codes[at] * LETTERS + codes[at + 1], (at + 1) / size) for at in range(size - 1)]
    return slow_part(single, 24, 0.035, LETTERS) + slow_part(pairs, 8, 0.08, LETTERS**2)


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_features_equal_a_slow_statement(texts):
    found = letter_places(texts)
    assert found.shape == (len(texts), FEATURES)
    assert np.allclose(found, [slow_places(text) for text in texts], atol=1e-6)


def test_a_vector_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    part = Orthography(16)
    texts = [f"text {chr(97 + number % 26) * (number % 40)} of many" for number in range(600)]
    with torch.inference_mode():
        whole = part(texts)
        for number in (0, 255, 256, 599):
            assert torch.equal(part([texts[number]])[0], whole[number])
    assert torch.allclose(whole.norm(dim=1), torch.ones(600), atol=1e-5)


@pytest.mark.parametrize("text", ["", "1984", "?!", " "])
def test_nothing_is_known_of_a_text_without_letters(text):
    torch.manual_seed(0)
    part = Orthography(8)
    torch.nn.init.ones_(part.map.bias)
    assert not part([text, "and one with"])[0].any()


def test_what_is_misspelt_stays_nearest_among_texts_as_long():
    torch.manual_seed(0)
    texts = ["die stelle konnte sich entzunden", "der garten wurde gestern verkauft",
             "wir haben keine zeit mehr dafuer"]  # fmt: skip
    with torch.inference_mode():
        found = Orthography(256)(["diester derkomteristau kenke", *texts])
    assert (found[0] @ found[1:].T).argmax() == 0


def test_order_counts():
    torch.manual_seed(0)
    with torch.inference_mode():
        one, other, turned = Orthography(256)(["dog bites man", "dog bits man", "man bites dog"])
    assert one @ other > 0.8
    assert one @ turned < one @ other - 0.2
