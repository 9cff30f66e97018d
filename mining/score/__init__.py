"""Margin scores of neighbour candidates, and which candidates become pairs."""

from mining.score.candidates import CANDIDATE, score_candidates
from mining.score.join import SEGMENT_COLUMNS, join_pairs
from mining.score.overlap import select_spans
from mining.score.selection import select
from mining.score.settings import PRESETS, ScoreSettings
from mining.score.spans import SPAN_COLUMNS, Spans

__all__ = [
    "CANDIDATE",
    "PRESETS",
    "SEGMENT_COLUMNS",
    "SPAN_COLUMNS",
    "ScoreSettings",
    "Spans",
    "join_pairs",
    "score_candidates",
    "select",
    "select_spans",
]
