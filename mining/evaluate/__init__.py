"""Judging mined pairs and embeddings against gold, and choosing thresholds from it."""

from mining.evaluate.bitext import Score, precision_recall_f1
from mining.evaluate.boundary import Boundary
from mining.evaluate.calibration import (
    Conditions,
    Threshold,
    lookup,
    read_calibration,
    write_calibration,
)
from mining.evaluate.gold import PairGold, PairKey, pair_gold, read_gold
from mining.evaluate.judge import Evaluation, JudgeSettings, Side, Trial, evaluate
from mining.evaluate.locate import locate_speech
from mining.evaluate.render import render
from mining.evaluate.thresholds import Sample, calibrate

__all__ = [
    "Boundary",
    "Conditions",
    "Evaluation",
    "JudgeSettings",
    "PairGold",
    "PairKey",
    "Sample",
    "Score",
    "Side",
    "Threshold",
    "Trial",
    "calibrate",
    "evaluate",
    "locate_speech",
    "lookup",
    "pair_gold",
    "precision_recall_f1",
    "read_calibration",
    "read_gold",
    "render",
    "write_calibration",
]
