"""How candidates are scored and chosen, and the presets of known tools."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from mining.contract.errors import ConfigError

Margin = Literal["ratio", "distance", "absolute"]
Select = Literal["forward", "backward", "intersection", "max", "union", "all"]
Best = Literal["margin", "nearest"]

_MAX_K = 1024
_SPEECH_FACTOR = (
    16  # neighbours of speech that overlap a nearer one, about: read chapters have so many
)


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Settings of :func:`score_candidates` and :func:`select`.

    Attributes:
        k: neighbours a side that are candidates and that the means are over, 1 to 1024. Default 4:
            Artetxe and Schwenk 2019, section 3.2. Neighbours ranked beyond k are not looked at.
        speech_k: the same where speech was searched: overlapping versions of one stretch crowd the
            ranks, so that more are candidates, and the mean is over the k best that do not overlap.
            k to 16384; None: 16 k.
        margin: with a the similarity of a pair and b the average of both sides' mean similarity to
            their k nearest: ``ratio`` a / b, ``distance`` a - b, ``absolute`` a (section 3.1).
        select: ``forward``: each source's best; ``backward``: each target's best; ``intersection``:
            pairs that are both; ``union``: pairs that are either; ``max``: those, best first, each
            source and each target at most once; ``all``: every candidate.
        threshold: lowest margin score kept; None: no limit. Scores are compared as they are stored,
            in float32.
        strict: whether a score equal to the threshold is dropped.
        score_max: highest margin score kept; None: no limit. Drops near-copies.
        best: ``margin``: a row's best candidate is the one of highest margin among its k nearest;
            ``nearest``: its nearest neighbour.
    """

    k: int = 4
    speech_k: int | None = None
    margin: Margin = "ratio"
    select: Select = "max"
    threshold: float | None = None
    strict: bool = False
    score_max: float | None = None
    best: Best = "margin"

    def __post_init__(self) -> None:
        if not 1 <= self.k <= _MAX_K:
            raise ConfigError(f"k: must be from 1 to {_MAX_K}, but is {self.k}")
        most = _MAX_K * _SPEECH_FACTOR
        if self.speech_k is not None and not self.k <= self.speech_k <= most:
            raise ConfigError(
                f"speech_k: must be from k = {self.k} to {most}, or None, but is {self.speech_k}"
            )
        for name, allowed in (("margin", Margin), ("select", Select), ("best", Best)):
            value = getattr(self, name)
            if value not in get_args(allowed):
                raise ConfigError(f"{name}: must be one of {get_args(allowed)}, but is {value!r}")
        for name in ("threshold", "score_max"):
            value = getattr(self, name)
            if value is not None and math.isnan(value):
                raise ConfigError(f"{name}: must be a number or None, but is NaN")

    def neighbors(self, *, of_speech: bool) -> int:
        """Neighbours a row that a direction is searched for; ``of_speech``: it searches speech."""
        if not of_speech:
            return self.k
        return self.k * _SPEECH_FACTOR if self.speech_k is None else self.speech_k

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> ScoreSettings:
        """A preset, with some of its settings replaced.

        Raises:
            ConfigError: if there is no such preset.
        """
        if name not in PRESETS:
            raise ConfigError(f"preset: must be one of {sorted(PRESETS)}, but is {name!r}")
        return replace(PRESETS[name], **overrides)


# The rules of other tools, as far as they are rules of margin and selection. What each does besides
# is not in here: their approximate indexes and compressed vectors (all search is exact here), their
# length filters (corpora.*.min_chars, max_chars), and the bugs that tests/reference/tools.py names.
PRESETS: Mapping[str, ScoreSettings] = MappingProxyType(
    {
        # facebookresearch/LASER, source/mine_bitexts.py: defaults of --neighborhood, --margin,
        # --retrieval and --threshold; a pair is printed when its score > threshold.
        "laser": ScoreSettings(k=4, margin="ratio", select="max", threshold=0.0, strict=True),
        # sentence-transformers, examples/.../parallel-sentence-mining/bitext_mining.py:
        # knn_neighbors and min_threshold; the walk ends at the first score < min_threshold. Not
        # represented: PCA to 128 dimensions, IVFFlat with 3 probes (both on by default), sentences of
        # 10 to 200 characters only.
        "sentence-transformers": ScoreSettings(k=4, margin="ratio", select="max", threshold=1.0),
        # mct10/Speech-Vecalign, svecalign/postprocess/score_align.py: defaults of --k and --margin.
        # It scores pairs that an alignment made and keeps them all, so nothing is selected. Not
        # represented: the alignment itself, whose pairs need not be neighbours (`mining score` gives
        # these their scores), and an index with 128 probes.
        "speech-vecalign": ScoreSettings(k=16, margin="ratio", select="all"),
        # facebookresearch/stopes, bitext mining: k_src = k_trg = 16, mine_type union,
        # sort_neighbors false (the nearest neighbour, whatever its margin), and both limits of
        # mine_threshold 1.06 and score_max 1.25 inclusive. Not represented: float16 distances and
        # PQ codes that scores are made of, a mutual pair standing twice until texts are compared.
        "stopes": ScoreSettings(
            k=16, margin="ratio", select="union", threshold=1.06, score_max=1.25, best="nearest"
        ),
    }
)
