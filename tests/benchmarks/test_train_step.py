"""A step of the trainer beside sentence-transformers' CachedMultipleNegativesRankingLoss.

Both embed the same texts with the same network in pieces of the same number of items, with dropout,
clip the gradient and step with AdamW. The ratio is printed; run with ``-m benchmark -s``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from encoders.dual.config import DualEncoderConfig
from encoders.dual.create import create_dual_encoder
from encoders.dual.items import Written
from encoders.train.config import Model, Optimiser, Training
from encoders.train.data.config import Data, Texts
from encoders.train.data.pairs import TrainingPair
from encoders.train.learner import Learner

WORDS, BATCH, AT_ONCE, STEPS = 8000, 64, 16, 2
RATE = 1e-4


def save_minilm(folder: Path) -> Path:
    """The size of all-MiniLM-L6: 6 layers of width 384."""
    torch.manual_seed(1)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(WORDS))]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", model_max_length=128,
    ).save_pretrained(folder)  # fmt: skip
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
        intermediate_size=1536, max_position_embeddings=128,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def sentences(rng: np.random.Generator) -> list[str]:
    """As many words as sentences of news have: 8 to 40."""
    counts = np.clip(rng.lognormal(np.log(20), 0.4, BATCH), 8, 40).astype(int)
    return [" ".join(f"w{word}" for word in rng.integers(0, WORDS, count)) for count in counts]


def learner(folder: Path) -> Callable[[list[str], list[str]], float]:
    model = create_dual_encoder(folder, None, DualEncoderConfig(name="bench", prefix=""), seed=0)
    settings = Optimiser(steps=99, warm_up=0, batch=BATCH, chunk=AT_ONCE // 2, rate=RATE)
    config = Training(
        schema=1, output="x", model=Model(start="x"), data=Data(texts={"a": Texts(uri="x")}),
        optimiser=settings,
    )  # fmt: skip
    learning = Learner(model, config, None)

    def step(sources: list[str], targets: list[str]) -> float:
        pairs = [
            TrainingPair(
                source=Written(text=source, lang="deu"), target=Written(text=target, lang="eng"),
                source_key=2 * i + 1, target_key=2 * i + 2,
                teacher_text=Written(text=target, lang="eng"),
            )
            for i, (source, target) in enumerate(zip(sources, targets, strict=True))
        ]  # fmt: skip
        return learning.step(0, pairs).loss

    return step


def sentence_transformer(folder: Path) -> Callable[[list[str], list[str]], float]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.losses import CachedMultipleNegativesRankingLoss
    from sentence_transformers.models import Normalize, Pooling, Transformer

    modules = [Transformer(str(folder)), Pooling(384, pooling_mode="mean"), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu").train()
    loss = CachedMultipleNegativesRankingLoss(
        model, scale=20.0, mini_batch_size=AT_ONCE, directions=("query_to_doc", "doc_to_query"),
        partition_mode="per_direction",
    )  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)

    def step(sources: list[str], targets: list[str]) -> float:
        optimiser.zero_grad(set_to_none=True)
        found = loss([model.preprocess(sources), model.preprocess(targets)], None)
        found.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return float(found.detach())

    return step


@pytest.mark.benchmark
def test_step_beside_sentence_transformers(tmp_path: Path) -> None:
    folder = save_minilm(tmp_path / "minilm")
    ours, theirs = learner(folder), sentence_transformer(folder)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    rng = np.random.default_rng(0)
    for number in range(STEPS + 1):
        texts = BATCH if number else 4  # the first warms up
        batch = sentences(rng)[:texts], sentences(rng)[:texts]
        for name, step in (("ours", ours), ("theirs", theirs)):
            began = time.process_time()  # of the CPU: others may use the machine
            step(*batch)
            if number:
                seconds[name].append(time.process_time() - began)
    mean = {name: float(np.mean(some)) for name, some in seconds.items()}
    print(
        f"\nbatch {BATCH}, {AT_ONCE} texts at once, {torch.get_num_threads()} threads: a step takes "
        f"{mean['ours']:.2f} CPU seconds here and {mean['theirs']:.2f} in sentence-transformers, "
        f"ratio {mean['ours'] / mean['theirs']:.2f}"
    )
