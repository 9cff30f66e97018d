"""How much is done: what two cores do in an afternoon, or what a GPU does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One run of ``mining train``; the next goes on with its model.

    Attributes:
        name: of its folder.
        max_s: longer clips wait for the next phase.
        steps: of training.
        rate: highest learning rate of adapters; rows and projection learn ten times as fast.
    """

    name: str
    max_s: float
    steps: int
    rate: float


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is taken, and for how long.

    Attributes:
        layers: of the text network that are kept, by the folder's name; others: all.
        synthetic: clips a language.
        texts: pairs of texts a language.
        units: k-means clusters.
        fit_h: hours of speech that they are fitted on.
        letters: steps of the recogniser of letters.
        batch: pairs of a step.
        chunk: pairs embedded at once.
        phases: one after the other, short clips first.
    """

    layers: dict[str, int]
    synthetic: int
    texts: int
    units: int
    fit_h: float
    letters: int
    batch: int
    chunk: int
    phases: tuple[Phase, ...]


SIZES = {
    # for the tests, and to see that everything is in its place
    "tiny": Size(
        layers={"multilingual-bert": 4, "gemma-3-270m": 4},
        synthetic=40,
        texts=20_000,
        units=256,
        fit_h=0.1,
        letters=60,
        batch=32,
        chunk=32,
        phases=(Phase(name="short", max_s=3.0, steps=60, rate=5e-4),),
    ),
    "small": Size(
        layers={"multilingual-bert": 6, "gemma-3-270m": 6},
        synthetic=150,
        texts=20_000,
        units=1024,
        fit_h=1.0,
        letters=1200,
        batch=64,
        chunk=64,
        phases=(
            Phase(name="short", max_s=4.0, steps=400, rate=5e-4),
            Phase(name="all", max_s=12.0, steps=100, rate=3e-4),
        ),
    ),
    # of one GPU for minutes
    "full": Size(
        layers={},
        synthetic=150,
        texts=4000,  # that many are drawn
        units=1024,
        fit_h=1.0,
        letters=10_000,
        batch=512,
        chunk=128,
        phases=(
            Phase(name="short", max_s=4.0, steps=60, rate=5e-4),
            Phase(name="all", max_s=12.0, steps=60, rate=3e-4),
        ),
    ),
}
