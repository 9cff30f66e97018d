"""Why a pair was or was not mined: pure functions on the rows that a run left."""

from mining.explain.names import Name, place_of, read_name, spellings
from mining.explain.neighbourhood import Candidate, Neighbourhood, neighbourhood, touched
from mining.explain.ranks import similarity_of, true_rank
from mining.explain.verdicts import Loss, loss_of, score_lines

__all__ = [
    "Candidate",
    "Loss",
    "Name",
    "Neighbourhood",
    "loss_of",
    "neighbourhood",
    "place_of",
    "read_name",
    "score_lines",
    "similarity_of",
    "spellings",
    "touched",
    "true_rank",
]
