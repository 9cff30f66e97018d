"""Margin scores of neighbour candidates, and which candidates become pairs."""

from mining.score.candidates import CANDIDATE, score_candidates
from mining.score.join import SEGMENT_COLUMNS, join_pairs
from mining.score.selection import select
from mining.score.settings import PRESETS, ScoreSettings

__all__ = [
    "CANDIDATE",
    "PRESETS",
    "SEGMENT_COLUMNS",
    "ScoreSettings",
    "join_pairs",
    "score_candidates",
    "select",
]
