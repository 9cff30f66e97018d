"""``mining forget``: an output becomes that of a run whose corpora never held something.

In this order, so that whoever is killed goes on with the same command: the list of what was forgotten,
which every run reads, gets its digests; what would betray it is written down; the stages that the output
had run before are run again; old results are removed; every file is looked through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.execution.run import run
from beam_jobs.execution.runners import build_options
from beam_jobs.execution.sequence import stages_of
from beam_jobs.forget.names import (
    Names,
    find_documents,
    find_names,
    find_recordings,
    is_any,
    rows_of,
)
from beam_jobs.forget.purge import Removed, purge
from beam_jobs.forget.search import Search
from beam_jobs.forget.trace import discard, gather
from beam_jobs.forgotten import forgotten_list, list_of
from beam_jobs.output import check_output
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.stage import STAGES, Run, Stage
from beam_jobs.stages.knn import Knn
from beam_jobs.stages.prepare_speech import PrepareSpeech
from beam_jobs.thresholds import effective
from mining.config import Config
from mining.contract.errors import ConfigError, IncompleteError, InputError
from mining.io.dataset import remove_tree
from mining.io.filesystem import list_glob
from mining.io.forgotten import EVERYWHERE, Forgotten, digest_of_name, write_forgotten


def forget(
    config: Config,
    names: Sequence[str],
    corpus: str | None,
    beam_args: Sequence[str],
    progress: Progress,
) -> tuple[str, ...]:
    """Forget recordings, documents or files.

    Args:
        config: of the run.
        names: what to forget: see ``mining forget --help``.
        corpus: look in this one only.
        beam_args: further Beam options.
        progress: shown while it runs.

    Returns:
        Lines that say what was done.

    Raises:
        InputError: if a name stands for nothing, or nothing would be left of a corpus; nothing is
            changed then.
        MiningError: for whatever is wrong with a run. The same command goes on.
    """
    plan = _checked(config, names, corpus, beam_args, progress)
    begun = _begun(plan)
    by_corpus, known = _find(plan, names, corpus)
    for name in names:
        if name not in known:
            where = f"corpora.{corpus}" if corpus else f"{plan.run.output} and its corpora"
            raise InputError(
                f"{name}: must be a recording, a document's id or a text file in {where}, but is none; "
                "nothing was changed"
            )
    _require_rest(plan, by_corpus)
    if begun:
        _start_anew(plan, by_corpus)
    listed = forgotten_list(plan.run).with_more(_digests(by_corpus, everywhere=corpus is None))
    write_forgotten(list_of(plan.run), listed, plan.run.storage)
    trace = gather(plan.run, by_corpus, everywhere=corpus is None)
    plan = Plan(config, progress)
    if begun:
        try:
            run(plan, begun, beam_args, progress, forgetting=True)
        except IncompleteError as error:  # all else is done, and old results must go all the same
            progress.warn(str(error))
    removed, search = _clean(plan, begun, {*listed.corpora, *by_corpus} - {EVERYWHERE}, trace)
    files = search.files()
    discard(plan.run)
    write_forgotten(list_of(plan.run), replace(listed, pending=False), plan.run.storage)
    return tuple(_lines(by_corpus, removed, search, files, begun))


def _checked(
    config: Config,
    names: Sequence[str],
    corpus: str | None,
    beam_args: Sequence[str],
    progress: Progress,
) -> Plan:
    """A plan, when all that can be wrong without looking at data is right."""
    if corpus is not None and corpus not in config.corpora:
        raise ConfigError(
            f"--corpus: must be one of {', '.join(config.corpora)}, but is {corpus!r}"
        )
    if not all(name.strip() for name in names):
        raise ConfigError("ID: must name something, but is empty")
    plan = Plan(config, progress)
    if _begun(plan):  # else nothing is run again, and there may be no model yet
        plan.check()
    build_options(config.execution.runner, beam_args)
    check_output(plan.run, replace(config, mining=effective(config.mining)))
    return plan


def _begun(plan: Plan) -> list[str]:
    """Stages that the output has run, or begun to."""
    return [stage for stage in STAGES if list_glob(plan.run.state(stage), plan.run.storage)]


def _find(
    plan: Plan, names: Sequence[str], corpus: str | None
) -> tuple[dict[str, Names], frozenset[str]]:
    """All that names stand for, by corpus; and which do, or are forgotten already."""
    subjects = [corpus] if corpus else [*plan.corpora, *_others(plan)]
    found: dict[str, Names] = {}
    known: frozenset[str] = frozenset()
    # the files of a corpus are read for those names only that nothing else knows
    for find in (find_names, find_documents):
        left = [name for name in names if name not in known]
        for subject in subjects if left else ():
            one = find(plan.run, subject, left)
            known |= one.known
            if one.names:
                found[subject] = found.get(subject, Names()) | one.names
        known |= _already(plan.run, corpus, names)
    # a recording may stand in other corpora under other names
    recordings = sorted(frozenset().union(*(one.recordings for one in found.values())))
    addresses = sorted(frozenset().union(*(one.addresses for one in found.values())))
    say = plan.progress.say
    for subject in subjects if recordings and not corpus else ():
        if copies := find_recordings(plan.run, subject, recordings, addresses, say):
            found[subject] = found.get(subject, Names()) | copies
    return found, known


def _others(plan: Plan) -> list[str]:
    """Corpora that have results in the output, but no task any more."""
    home = plan.run.dataset("occurrences")
    parts = list_glob(home, plan.run.storage)
    return sorted({p.removeprefix(f"{home}/").split("/")[0] for p in parts} - set(plan.corpora))


def _already(run_: Run, corpus: str | None, names: Sequence[str]) -> frozenset[str]:
    """The names whose digests stand in the list."""
    listed = forgotten_list(run_)
    some = [listed.of(corpus)] if corpus else list(listed.corpora.values())
    digests = frozenset().union(*(one.ids | one.files | one.recordings for one in some))
    return frozenset(name for name in names if digest_of_name(name) in digests)


def _digests(found: Mapping[str, Names], *, everywhere: bool) -> dict[str, Forgotten]:
    """For the list: a recording's content in whichever corpus it turns up, unless one was named."""
    digests = {corpus: names.digested() for corpus, names in found.items()}
    if everywhere:
        recordings = frozenset().union(*(names.recordings for names in found.values()))
        digests[EVERYWHERE] = Forgotten.of(recordings=recordings)
    return digests


def _require_rest(plan: Plan, found: Mapping[str, Names]) -> None:
    """Something must be left of each corpus.

    Raises:
        InputError: if not: a run without it would have nothing to do.
    """
    for corpus, names in found.items():
        left = rows_of(
            plan.run, "occurrences", corpus, ["source_uri", "doc_id"],
            lambda table: pc.invert(
                is_any(table, doc_id=names.ids, source_uri=names.files)  # noqa: B023
            ),
        )  # fmt: skip
        if left is not None and not left.num_rows and corpus in plan.corpora:
            raise InputError(
                f"corpora.{corpus}: must hold something beside what is to be forgotten, but holds "
                f"nothing else; take the corpus out of the config and remove {plan.run.output}"
            )


def _start_anew(plan: Plan, found: Mapping[str, Names]) -> None:
    """Recordings that were heard halfway are heard again: nobody knows yet which of them are copies."""
    if not any(names.recordings for names in found.values()):
        return
    for corpus in plan.corpora:
        if isinstance(stage := _prepared(plan, corpus), PrepareSpeech) and not stage.is_done():
            remove_tree(stage.home, plan.run.storage)


def _prepared(plan: Plan, corpus: str) -> Stage | None:
    try:
        return next(stage for stage in plan.prepare() if stage.subject == corpus)
    except InputError:  # files of it are gone: there is no such stage any more
        return None


def _clean(
    plan: Plan, begun: Sequence[str], affected: Iterable[str], trace: pa.Table
) -> tuple[Removed, Search]:
    """Remove old results of the corpora and their tasks; make ready to look for what is left."""
    stages = [stage for name in begun for stage in stages_of(plan, name)]
    for stage in stages:
        if isinstance(stage, Knn):
            stage.tidy()  # a run that was killed may have left tiles
            break
    corpora = set(affected)
    tasks = {
        name
        for name, task in plan.run.config.tasks.items()
        if corpora.intersection((*task.sources, *task.targets))
    }
    current = {
        subject: frozenset(stage.hash for stage in stages if stage.subject == subject)
        for subject in corpora | tasks
    }
    removed = purge(plan.run, current)
    folders = {
        kind: _current(plan, kind, stages)
        for kind in ("segments", "occurrences", "regions", "transcripts")
    }
    return removed, Search(plan.run, trace, folders)


def _current(plan: Plan, kind: str, stages: Sequence[Stage]) -> dict[str, str]:
    """Folder of each corpus' newest dataset of a kind."""
    made_by = {
        "segments": ("prepare", "transcribe"),
        "occurrences": ("prepare",),
        "regions": ("prepare",),
    }
    names = made_by.get(kind, ("transcribe",))
    return {
        stage.subject: plan.run.dataset(kind, stage.subject, stage.hash)
        for stage in stages
        if stage.name in names
    }


def _lines(
    found: Mapping[str, Names], removed: Removed, search: Search, files: int, begun: Sequence[str]
) -> Iterable[str]:
    for corpus, names in found.items():
        yield f"{corpus}: forgotten: {names.said()}"
    if not found:
        yield "forgotten already"
    if not begun:
        yield "nothing was made of it yet; runs leave it out"
    yield f"removed {removed.said()}"
    if search.shared:
        yield f"{search.shared} of its segments are other documents', too, and stay with them"
    yield f"looked through {files} files: nothing of it is left"
