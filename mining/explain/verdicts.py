"""What is said of a pair's scores, and whom it lost to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mining.explain.neighbourhood import Candidate, Neighbourhood
from mining.score import ScoreSettings, select

_RIVAL = re.compile("overlaps ([0-9a-f]{32})")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Why a candidate is no pair.

    Attributes:
        reason: as in REJECT.
        by_itself: whether it would be refused if there were no other pair.
        rival: id of the pair whose speech it overlaps, where the run says so.
    """

    reason: str
    by_itself: bool
    rival: str | None = None


def loss_of(
    pair: Candidate, settings: ScoreSettings, threshold: float | None, said: tuple[str, str | None]
) -> Loss:
    """Why the run refused a candidate.

    Args:
        pair: as scored.
        settings: of the run; their own threshold is not looked at.
        threshold: in force for the language pair.
        said: reason and detail of the pair's row in ``rejects/``.
    """
    reason, detail = said
    _, refused = select(pair.to_table(), replace(settings, threshold=threshold))
    rival = _RIVAL.search(detail or "")
    return Loss(
        reason=reason,
        by_itself=bool(refused.num_rows),
        rival=rival.group(1) if rival else None,
    )


def score_lines(
    found: Neighbourhood, settings: ScoreSettings, threshold: str, said: Callable[[str], str]
) -> Iterator[tuple[str, str]]:
    """Label and sentence of a candidate's means, margin and threshold, and of what was better.

    Args:
        found: the pair is a candidate.
        settings: of the run.
        threshold: what is in force and where it comes from, in words.
        said: a segment in one line, by its id.
    """
    pair = found.pair
    if pair is None:
        return
    means = pair.src_mean_similarity, pair.tgt_mean_similarity
    yield (
        "means",
        f"{means[0]:.6f} of the source to its {settings.k} nearest targets, {means[1]:.6f} of the "
        f"target to its {settings.k} nearest sources",
    )
    formula = {
        "ratio": f"{pair.similarity:.6f} / (({means[0]:.6f} + {means[1]:.6f}) / 2)",
        "distance": f"{pair.similarity:.6f} - ({means[0]:.6f} + {means[1]:.6f}) / 2",
        "absolute": "the similarity itself",
    }[settings.margin]
    yield "margin", f"{settings.margin}: {pair.margin_score:.6f} = {formula}"
    yield "threshold", threshold
    for side, best, is_best in (
        ("source", found.src_best, pair.src_best),
        ("target", found.tgt_best, pair.tgt_best),
    ):
        if is_best:
            yield "best", f"it is the {side}'s best candidate"
        elif best is None:
            yield "best", f"the {side} has no candidate of its own"
        else:
            other = best.tgt_segment_id if side == "source" else best.src_segment_id
            yield (
                "best",
                f"not the {side}'s best candidate: that is {said(other)}: margin "
                f"{best.margin_score:.6f}, similarity {best.similarity:.6f}",
            )
