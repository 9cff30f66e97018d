"""How much disk a run will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beam_jobs.forecast.pilot import Pilot
from beam_jobs.forecast.sampling import Counted
from beam_jobs.forecast.work import Whole, task_size
from beam_jobs.plan import Plan
from mining.contract.schemas import SPEECH
from mining.forecast import TaskSize, dataset_bytes, fit

TILES = "tiles"  # what they found, as dataset_bytes names it
_CHARS = 60.0  # of a sentence, where nothing was counted


def disk_of(plan: Plan, whole: Whole, pilots: Sequence[Pilot]) -> dict[str, float]:
    """Bytes by dataset: the formulas, corrected by what the pilots wrote."""
    formula = _formula(plan, whole.segments, whole.tasks, whole.counted)
    if pilots:
        return _corrected(plan, whole, pilots, formula)
    return formula


def _formula(
    plan: Plan,
    segments: Mapping[str, Mapping[str, float]],
    tasks: Mapping[str, TaskSize],
    counted: Mapping[str, Counted],
) -> dict[str, float]:
    rows = {name: sum(langs.values()) for name, langs in segments.items()}
    chars = {}
    for name, one in counted.items():
        read = sum(one.rows.values())
        spoken = plan.run.config.corpora[name].modality == SPEECH and name not in plan.recognisers
        chars[name] = 0.0 if spoken else one.chars / read if read else _CHARS
    dim = plan.cards[plan.corpora[0]].dim
    return dataset_bytes(rows, chars, list(tasks.values()), dim)


def _corrected(
    plan: Plan, whole: Whole, pilots: Sequence[Pilot], formula: Mapping[str, float]
) -> dict[str, float]:
    """Each formula times what the pilots' files say of it; other datasets grow with the audio."""
    said = []
    for pilot in pilots:
        segments = {name: dict(one.langs) for name, one in pilot.segments.items()}
        tasks = {name: task_size(pilot.plan, name, pilot.embedded) for name in whole.tasks}
        said.append(_formula(plan, segments, tasks, whole.counted))
    audio = [sum(pilot.work("prepare", name) for name in whole.audio_s) for pilot in pilots]
    found = {TILES: formula[TILES]}  # no dataset: a pilot's are of other shapes
    for kind in sorted({kind for pilot in pilots for kind in pilot.disk}):
        sizes = [pilot.disk.get(kind, (0, 0))[0] for pilot in pilots]
        if kind in formula:
            works, work = [one[kind] for one in said], formula[kind]
        else:
            works, work = audio, sum(whole.audio_s.values())
        points = [(x, float(y)) for x, y in zip(works, sizes, strict=True) if x > 0]
        found[kind] = fit(points).at(work)
    return found
