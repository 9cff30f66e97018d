"""``calibration.json``: thresholds with the conditions they were measured under."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mining.contract.errors import ConfigError, DatasetError
from mining.contract.schemas import TEXT
from mining.evaluate.gold import EVERY, SAME, PairKey
from mining.io.filesystem import Storage, read_bytes, write_atomic

_SCHEMA = 1
_POOL_FACTOR = 2  # margins fall as pools grow: beyond this factor a threshold is another one's


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a margin score depends on besides the encoder.

    Attributes:
        margin: ratio, distance or absolute.
        k: neighbours a side.
        src_pool_size: segments of the source side; ``tgt_pool_size`` of the target side.
    """

    margin: str
    k: int
    src_pool_size: int
    tgt_pool_size: int


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold for a wanted precision, and what it may be expected to give.

    Attributes:
        key: what was mined against what; languages ``*`` for the one pooled over language pairs,
            ``=`` over languages with themselves.
        target: wanted precision; None: the best F1.
        threshold: lowest margin score kept; None if no threshold reaches the target.
        reason: why there is none, else empty.
        precision: estimate by cross-fitting: chosen on some meanings, measured on others.
        low: lower bound of the 95 % interval of the precision on a fresh sample of this size;
            ``high`` the upper.
        recall: share of the calibration half's gold that is kept.
        mined: pairs of the calibration half that are kept.
        golds: meanings in the calibration half.
    """

    key: PairKey
    conditions: Conditions
    target: float | None
    threshold: float | None
    reason: str = ""
    precision: float | None = None
    low: float | None = None
    high: float | None = None
    recall: float | None = None
    mined: int = 0
    golds: int = 0


@dataclass(frozen=True, kw_only=True)
class Found:
    """A threshold out of a calibration, and what is doubtful about using it here."""

    threshold: float
    entry: Threshold
    warnings: tuple[str, ...]


def write_calibration(uri: str, entries: Iterable[Threshold], storage: Storage) -> None:
    """Write ``calibration.json``: sorted, so that equal entries are equal bytes."""
    rows = [asdict(entry) for entry in sorted(entries, key=_order)]
    text = json.dumps({"schema": _SCHEMA, "thresholds": rows}, indent=1, sort_keys=True)
    write_atomic(uri, (text + "\n").encode(), storage)


def read_calibration(uri: str, storage: Storage) -> tuple[Threshold, ...]:
    """Read ``calibration.json``.

    Raises:
        InputError: if it is not there.
        DatasetError: if it is damaged or of another version.
    """
    try:
        value = json.loads(read_bytes(uri, storage))
        if value["schema"] != _SCHEMA:
            raise DatasetError(
                f"{uri}: schema must be {_SCHEMA}, but is {value['schema']}; calibrate again"
            )
        return tuple(_threshold(row) for row in value["thresholds"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{uri}: must be a calibration, but is damaged ({error}); calibrate again"
        ) from None


def lookup(
    entries: Sequence[Threshold], key: PairKey, conditions: Conditions, target: float | None = None
) -> Found:
    """The threshold for a language pair, or else a pooled one.

    That is the one over language pairs; of a language with itself, the one over such, if there is
    one; for the best F1 also where the pair's own gold was too little. Where speech is mined and the
    calibration knows none for these modalities, that of text against text is taken, with a warning.

    Args:
        entries: a calibration.
        key: the language pair that is mined.
        conditions: how it is mined. The margin must agree; another k, or a pool more than twice as
            large or small, warns.
        target: wanted precision; None: the threshold of best F1.

    Raises:
        ConfigError: if there is no such threshold.
    """
    wanted = f"a {conditions.margin} threshold for " + (
        "the best F1" if target is None else f"precision {target:g}"
    )
    reason = ""
    for candidate in _candidates(key):
        matching = [
            entry
            for entry in entries
            if entry.key == candidate
            and entry.conditions.margin == conditions.margin
            and entry.target == target
        ]
        if not matching:
            continue
        entry = min(matching, key=lambda e: (_distance(e.conditions, conditions), _order(e)))
        if entry.threshold is None:
            reason = reason or entry.reason
            if (
                target is None
            ):  # of the best F1 another's is a start; a wanted precision is not met by it
                continue
            break
        warnings = tuple(_warnings(key, entry, conditions))
        return Found(threshold=entry.threshold, entry=entry, warnings=warnings)
    if reason:
        raise ConfigError(
            f"calibration: {key.name} must have {wanted}, but {reason}; want a lower precision or set "
            "mining.threshold"
        )
    raise ConfigError(
        f"calibration: {key.name} must have {wanted}, but has none, nor is there one for all "
        "languages; run mining calibrate or set mining.threshold"
    )


def _candidates(key: PairKey) -> tuple[PairKey, ...]:
    """Keys whose threshold may be taken, the fittest first."""
    pooled = [replace(key, src_lang=EVERY, tgt_lang=EVERY)]
    if key.src_lang == key.tgt_lang:
        pooled.insert(0, replace(key, src_lang=SAME, tgt_lang=SAME))
    as_text = (replace(k, src_modality=TEXT, tgt_modality=TEXT) for k in (key, *pooled))
    return tuple(dict.fromkeys((key, *pooled, *as_text)))


def _warnings(key: PairKey, entry: Threshold, here: Conditions) -> Iterable[str]:
    there = entry.conditions
    if _modalities(entry.key) != _modalities(key):
        yield (
            f"{key.name}: calibrated on text against text; transcripts and speech score lower: "
            "calibrate with gold of your own"
        )
    if entry.key.langs != key.langs:
        over = "languages with themselves" if entry.key.src_lang == SAME else "language pairs"
        yield f"{key.name}: no threshold of its own; taking the one pooled over {over}"
    if there.k != here.k:
        yield (
            f"{key.name}: the threshold was calibrated with k={there.k}, but k is {here.k}: the wanted "
            f"precision will not hold; set mining.k={there.k} or calibrate"
        )
    for side, name in (("src", "source"), ("tgt", "target")):
        then, now = (getattr(c, f"{side}_pool_size") for c in (there, here))
        if max(then, now) > _POOL_FACTOR * min(then, now):
            yield (
                f"{key.name}: the threshold was calibrated with {then} {name} segments, but there "
                f"are {now}; calibrate on a pool of this size"
            )


def _modalities(key: PairKey) -> tuple[str, str]:
    return key.src_modality, key.tgt_modality


def _distance(there: Conditions, here: Conditions) -> tuple[bool, float]:
    """How far conditions are apart: k first, then the pools by their logarithms."""
    pools = (
        (there.src_pool_size, here.src_pool_size),
        (there.tgt_pool_size, here.tgt_pool_size),
    )
    return there.k != here.k, sum(abs(math.log(max(a, 1) / max(b, 1))) for a, b in pools)


def _order(entry: Threshold) -> tuple[Any, ...]:
    at = entry.conditions
    pools = (at.src_pool_size, at.tgt_pool_size)
    return entry.key, at.margin, at.k, *pools, -1.0 if entry.target is None else entry.target


def _threshold(row: dict[str, Any]) -> Threshold:
    return Threshold(
        **{**row, "key": PairKey(**row["key"]), "conditions": Conditions(**row["conditions"])}
    )
