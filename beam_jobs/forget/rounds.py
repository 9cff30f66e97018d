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
from beam_jobs.bootstrap.rounds import Places, require_claimed
from beam_jobs.bootstrap.setup import Setup, read_setup
from beam_jobs.forget.forget import forget
from beam_jobs.output import read_resolved
from beam_jobs.progress import Progress
from mining.contract.errors import ConfigError, MiningError
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
        ConfigError: the output is none of rounds with these settings; nothing is changed then.
        MiningError: as :func:`~beam_jobs.forget.forget.forget`, or something cannot be removed. The
            same command goes on.
    """
    runner, beam_args = how
    places, setup = Places(config.output), read_setup(config, progress.warn)
    require_claimed(places, setup)
    done = [number for number in _rounds(places) if places.trained(number).is_file()]
    mining = setup.mining_with(_model(places, setup, done), str(places.mined))
    if runner is not None:
        mining = replace(mining, execution=replace(mining.execution, runner=runner))
    removed = [*_unfinished(places, done), places.cache]
    removed += [places.round(number) / kind for number in done if number for kind in _LEARNED]
    for folder in removed:
        _require_no_link(folder)
    lines = [*forget(mining, names, corpus, beam_args, progress)]
    there = [folder for folder in removed if folder.exists()]
    for folder in there:
        _remove(folder)
    if there:
        lines.append(f"removed what training was given: {_named(places, there)}")
    if (cache := setup.training.work.cache) is not None:
        lines.append(f"{cache}: is yours, and may hold units of its speech: work.cache of training")
    return (*lines, *_models(places, [number for number in done if number]))


def _model(places: Places, setup: Setup, done: Sequence[int]) -> str:
    """The model that mined last; where nothing was mined yet, that of the start, which nobody loads.

    Raises:
        ConfigError: something was mined, and nobody knows by which model.
    """
    if done:
        return str(places.trained_model(done[-1]))
    if setup.config.first == "trained" and read_resolved(str(places.mined), Storage()) is not None:
        raise ConfigError(
            f"{places.round(0)}: must hold the model that mined {places.mined}, but does not; run "
            "mining bootstrap until round 0 is trained, and forget then; nothing was changed"
        )
    return setup.training.model.start


def _rounds(places: Places) -> list[int]:
    """Numbers of the rounds that there are."""
    found = {path: path.name.removeprefix("round-") for path in places.output.glob("round-*")}
    numbers = {path: int(name) for path, name in found.items() if name.isdecimal()}
    return sorted(number for path, number in numbers.items() if path == places.round(number))


def _require_no_link(folder: Path) -> None:
    """What a link leads to would be left; and it may be somebody's who knows nothing of this.

    Raises:
        MiningError: naming the link.
    """
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            raise MiningError(
                f"{path}: must be no symbolic link, since it is to be removed with all it holds, but "
                f"leads to {path.readlink()}; put what is there in its place, or remove both; nothing "
                "was changed"
            )


def _remove(folder: Path) -> None:
    """Remove a folder.

    Raises:
        MiningError: if it cannot be removed.
    """
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise MiningError(
            f"{error.filename or folder}: must be removed, but cannot be ({error.strerror or error}); "
            "mend that, and give the same command again"
        ) from None


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
