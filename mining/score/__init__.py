"""Margin scores of neighbour candidates, and which candidates become pairs."""

from mining.score.arrays import Nearest, score_arrays, select_arrays
from mining.score.candidates import CANDIDATE, score_candidates
from mining.score.given import score_given
from mining.score.join import SEGMENT_COLUMNS, join_pairs
from mining.score.margins import Scored
from mining.score.overlap import Selection, select_neighbors, select_spans
from mining.score.selection import select
from mining.score.settings import PRESETS, ScoreSettings
from mining.score.spans import SPAN_COLUMNS, Spans

__all__ = [
    "CANDIDATE",
    "PRESETS",
    "SEGMENT_COLUMNS",
    "SPAN_COLUMNS",
    "Nearest",
    "ScoreSettings",
    "Scored",
    "Selection",
    "Spans",
    "join_pairs",
    "score_arrays",
    "score_candidates",
    "score_given",
    "select",
    "select_arrays",
    "select_neighbors",
    "select_spans",
]
