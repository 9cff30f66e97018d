"""How candidates are scored, and the threshold of each language pair.

A number in the config wins, then ``target_precision``, then the preset's, then the model's own
calibration; without any of them the run stops and says what to set.
"""

from __future__ import annotations

from dataclasses import replace

from beam_jobs.progress import one_of_each_kind
from beam_jobs.stages.neighbors import Neighbors
from beam_jobs.stages.tasks import LangPair
from encoders import calibration_of
from mining.config.model import NONE, Mining
from mining.contract.errors import ConfigError
from mining.contract.model_ref import ModelRef
from mining.evaluate.calibration import Conditions, Found, Threshold, lookup, read_calibration
from mining.evaluate.gold import PairKey
from mining.io.filesystem import Storage
from mining.score import ScoreSettings


def score_settings(mining: Mining) -> ScoreSettings:
    """A preset, or the defaults, with the config's own settings put over it."""
    base = ScoreSettings.preset(mining.preset) if mining.preset else ScoreSettings()
    given = {
        name: value
        for name in ("k", "speech_k", "margin", "select", "score_max")
        if (value := getattr(mining, name)) is not None
    }
    return replace(base, **given)


def calibration(
    mining: Mining, settings: ScoreSettings, model: ModelRef, storage: Storage
) -> tuple[Threshold, ...] | float | None:
    """Where the thresholds come from: one number, None for no limit, or a calibration's entries.

    Raises:
        ConfigError: if they must come from a calibration and there is none.
    """
    if isinstance(mining.threshold, float):
        return mining.threshold
    if mining.threshold == NONE:
        return None
    if mining.threshold is None and mining.target_precision is None and mining.preset:
        return settings.threshold
    uri = mining.calibration or calibration_of(model)
    if uri is None:
        raise ConfigError(
            f"mining.threshold: must be set, since {model.path} brings no calibration; give a number "
            "or 'none', or run mining calibrate and name its file in mining.calibration"
        )
    entries = read_calibration(uri, storage)
    targets = {entry.target for entry in entries}
    if mining.target_precision not in targets:
        there = ", ".join(f"{target:g}" for target in sorted(t for t in targets if t is not None))
        raise ConfigError(
            f"mining.target_precision: must be one that {uri} holds ({there}), but is "
            f"{mining.target_precision}; run mining calibrate --precision {mining.target_precision}"
        )
    return entries


def effective(mining: Mining) -> Mining:
    """The settings with those of the preset, or the defaults, filled in."""
    settings = score_settings(mining)
    return replace(
        mining,
        k=settings.k,
        speech_k=settings.neighbors(of_speech=True),
        margin=settings.margin,
        select=settings.select,
        score_max=settings.score_max,
    )


def resolve_thresholds(
    mining: Mining, settings: ScoreSettings, knn: Neighbors, model: ModelRef, storage: Storage
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """The lowest margin score kept, by language pair (``deu-eng``; None: no limit), and warnings.

    Raises:
        ConfigError: if it must come from a calibration that has none for a language pair.
    """
    names = [f"{src}-{tgt}" for src, tgt in knn.lang_pairs]
    entries = calibration(mining, settings, model, storage)
    if not isinstance(entries, tuple):
        return dict.fromkeys(names, entries), ()
    found: dict[PairKey, Found] = {}
    for pair in knn.lang_pairs:
        key = _key(knn, pair)
        found[key] = lookup(entries, key, _conditions(settings, knn, pair), mining.target_precision)
    thresholds: dict[str, float | None] = {key.langs: one.threshold for key, one in found.items()}
    said = [(key.name, warning) for key, one in found.items() for warning in one.warnings]
    return thresholds, one_of_each_kind(said)


def _key(knn: Neighbors, pair: LangPair) -> PairKey:
    return PairKey(
        src_modality=knn.src_modality,
        tgt_modality=knn.tgt_modality,
        src_lang=pair[0],
        tgt_lang=pair[1],
    )


def _conditions(settings: ScoreSettings, knn: Neighbors, pair: LangPair) -> Conditions:
    src_rows, tgt_rows = knn.pools(pair)
    return Conditions(
        margin=settings.margin, k=settings.k, src_pool_size=src_rows, tgt_pool_size=tgt_rows
    )


def origin_of_threshold(knn: Neighbors, pair: LangPair) -> str:
    """Where the threshold of a language pair comes from, in words."""
    config, storage = knn.run.config, knn.run.storage
    mining, settings = config.mining, score_settings(config.mining)
    model = config.model_of(knn.sources[0].manifest.name)
    entries = calibration(mining, settings, model, storage)
    if not isinstance(entries, tuple):
        given = mining.threshold is not None
        return "mining.threshold" if given else f"the preset {mining.preset}"
    conditions = _conditions(settings, knn, pair)
    entry = lookup(entries, _key(knn, pair), conditions, mining.target_precision).entry
    target = "best F1" if entry.target is None else f"precision {entry.target:g}"
    return (
        f"the threshold for {target} of {entry.key.name} in "
        f"{mining.calibration or calibration_of(model)}, calibrated on pools of "
        f"{entry.conditions.src_pool_size} and {entry.conditions.tgt_pool_size}"
    )
