"""``mining forget`` in the output of ``mining bootstrap``: what was mined, and what was learned from it.

The mining output that all rounds share forgets as any other does. Rows that were mined to learn from,
and the units of speech that training keeps, are removed as a whole: those of a finished round nobody
needs, and those of others are made again. A model cannot forget; it is named.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from beam_jobs.bootstrap.config import Bootstrap
from beam_jobs.bootstrap.rounds import Places
from beam_jobs.bootstrap.setup import read_setup
from beam_jobs.forget.forget import forget
from beam_jobs.progress import Progress
from mining.io.dataset import read_json
from mining.io.filesystem import Storage

_LEARNED = ("rows", "rejects")  # of a round: out of mined pairs


def forget_rounds(
    config: Bootstrap,
    names: Sequence[str],
    corpus: str | None,
    how: tuple[str | None, Sequence[str]],
    progress: Progress,
) -> tuple[str, ...]:
    """Forget recordings, documents or files that were mined in rounds.

    Args:
        config: of the rounds.
        names: what to forget: see ``mining forget --help``.
        corpus: of the mining config: look in this one only.
        how: Beam runner, None for that of the mining config; further Beam options.
        progress: shown while stages run again.

    Returns:
        Lines that say what was done, and which models have learned from what was mined.

    Raises:
        MiningError: as :func:`~beam_jobs.forget.forget.forget`. The same command goes on.
    """
    runner, beam_args = how
    places, setup = Places(config.output), read_setup(config, progress.warn)
    done = [number for number in _rounds(places) if places.trained(number).is_file()]
    newest = str(places.trained_model(done[-1])) if done else setup.training.model.start
    mining = setup.mining_with(newest, str(places.mined))
    if runner is not None:
        mining = replace(mining, execution=replace(mining.execution, runner=runner))
    lines = [*forget(mining, names, corpus, beam_args, progress)]
    removed = [*_unfinished(places, done), places.cache]
    removed += [places.round(number) / kind for number in done if number for kind in _LEARNED]
    there = [folder for folder in removed if folder.exists()]
    for folder in there:
        shutil.rmtree(folder)
    if there:
        lines.append(f"removed what training was given: {_named(places, there)}")
    if (cache := setup.training.work.cache) is not None:
        lines.append(f"{cache}: is yours, and may hold units of its speech: work.cache of training")
    return (*lines, *_models(places, [number for number in done if number]))


def _rounds(places: Places) -> list[int]:
    found = (path.name.removeprefix("round-") for path in places.output.glob("round-*"))
    return sorted(int(number) for number in found if number.isdigit())


def _unfinished(places: Places, done: Sequence[int]) -> list[Path]:
    """Rounds that were to learn from what was mined: they mine it again, and begin to learn anew."""
    return [places.round(n) for n in _rounds(places) if n and n not in done]


def _models(places: Places, learned: Sequence[int]) -> list[str]:
    """A line about models that have learned from what was mined; none if there are none."""
    if not learned:
        return []
    models = [places.trained_model(number) for number in learned]
    rounds = [places.round(number) for number in learned]
    told = read_json(str(places.report), Storage()) if places.report.is_file() else {}
    final = [places.model] if places.model.exists() and told.get("best") != 0 else []
    return [
        f"{_named(places, [*models, *final])} learned from pairs that were mined before, and cannot "
        f"forget: to be rid of what they learned, remove {_named(places, [*rounds, *final])} from "
        f"{places.output}, and run mining bootstrap again"
    ]


def _named(places: Places, paths: Sequence[Path]) -> str:
    return ", ".join(str(path.relative_to(places.output)) for path in paths)
