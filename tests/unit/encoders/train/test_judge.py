"""R@1 of held-out clips against a slow loop over dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from encoders.dual.items import Spoken, Written
from encoders.train.data.pairs import HeldOut
from encoders.train.judge import embed_items, judge

DIM = 5


class _Settings:
    max_tokens = 9


class Hasher:
    """What judging needs of a dual encoder: a vector of every item, mostly of its meaning."""

    config, dim = _Settings(), DIM

    def __init__(self, noise: float) -> None:
        self.noise, self.sizes = noise, []

    def eval(self) -> None:
        """Nothing to switch."""

    def lengths(self, items: list) -> np.ndarray:
        return np.array([_size(item) for item in items], dtype=np.int64)

    def __call__(self, items: list) -> torch.Tensor:
        self.sizes.append(len(items))
        rows = [np.random.default_rng(_meaning(item)).normal(size=DIM) for item in items]
        noise = [
            np.random.default_rng(abs(hash(_own(item))) % 2**31).normal(size=DIM) for item in items
        ]
        found = torch.from_numpy(np.array(rows) + self.noise * np.array(noise)).float()
        return torch.nn.functional.normalize(found, dim=1)


def _size(item: Spoken | Written) -> int:
    return len(item.regions[0]) if isinstance(item, Spoken) else len(item.text)


def _own(item: Spoken | Written) -> tuple[int, ...]:
    if isinstance(item, Spoken):
        return tuple(int(unit) for unit in item.regions[0])
    return tuple(item.text.encode()) + tuple(item.lang.encode())


def _meaning(item: Spoken | Written) -> int:
    return int(item.regions[0][0]) if isinstance(item, Spoken) else int(item.text.split()[0])


def clips(count: int) -> list[HeldOut]:
    rng = np.random.default_rng(4)
    found = []
    for number in range(count):
        meaning = number // 2  # two recordings of each sentence
        lang = ("deu", "fra")[meaning % 2]
        units = np.array([meaning, *rng.integers(0, 50, 2 + number % 5)], dtype=np.int16)
        text = Written(text=f"{meaning} {'x' * (meaning * 7 % 11)}", lang=lang)
        told = () if meaning % 5 == 4 else (Written(text=f"{meaning} {'y' * meaning}", lang="eng"),)
        found.append(
            HeldOut(
                clip=Spoken(regions=(units,), lang=lang), name=str(number), speaker="",
                duration_s=1.0, transcript=None if meaning == 3 else text, translations=told,
                clip_key=meaning + 1, translation_keys=(meaning + 100,)[: len(told)],
            )
        )  # fmt: skip
    return found


def slow(model: Hasher, held_out: list[HeldOut]) -> dict[str, tuple[int, int, float]]:
    asked: dict[str, list] = {}
    for clip in held_out:
        if clip.transcript is not None:
            name = f"speech-transcript/{clip.clip.lang}-{clip.clip.lang}"
            asked.setdefault(name, []).append((clip.clip, clip.transcript, clip.clip_key))
        for text, key in zip(clip.translations, clip.translation_keys, strict=True):
            asked.setdefault(f"speech-translation/{clip.clip.lang}-eng", []).append(
                (clip.clip, text, key)
            )
            if clip.transcript is not None:
                asked.setdefault(f"text-translation/{clip.clip.lang}-eng", []).append(
                    (clip.transcript, text, key)
                )
    found = {}
    for name, queries in asked.items():
        pool = {text: key for _, text, key in queries}
        right = 0
        for item, _, key in queries:
            best = max(pool, key=lambda text: float(model([item])[0] @ model([text])[0]))
            right += pool[best] == key
        found[name] = (len(queries), len(pool), right / len(queries))
    return found


@pytest.mark.parametrize("noise", [0.0, 0.8])
def test_recall_equals_the_slow_one(noise: float) -> None:
    held_out = clips(24)
    model = Hasher(noise)
    judged = judge(model, held_out, batch=4)
    assert max(model.sizes) <= 4
    found = {one.name: (one.queries, one.pool, one.recall) for one in judged}
    expected = slow(model, held_out)
    assert found == expected
    if not noise:
        assert {recall for *_, recall in found.values()} == {1.0}
    else:
        assert min(recall for *_, recall in found.values()) < 1.0


def test_length_alone_is_a_control() -> None:
    """Texts as long as their clips are found by length; of one length each by chance."""

    def clip(number: int, units: int, letters: int) -> HeldOut:
        text = Written(text=f"{number} {'x' * letters}", lang="deu")
        return HeldOut(
            clip=Spoken(regions=(np.full(units, number, np.int16),), lang="deu"), name="",
            speaker="", duration_s=1.0, transcript=text, translations=(), clip_key=number,
            translation_keys=(),
        )  # fmt: skip

    telling = judge(Hasher(0.0), [clip(n, 10 * 2**n, 2**n - 2) for n in range(1, 9)], batch=8)
    assert telling[0].by_length == 1.0
    silent = judge(Hasher(0.0), [clip(n, 10, 5) for n in range(1, 9)], batch=8)
    assert silent[0].by_length < 0.5
    assert silent[0].recall == 1.0


def test_nothing_held_out_is_nothing_judged() -> None:
    assert judge(Hasher(0.0), [], batch=4) == []
    assert embed_items(Hasher(0.0), [], batch=4).shape == (0, DIM)
