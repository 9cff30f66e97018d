"""What a dual encoder learns from, and its training by the project's own learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from corpus import ENGLISH, Sentence
from numpy.typing import NDArray

from encoders.dual.model import DualEncoder
from encoders.train.config import Loss, Model, Optimiser, Training
from encoders.train.data.config import Data, Texts
from encoders.train.data.frames import Clips
from encoders.train.data.mixture import Mixture
from encoders.train.data.pairs import PairSource
from encoders.train.data.speech import SpeechPairs
from encoders.train.data.texts import Side, TextPairs, side_of
from encoders.train.learner import Learner

Units = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long, how much at once, and how fast a dual encoder learns."""

    steps: int = 700
    batch: int = 256
    rate: float = 5e-3


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Recordings of a language as units.

    Attributes:
        lang: ISO 639-3 code.
        units: int16 [O] of each.
        said: what is said in each; ``english`` may be "".
    """

    lang: str
    units: list[Units]
    said: list[Sentence]


def speech_pairs(found: Sequence[Heard]) -> list[PairSource]:
    """Speech with its own text, and speech in other languages than English with its translation."""
    heard = [one for recordings in found for one in recordings.units]
    said = [one for recordings in found for one in recordings.said]
    langs = [recordings.lang for recordings in found for _ in recordings.said]
    sizes = np.array([len(one) for one in heard])
    clips = Clips(
        ids=[number.to_bytes(16, "big") for number in range(len(heard))],
        faults={},
        samples=np.zeros(len(heard), np.int64),
        units=np.concatenate(heard),
        starts=np.cumsum(sizes) - sizes,
        sizes=sizes,
    )
    spoken = side([one.text for one in said], langs)
    meant = side([one.english or one.text for one in said], [ENGLISH] * len(said))
    foreign = np.array([lang != ENGLISH for lang in langs])
    translated = foreign & np.array([bool(one.english) for one in said])
    rows = {"transcribe": np.arange(len(said)), "translate": np.flatnonzero(translated)}
    kept = {"transcribe": spoken, "translate": meant.filter(translated)}
    return [
        SpeechPairs(
            name="speech",
            kind=kind,
            clips=clips,
            numbers=rows[kind],
            langs=spoken.langs[rows[kind]],
            lang_names=spoken.lang_names,
            source_keys=spoken.keys[rows[kind]],
            target=kept[kind],
        )
        for kind in ("transcribe", "translate")
    ]


def text_pairs(pairs: Mapping[str, Sequence[tuple[str, str, bool]]]) -> TextPairs:
    """Pairs of each language, as :func:`corpus.text_pairs` gives them."""
    rows = [(lang, *pair) for lang, some in pairs.items() for pair in some]
    return TextPairs(
        name="text",
        source=side([row[1] for row in rows], [row[0] for row in rows]),
        target=side([row[2] for row in rows], [ENGLISH if row[3] else row[0] for row in rows]),
    )


def side(texts: Sequence[str], langs: Sequence[str]) -> Side:
    """One side of pairs."""
    return side_of(pa.chunked_array([texts], pa.string()), pa.chunked_array([langs], pa.string()))


def teach(model: DualEncoder, sources: Sequence[PairSource], pace: Pace, seed: int) -> None:
    """Train a dual encoder on pairs: in-batch softmax in both directions, with an additive margin."""
    config = Training(
        schema=1,
        output="nowhere",
        model=Model(start="nothing", train=("text", "audio")),
        data=Data(texts={"text": Texts(uri="in memory")}, transcribe=1.0, translate=1.0, text=2.0),
        loss=Loss(margin=0.2, scale=20.0),
        optimiser=Optimiser(
            steps=pace.steps, batch=pace.batch, chunk=pace.batch, rate=pace.rate, decay=0.0
        ),
        seed=seed,
    )
    learner = Learner(model, config, None)
    mixture = Mixture([source for source in sources if len(source)], config.data, pace.batch, seed)
    for step in range(pace.steps):
        pairs = mixture.batch(step)
        learner.step(
            step, [p for p in pairs if not (model.fault(p.source) or model.fault(p.target))]
        )
    model.eval()
