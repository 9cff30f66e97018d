"""How often speech finds its own text and its translation first, and what finds it without learning.

Q queries, N texts of a pool, D width of a vector.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from corpus import ENGLISH, Sentence
from lessons import Heard
from numpy.typing import NDArray
from tower import ngram_rows

from encoders.audio_tokens.collapse import spelled
from encoders.audio_tokens.conv_ctc_network import BLANK, SYMBOLS
from encoders.audio_tokens.letters import letters
from encoders.dual.items import Item, Spoken, Written
from encoders.dual.model import DualEncoder
from encoders.train.judge import embed_items
from mining.evaluate.controls import Lengths, length_ranks, log_lengths
from mining.evaluate.retrieval import Pools, retrieve

OWN = "own"
_HASHED = 16_384

Embed = Callable[[Sequence[Item]], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Speech of a language, and texts to find it in.

    Attributes:
        kind: ``synthetic``, ``clips`` or ``prompts``.
        heard: the speech.
        others: sentences that are in the pool with those that are said.
    """

    kind: str
    heard: Heard
    others: list[Sentence]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A figure.

    Attributes:
        lang: of the speech.
        kind: of the speech.
        target: ``own``: texts in its language; ``eng``: English ones.
        queries: Q.
        pool: N.
        recall: R@1: share of the queries whose nearest text is the right one; ties count against.
        by_length: the same where the nearest in length is taken.
    """

    lang: str
    kind: str
    target: str
    queries: int
    pool: int
    recall: float
    by_length: float


def judged(model: DualEncoder, case: Case) -> list[Judged]:
    """Figures of a trained model."""
    return _figures(case, lambda items: embed_items(model, items, batch=512))


def shared_letters(case: Case) -> list[Judged]:
    """Figures of what needs no training: n-grams that speech and text share, rare ones most.

    It finds cognates and names in English, and in the own language whatever was heard right.
    """
    return _figures(case, _letter_vectors)


def _figures(case: Case, embed: Embed) -> list[Judged]:
    found = []
    for target in (OWN, ENGLISH):
        texts = dict.fromkeys(
            text for one in (*case.heard.said, *case.others) if (text := _wanted(one, target))
        )
        rows = {text: row for row, text in enumerate(texts)}
        asked = [n for n, one in enumerate(case.heard.said) if _wanted(one, target)]
        if any(_says(case.heard.units[n]) for n in asked):
            found.append(_figure(case, target, (asked, rows), embed))
    return found


def _figure(
    case: Case, target: str, asked_of: tuple[list[int], dict[str, int]], embed: Embed
) -> Judged:
    wanted, rows = asked_of
    lang = case.heard.lang
    units, said = case.heard.units, case.heard.said
    asked = [n for n in wanted if _says(units[n])]  # the others find nothing
    items: list[Item] = [Spoken(regions=(units[n],), lang=lang) for n in asked]
    items += [Written(text=text, lang=lang if target == OWN else ENGLISH) for text in rows]
    vectors = embed(items)
    pools = Pools(
        src_vectors=vectors[: len(asked)],
        src_gold=np.array([rows[_wanted(said[n], target)] for n in asked], np.int64),
        tgt_vectors=vectors[len(asked) :],
        tgt_gold=np.arange(len(rows)),
    )
    src, tgt = log_lengths(
        np.array([len(units[n]) for n in asked]), np.array([len(text) for text in rows])
    )
    lengths = Lengths(
        src=src, src_gold=pools.src_gold, tgt=tgt, tgt_gold=pools.tgt_gold, golds=len(rows)
    )
    by_length = length_ranks(lengths, np.random.default_rng(0))
    return Judged(
        lang=lang,
        kind=case.kind,
        target=target,
        queries=len(wanted),
        pool=len(rows),
        recall=float((retrieve(pools).rank == 1).sum() / len(wanted)),
        by_length=float((by_length == 1).sum() / len(wanted)),
    )


def _wanted(one: Sentence, target: str) -> str:
    return one.text if target == OWN else one.english


def _says(units: NDArray[np.int16]) -> bool:
    return bool(spelled([units], SYMBOLS, BLANK))


def _letter_vectors(items: Sequence[Item]) -> NDArray[np.float32]:
    """Unit vectors of hashed n-grams, weighted by their rarity among the items: float32 [., D]."""
    texts = [
        spelled(item.regions, SYMBOLS, BLANK) if isinstance(item, Spoken) else letters(item.text)
        for item in items
    ]
    counts = np.zeros((len(texts), _HASHED), np.float32)
    for row, found in zip(counts, ngram_rows(texts, _HASHED), strict=True):
        np.add.at(row, found, 1.0)
    vectors: NDArray[np.float32] = np.log1p(counts)
    vectors *= np.log(len(texts) / np.maximum((counts > 0).sum(axis=0), 1))
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors


def write_judged(path: Path, rows: Sequence[Judged]) -> None:
    """Write figures, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8", newline="") as file:
        names = [field.name for field in fields(Judged)]
        writer = csv.DictWriter(file, names, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    beside.rename(path)
