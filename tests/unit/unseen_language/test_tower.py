"""Letters that are heard and letters that are read: the same rows, or rows of their own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.dual.items import Spoken, Written
from encoders.wordbag.features import token_features

TEXTS = ["the dark wood", "otto hall", "a"]
NOWHERE = Path("nowhere")


def items_of(units_of):
    return (
        [Written(text=text, lang="eng") for text in TEXTS],
        [Spoken(regions=(units_of(text),), lang="eng") for text in TEXTS],
    )


def test_tied_letters_are_read_as_text(example, card, units_of):
    model = example("tower").new_encoder(card, NOWHERE, "spelling", 0).eval()
    written, spoken = items_of(units_of)
    assert torch.equal(model(written), model(spoken))
    assert model.parts()["audio"] == []


def test_separate_letters_have_rows_of_their_own(example, card, units_of):
    model = example("tower").new_encoder(card, NOWHERE, "own", 0).eval()
    written, spoken = items_of(units_of)
    assert (model(written) * model(spoken)).sum(1).abs().max() < 0.9
    tower = model.tower
    for items, used, unused in (
        (written, tower.text, tower.audio),
        (spoken, tower.audio, tower.text),
    ):
        model.zero_grad()
        model(items).sum().backward()
        assert used.grad.abs().sum() > 0
        assert unused.grad is None or not unused.grad.any()


def test_both_kinds_are_otherwise_one_network(example, card):
    own, tied = (
        dict(example("tower").new_encoder(card, NOWHERE, tie, 0).named_parameters())
        for tie in ("own", "spelling")
    )
    assert own.keys() - tied.keys() == {"tower.audio"}
    assert all(torch.equal(own[name], tied[name]) for name in tied)


@pytest.mark.parametrize("tie", ["own", "spelling"])
def test_parts_are_all_weights_once(example, card, tie):
    model = example("tower").new_encoder(card, NOWHERE, tie, 0)
    found = [id(weight) for some in model.parts().values() for weight in some]
    assert sorted(found) == sorted(map(id, model.parameters()))


@pytest.mark.parametrize("tie", ["own", "spelling"])
def test_neighbours_do_not_matter(example, card, units_of, tie):
    model = example("tower").new_encoder(card, NOWHERE, tie, 0).eval()
    written, spoken = items_of(units_of)
    together = model([*spoken, *written])
    alone = torch.cat([model([item]) for item in (*spoken, *written)])
    torch.testing.assert_close(together, alone)


def test_rows_are_those_of_the_words_one_by_one(example):
    texts = ["the dark the", "", "Ça, là!"]
    found = example("tower").ngram_rows(texts, 1000)
    for text, rows in zip(["the dark the", "", "ca la"], found, strict=True):
        slow = [int(h) % 1000 for word in text.split() for h in token_features([word])[0]]
        assert rows.tolist() == slow
        assert rows.dtype == np.int32
