"""How much a run has to do: rows, seconds of audio, segments, and what tasks compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from beam_jobs.forecast.pilot import Pilot
from beam_jobs.forecast.sampling import Counted, count_recordings, count_texts, listing_of
from beam_jobs.plan import Plan
from beam_jobs.stages.tasks import language_pairs, overlaps
from beam_jobs.thresholds import score_settings
from mining.config import Config
from mining.contract.errors import InputError
from mining.contract.schemas import SPEECH
from mining.forecast import Fleet, Pool, TaskSize
from mining.io.dataset import Manifest
from mining.io.parquet import Part
from mining.io.pools import Dataset, blocks_of

# Candidates of speech for a second of audio where no pilot tells: 1,937 of 1,976 s of this project's
# sample, which pauses between its sentences. Read speech has several times more.
CANDIDATES_PER_S = 0.98


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line says of the run.

    Attributes:
        rows: by corpus and language; taken instead of counting.
        audio_s: by corpus and language.
        fraction: of the corpora that a pilot runs; None: no pilot.
        workers: for hours on several.
        folder: of the pilot; empty.
        fleet: workers that the search is played on; None: it is not.
    """

    rows: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    audio_s: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fraction: float | None = None
    workers: int = 1
    folder: Path = Path()
    fleet: Fleet | None = None


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The run that is forecast.

    Attributes:
        rows: rows to be read, of text corpora.
        audio_s: seconds of audio, of speech corpora.
        segments: by corpus and language.
        tasks: what is compared.
        counted: what was counted.
    """

    rows: Mapping[str, float]
    audio_s: Mapping[str, float]
    segments: Mapping[str, Mapping[str, float]]
    tasks: Mapping[str, TaskSize]
    counted: Mapping[str, Counted]

    def work(self, stage: str, corpus: str) -> float:
        """Of a stage of a corpus, as :meth:`beam_jobs.forecast.pilot.Pilot.work`."""
        if stage == "embed":
            return sum(self.segments[corpus].values())
        return self.audio_s[corpus] if corpus in self.audio_s else self.rows[corpus]


def count(plan: Plan, name: str, asked: Asked) -> Counted:
    """From the command line, or else from the files."""
    if name in asked.rows or name in asked.audio_s:
        return Counted()
    plan.progress.say(f"counting {name}")
    corpus = plan.run.config.corpora[name]
    if corpus.modality == SPEECH:
        return count_recordings(plan.run, listing_of(plan.run, name), seconds=True)
    return count_texts(plan.run, name)


def whole_of(
    plan: Plan, asked: Asked, counted: Mapping[str, Counted], pilots: Sequence[Pilot]
) -> Whole:
    """The run that is forecast: counted or asked for, its segments as the pilots had them.

    Raises:
        InputError: if a corpus holds nothing, or no task has a language pair.
    """
    rows: dict[str, float] = {}
    audio_s: dict[str, float] = {}
    segments: dict[str, dict[str, float]] = {}
    for name in plan.corpora:
        if plan.run.config.corpora[name].modality == SPEECH:
            seconds = _seconds(name, asked, counted[name], pilots)
            audio_s[name] = sum(seconds.values())
            segments[name] = _of_speech(plan, name, seconds, counted[name], pilots)
            if name in asked.audio_s and pilots:  # in its own languages
                total = sum(segments[name].values()) / audio_s[name]
                segments[name] = {lang: one * total for lang, one in seconds.items()}
        else:
            wanted = asked.rows.get(name, counted[name].rows)
            rows[name] = float(sum(wanted.values())) + counted[name].unknown
            kept = _kept(pilots, name)
            segments[name] = {lang: count * kept for lang, count in wanted.items()}
        if not sum(segments[name].values()):
            raise InputError(
                f"corpora.{name}: must hold at least one row to be planned for, but holds none; check "
                "its uri, or give --rows or --audio-hours"
            )
    tasks = task_sizes(plan, _imagined(plan.run.config, segments))
    return Whole(rows=rows, audio_s=audio_s, segments=segments, tasks=tasks, counted=counted)


def _kept(pilots: Sequence[Pilot], corpus: str) -> float:
    """Segments for each row that is read, as the largest pilot has it; 1 without one."""
    if not pilots:
        return 1.0
    return pilots[-1].segments[corpus].rows / pilots[-1].work("prepare", corpus)


def _seconds(
    name: str, asked: Asked, counted: Counted, pilots: Sequence[Pilot]
) -> dict[str, float]:
    """Seconds of audio by language: as asked, by bytes as the pilot's, or as headers state them."""
    if name in asked.audio_s:
        return dict(asked.audio_s[name])
    if not pilots:
        return dict(counted.audio_s)
    pilot = pilots[-1]
    listed = listing_of(pilot.plan.run, name).recordings["bytes"].to_pylist()
    per_byte = pilot.work("prepare", name) / sum(listed)
    return {lang: size * per_byte for lang, size in counted.bytes_.items()}


def _of_speech(
    plan: Plan,
    name: str,
    seconds: Mapping[str, float],
    counted: Counted,
    pilots: Sequence[Pilot],
) -> dict[str, float]:
    """Segments by language."""
    if not pilots:
        whole = plan.run.config.corpora[name].speech.segment == "recording" and counted.files
        per_s = counted.files / sum(seconds.values()) if whole else CANDIDATES_PER_S
        return {lang: one * per_s for lang, one in seconds.items()}
    found = pilots[-1].segments[name]
    per_s = found.rows / pilots[-1].work("prepare", name)
    if set(seconds) <= set(found.langs):
        return {lang: one * per_s for lang, one in seconds.items()}
    # languages that a recogniser told: as they are shared out in the pilot
    total = sum(seconds.values()) * per_s
    return {lang: total * rows / found.rows for lang, rows in found.langs.items()}


def _imagined(config: Config, segments: Mapping[str, Mapping[str, float]]) -> dict[str, Manifest]:
    """Manifests of embeddings that do not exist yet: each language evenly over the partitions."""
    found = {}
    for name, langs in segments.items():
        parts = []
        for number in range(config.partitions):
            held = {
                lang: rows
                for lang, count in langs.items()
                if (rows := (round(count) + number) // config.partitions)
            }
            path = f"part-{number:05d}.parquet"
            parts.append(Part(path=path, rows=sum(held.values()), sha256="", langs=held))
        found[name] = Manifest(kind="embeddings", name=name, hash="", parts=tuple(parts))
    return found


def task_sizes(plan: Plan, embedded: Mapping[str, Manifest]) -> dict[str, TaskSize]:
    """Sizes of the tasks that have a language pair.

    Raises:
        InputError: if none has.
    """
    found, faults = {}, []
    for name in plan.run.config.tasks:
        try:
            found[name] = task_size(plan, name, embedded)
        except InputError as error:
            faults.append(str(error))
    if not found:
        raise InputError("\n".join(faults))
    for fault in faults:
        plan.progress.warn(f"left out: {fault}")
    return found


def task_size(plan: Plan, name: str, embedded: Mapping[str, Manifest]) -> TaskSize:
    """What a task compares, given its corpora's embeddings.

    Raises:
        InputError: if there is no language pair with rows on both sides.
    """
    config = plan.run.config
    task, settings = config.tasks[name], score_settings(config.mining)
    sides = [
        [Dataset(manifest=embedded[corpus], folder="") for corpus in side]
        for side in (task.sources, task.targets)
    ]
    pairs, _ = language_pairs(task, *([one.manifest for one in side] for side in sides))
    if not pairs:
        held = [sorted({la for one in side for la in one.manifest.langs}) for side in sides]
        raise InputError(
            f"tasks.{name}: must have a language pair with rows on both sides, but the source holds "
            f"{', '.join(held[0]) or 'none'} and the target {', '.join(held[1]) or 'none'}"
        )
    size = config.execution.tile_rows
    pools = [
        Pool(
            src=src,
            tgt=tgt,
            rows=sum(one.manifest.langs.get(src, 0) for one in sides[0]),
            columns=sum(one.manifest.langs.get(tgt, 0) for one in sides[1]),
            row_blocks=len(blocks_of(sides[0], src, size)),
            column_blocks=len(blocks_of(sides[1], tgt, size)),
        )
        for src, tgt in pairs
    ]
    return TaskSize(
        task=name,
        pools=tuple(pools),
        forward_k=settings.neighbors(of_speech=overlaps(config, task.targets)),
        backward_k=settings.neighbors(of_speech=overlaps(config, task.sources)),
        dim=plan.cards[task.sources[0]].dim,
    )
