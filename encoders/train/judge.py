"""How well held-out speech finds its own transcript and its translation: R@1, by language.

Shape legend: Q queries, N texts of a pool.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.dual.items import Item, Spoken, Written
from encoders.dual.model import DualEncoder
from encoders.train.data.pairs import HeldOut
from encoders.train.gradcache import chunks_by_length, split_by_length
from mining.evaluate.controls import Lengths, length_ranks, log_lengths
from mining.evaluate.retrieval import Pools, retrieve

_SEED = 0  # of the order of texts of one length in the control


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """R@1 of one task in one language, in the pool of that language's held-out sentences.

    Attributes:
        task: ``speech-transcript``, ``speech-translation`` or ``text-translation``.
        lang: of the queries.
        target_lang: of the texts.
        queries: Q.
        pool: N, distinct texts.
        recall: share of queries whose nearest text says the same.
        by_length: the same where the nearest in length is taken, texts of one length by chance.
    """

    task: str
    lang: str
    target_lang: str
    queries: int
    pool: int
    recall: float
    by_length: float

    @property
    def name(self) -> str:
        """Of its line in the figures."""
        return f"{self.task}/{self.lang}-{self.target_lang}"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Query:
    item: Item
    target: Written
    meaning: int


def judge(model: DualEncoder, held_out: Sequence[HeldOut], *, batch: int) -> list[Judgement]:
    """Judge a model. No random generator is drawn from, so training is not changed by it.

    Args:
        model: in any mode; it is left in evaluation mode.
        held_out: clips; a task's pool is the texts of its own language pair.
        batch: items embedded at once.
    """
    tasks: dict[tuple[str, str, str], list[_Query]] = defaultdict(list)
    for clip in held_out:
        for task, query in _queries(clip):
            tasks[task, query.item.lang, query.target.lang].append(query)
    items: dict[object, Item] = {}
    for queries in tasks.values():
        for query in queries:
            items.setdefault(_key(query.item), query.item)
            items.setdefault(_key(query.target), query.target)
    rows = {key: row for row, key in enumerate(items)}
    vectors = embed_items(model, list(items.values()), batch=batch)
    judged = []
    for key in sorted(tasks):
        queries = tasks[key]
        pool = {query.target: query.meaning for query in queries}
        pools = Pools(
            src_vectors=vectors[[rows[_key(query.item)] for query in queries]],
            src_gold=np.array([query.meaning for query in queries], dtype=np.int64),
            tgt_vectors=vectors[[rows[_key(text)] for text in pool]],
            tgt_gold=np.array(list(pool.values()), dtype=np.int64),
        )
        task, lang, target_lang = key
        judged.append(
            Judgement(
                task=task,
                lang=lang,
                target_lang=target_lang,
                queries=len(queries),
                pool=len(pool),
                recall=_at_one(retrieve(pools).rank),
                by_length=_at_one(_length_ranks(queries, list(pool), pools)),
            )
        )
    return judged


def embed_items(model: DualEncoder, items: Sequence[Item], *, batch: int) -> NDArray[np.float32]:
    """Unit vectors [N, D] of items, without a graph."""
    model.eval()
    vectors = np.zeros((len(items), model.dim), dtype=np.float32)
    if not items:
        return vectors
    lengths = np.minimum(model.lengths(items), model.config.max_tokens)
    with torch.no_grad():  # not inference_mode: what a model caches is used in training, too
        for chunk in chunks_by_length(lengths, batch):
            for rows in split_by_length(chunk, lengths):
                vectors[rows] = model([items[i] for i in rows]).float().cpu().numpy()
    return vectors


def _queries(clip: HeldOut) -> list[tuple[str, _Query]]:
    found = []
    if clip.transcript is not None:
        query = _Query(item=clip.clip, target=clip.transcript, meaning=clip.clip_key)
        found.append(("speech-transcript", query))
    for text, key in zip(clip.translations, clip.translation_keys, strict=True):
        query = _Query(item=clip.clip, target=text, meaning=key)
        found.append(("speech-translation", query))
        if clip.transcript is not None:
            query = _Query(item=clip.transcript, target=text, meaning=key)
            found.append(("text-translation", query))
    return found


def _key(item: Item) -> object:
    return id(item) if isinstance(item, Spoken) else item


def _length(item: Item) -> int:
    return sum(map(len, item.regions)) if isinstance(item, Spoken) else len(item.text)


def _length_ranks(
    queries: Sequence[_Query], pool: Sequence[Written], pools: Pools
) -> NDArray[np.float64]:
    src, tgt = log_lengths(
        np.array([_length(query.item) for query in queries], dtype=np.int64),
        np.array([_length(text) for text in pool], dtype=np.int64),
    )
    golds = len(np.unique(pools.tgt_gold))
    lengths = Lengths(
        src=src, src_gold=pools.src_gold, tgt=tgt, tgt_gold=pools.tgt_gold, golds=golds
    )
    return length_ranks(lengths, np.random.default_rng(_SEED))


def _at_one(ranks: NDArray[np.float64]) -> float:
    return float((ranks == 1).mean())
