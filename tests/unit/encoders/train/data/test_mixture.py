from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from encoders.dual.items import Spoken, Written
from encoders.train.data.config import Data
from encoders.train.data.garble import garbled
from encoders.train.data.mixture import Mixture
from encoders.train.data.pairs import Kind, PairSource, TrainingPair
from mining.contract.errors import InputError


@dataclass(frozen=True, eq=False)
class Listed:
    """A source whose rows are told by number."""

    name: str
    kind: Kind
    langs: NDArray[np.int32]
    lang_names: tuple[str, ...]
    sentences: int  # distinct ones

    def __len__(self) -> int:
        return len(self.langs)

    def pair(self, row: int) -> TrainingPair:
        text = Written(text=f"{self.name} {row}", lang=self.lang_names[self.langs[row]])
        key = ord(self.name) * (1 << 50) + row % self.sentences
        return TrainingPair(
            source=text, target=text, source_key=key, target_key=key, teacher_text=text
        )


def listed(name: str, kind: Kind, rows: dict[str, int], sentences: int = 1 << 40) -> Listed:
    langs = np.repeat(np.arange(len(rows)), list(rows.values())).astype(np.int32)
    np.random.default_rng(0).shuffle(langs)
    return Listed(name, kind, langs, tuple(rows), sentences)


SOURCES: tuple[PairSource, ...] = (
    listed("a", "transcribe", {"fra": 400, "deu": 100}),
    listed("b", "transcribe", {"deu": 300, "cym": 25}),
    listed("c", "translate", {"fra": 300}),
    listed("d", "text", {"rus": 900}),
)


def names(pairs: Sequence[TrainingPair]) -> list[str]:
    return [pair.teacher_text.text for pair in pairs]


@settings(max_examples=40)
@given(
    weights=st.tuples(*[st.floats(0.01, 10)] * 3),
    batch=st.integers(2, 80),
    seed=st.integers(-5, 1 << 70),
    step=st.integers(0, 1 << 40),
)
def test_each_kind_has_its_share_of_a_batch(
    weights: tuple[float, float, float], batch: int, seed: int, step: int
) -> None:
    kinds = ("transcribe", "translate", "text")
    data = Data(**dict(zip(kinds, weights, strict=True)))  # type: ignore[arg-type]
    pairs = Mixture(SOURCES, data, batch, seed).batch(step)
    assert len(pairs) == batch
    owner = {source.name: source.kind for source in SOURCES}
    counts = Counter(owner[name.split()[0]] for name in names(pairs))
    for kind, weight in zip(kinds, weights, strict=True):
        ideal = batch * weight / sum(weights)
        assert np.floor(ideal - 1e-6) <= counts[kind] <= np.ceil(ideal + 1e-6)


def test_a_kind_of_a_small_share_is_drawn_as_often_as_its_weight_says() -> None:
    mixture = Mixture(SOURCES, Data(transcribe=1, translate=0, text=0.01), 16, 3)
    drawn = sum(name.startswith("d") for step in range(2000) for name in names(mixture.batch(step)))
    ideal = 2000 * 16 * 0.01 / 1.01
    assert abs(drawn - ideal) < 4 * np.sqrt(ideal)


@settings(max_examples=30)
@given(steps=st.lists(st.integers(0, 50), min_size=1, max_size=8), seed=st.integers(0, 3))
def test_a_batch_does_not_depend_on_what_was_drawn_before(steps: list[int], seed: int) -> None:
    worn = Mixture(SOURCES, Data(), 8, seed)
    for step in steps:
        fresh = Mixture(SOURCES, Data(), 8, seed)
        assert names(worn.batch(step)) == names(fresh.batch(step))


def test_steps_and_seeds_differ() -> None:
    drawn = {
        tuple(names(Mixture(SOURCES, Data(), 8, seed).batch(step)))
        for seed in range(5)
        for step in range(5)
    }
    assert len(drawn) == 25


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_language_is_drawn_by_its_rows_to_a_power_over_all_sources(power: float) -> None:
    data = Data(translate=0, text=0, language_power=power)
    mixture = Mixture(SOURCES, data, 4, 1)
    drawn = Counter(p.teacher_text.lang for step in range(2000) for p in mixture.batch(step))
    rows = {"fra": 400, "deu": 400, "cym": 25}
    mass = {lang: count**power for lang, count in rows.items()}
    for lang in rows:
        chance = mass[lang] / sum(mass.values())
        # sentences do not repeat in a batch, which costs the small language a little
        assert abs(drawn[lang] / 8000 - chance) < 0.03


def test_every_row_of_a_language_is_drawn_alike() -> None:
    small = (
        listed("a", "text", {"fra": 10, "deu": 7}),
        listed("b", "text", {"deu": 5, "fra": 20}),
    )
    mixture = Mixture(small, Data(language_power=1.0), 2, 0)
    drawn = Counter(name for step in range(4200) for name in names(mixture.batch(step)))
    assert len(drawn) == 42
    assert all(abs(count - 200) < 70 for count in drawn.values())


def test_no_sentence_stands_twice_in_a_batch_where_there_are_others() -> None:
    source = listed("a", "text", {"eng": 2000}, sentences=200)
    mixture = Mixture([source], Data(), 32, 0)
    for step in range(100):
        keys = [pair.source_key for pair in mixture.batch(step)]
        assert len(set(keys)) == 32
    scarce = Mixture([listed("a", "text", {"eng": 9}, sentences=3)], Data(), 8, 0)
    assert len(scarce.batch(0)) == 8


def test_a_kind_without_pairs_is_left_out_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        mixture = Mixture(SOURCES[3:], Data(translate=0), 8, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "data.transcribe: has a weight, but no pairs; it is left out"
    ]
    assert all(name.startswith("d") for name in names(mixture.batch(0)))


def test_nothing_to_draw_from_is_an_error() -> None:
    with pytest.raises(InputError, match="must have pairs of a kind with a weight"):
        Mixture(SOURCES[3:], replace(Data(), text=0.0), 8, 0)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.01, 1))
def test_garbled_speech_keeps_its_frames_and_invents_no_unit(seed, most):
    frames = np.repeat(np.arange(12, dtype=np.int16) % 5, 3)
    regions = (frames[:20], frames[20:], np.zeros(0, np.int16))
    pair = TrainingPair(
        source=Spoken(regions=regions, lang="deu"),
        target=Written(text="abc", lang="deu"),
        source_key=1,
        target_key=2,
        teacher_text=Written(text="abc", lang="deu"),
    )
    found = garbled(pair, most, np.random.default_rng(seed))
    assert [len(one) for one in found.source.regions] == [20, 16, 0]
    assert set(np.concatenate(found.source.regions).tolist()) <= set(range(5))
    assert found.target is pair.target
    again = garbled(pair, most, np.random.default_rng(seed))
    assert all(map(np.array_equal, found.source.regions, again.source.regions))
    assert (pair.source.regions[0] == frames[:20]).all()


def test_garbling_changes_up_to_the_share_that_is_asked_for():
    frames = np.repeat(np.random.default_rng(0).integers(0, 500, 4000), 2).astype(np.int16)
    text = Written(text="abc", lang="deu")
    pair = TrainingPair(
        source=Spoken(regions=(frames,), lang="deu"),
        target=text, source_key=1, target_key=2, teacher_text=text,
    )  # fmt: skip
    random = np.random.default_rng(5)
    shares = [(garbled(pair, 0.4, random).source.regions[0] != frames).mean() for _ in range(200)]
    assert 0.17 < np.mean(shares) < 0.23
    assert max(shares) < 0.42
    assert garbled(replace(pair, source=text), 1.0, random).source is text
