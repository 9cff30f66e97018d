"""The folders that build.py makes of real weights: they know languages, so the conversion is right."""

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

pytestmark = pytest.mark.weights
# Written for this test.
SENTENCES = {
    "deu": "Die Kinder spielen im Garten, weil heute die Sonne scheint.",
    "rus": "Дети играют в саду, потому что сегодня светит солнце.",
    "fra": "Les enfants jouent dans le jardin parce qu'il fait beau aujourd'hui.",
}
MASKED = {
    "Berlin ist die [MASK] von Deutschland.": "Hauptstadt",
    "Paris is the [MASK] of France.": "capital",
    "Madrid es la [MASK] de España.": "capital",
    "Der Rhein ist ein [MASK] in Deutschland.": "Fluss",
    "He was [MASK] in London in 1920.": "born",
}


def built(models: Path, name: str) -> Path:
    if not (models / name).is_dir():
        pytest.skip(f"{models / name} is not there: build it with examples/weights_without_a_hub")
    return models / name


def bits(network, tokenizer, text: str) -> float:
    """Mean surprise at a token."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return float(network(input_ids=ids, labels=ids).loss) / math.log(2)


def test_gemma_expects_what_people_write(models):
    folder = built(models, "gemma-3-270m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for text in SENTENCES.values():
        words = text.split()
        shuffled = " ".join(sorted(words))
        assert bits(network, tokenizer, text) < 7 < bits(network, tokenizer, shuffled)


def test_multilingual_bert_fills_gaps(models):
    folder = built(models, "multilingual-bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForMaskedLM.from_pretrained(folder).eval()
    for text, word in MASKED.items():
        inputs = tokenizer(text, return_tensors="pt")
        place = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        with torch.no_grad():
            best = network(**inputs).logits[0, place].topk(5).indices.tolist()
        # With the weights of queries not turned round, the best of these words comes 178th.
        assert word in tokenizer.convert_ids_to_tokens(best)
