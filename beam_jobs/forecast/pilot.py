"""Run the stages on two samples of a corpus, and learn how each stage's cost grows.

A stage's fixed cost (imports, weights, compiled code) hides its slope in one small run. Two runs of
different size, each in a process of its own, tell them apart.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beam_jobs.forecast.measured_run import measured_run
from beam_jobs.forecast.sampling import (
    LEAST_ROWS,
    Counted,
    Sample,
    count_recordings,
    count_texts,
    listing_of,
    take_recordings,
    write_recordings,
    write_texts,
)
from beam_jobs.meter import Span
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress, Silence
from mining.config import Config, load_config, resolved_yaml
from mining.config.load import to_plain
from mining.contract.schemas import SPEECH
from mining.io.dataset import Manifest, read_manifest

SMALLER = 4  # the larger sample is this many times the smaller

Key = tuple[str, str]  # stage and subject


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """What one pilot run did and cost.

    Attributes:
        fraction: of the corpus that was wanted.
        cpu_s: processor seconds of all units of a stage's subject; ``wall_s`` of the clock.
        rest: processor and clock seconds of a stage beside its units, by stage; with ``start``.
        peak: bytes, by stage.
        prepared: manifests of the corpora's segments as they were prepared.
        segments: the same as they were embedded.
        embedded: manifests of the embeddings.
        disk: bytes and rows of each dataset.
        plan: of the pilot's output, from which the rest can be read.
    """

    fraction: float
    cpu_s: Mapping[Key, float]
    wall_s: Mapping[Key, float]
    rest: Mapping[str, tuple[float, float]]
    peak: Mapping[str, int]
    prepared: Mapping[str, Manifest]
    segments: Mapping[str, Manifest]
    embedded: Mapping[str, Manifest]
    disk: Mapping[str, tuple[int, int]]
    plan: Plan = field(repr=False)

    def work(self, stage: str, subject: str) -> float:
        """How much a stage of a corpus had to do, in the unit of its forecast."""
        if stage == "prepare" and self.plan.run.config.corpora[subject].modality != SPEECH:
            return float(self.prepared[subject].counters["rows_in"])
        if stage in ("prepare", "transcribe", "tokenize"):
            return self.prepared[subject].counters.get("audio_ms", 0) / 1000.0
        return float(self.segments[subject].rows)


def run_pilots(
    plan: Plan, fraction: float, folder: Path, progress: Progress
) -> tuple[dict[str, Counted], tuple[Pilot, Pilot]]:
    """Count the corpora, and run two samples of them, the larger of the wanted fraction.

    Args:
        plan: of the whole run.
        fraction: of each corpus, above 0 and below 1.
        folder: empty; samples and the pilots' outputs go there.
        progress: told what is going on.

    Raises:
        MiningError: if the corpora cannot be read, or a pilot fails.
    """
    fractions = (fraction / SMALLER, fraction)
    corpora: list[dict[str, Any]] = [{}, {}]
    counted: dict[str, Counted] = {}
    homes = [folder / "small", folder / "large"]
    for home in homes:
        home.mkdir(parents=True)
    for name in plan.corpora:
        progress.say(f"pilot: counting {name}")
        corpus = plan.run.config.corpora[name]
        if corpus.modality == SPEECH:
            listing = listing_of(plan.run, name)
            counted[name] = count_recordings(plan.run, listing, seconds=False)
            for number, share in enumerate(fractions):
                taken = take_recordings(listing, share, least=number + 1)
                corpora[number][name] = write_recordings(homes[number], name, corpus, taken)
        else:
            samples = [
                Sample(share, LEAST_ROWS // (SMALLER if number == 0 else 1))
                for number, share in enumerate(fractions)
            ]
            counted[name] = count_texts(plan.run, name, samples)
            for number, sample in enumerate(samples):
                corpora[number][name] = write_texts(homes[number], name, corpus, sample.rows())
    pilots = []
    for number, share in enumerate(fractions):
        progress.say(f"pilot: running {share:.4%} of the corpus")
        path, storage = _config(plan, corpora[number], homes[number]), plan.run.storage.options
        spans = measured_run(path, homes[number] / "measured.json", storage)
        config = load_config(str(path))
        execution = replace(config.execution, storage=storage)
        pilots.append(_pilot(replace(config, execution=execution), share, spans))
    return counted, (pilots[0], pilots[1])


def _config(plan: Plan, corpora: Mapping[str, Mapping[str, Any]], home: Path) -> Path:
    """The run's config over a sample: all else as it is, but no gold, and no options of storage."""
    values = to_plain(plan.run.config)
    values["output"] = str(home / "out")
    values["evaluate"] = None
    # the options may hold secrets: the process gets them on stdin
    limits = {"max_hours": None, "max_cost": None}
    values["execution"] |= {"runner": "DirectRunner", "storage": {}, **limits}
    values["corpora"] = {
        name: values["corpora"][name] | {"audio_root": None} | dict(settings)
        for name, settings in corpora.items()
    }
    path = home / "pilot.yaml"
    path.write_text(resolved_yaml(json.loads(json.dumps(values))))
    return path


def _pilot(config: Config, fraction: float, spans: list[Span]) -> Pilot:
    plan = Plan(config, Silence())
    cpu: dict[Key, float] = defaultdict(float)
    wall: dict[Key, float] = defaultdict(float)
    stages: dict[str, Span] = {}
    for span in spans:
        if span.unit:
            cpu[span.stage, span.subject] += span.cpu_s
            wall[span.stage, span.subject] += span.wall_s
        else:
            stages[span.stage] = span
    rest = {}
    for stage, span in stages.items():
        units = [key for key in cpu if key[0] == stage]
        rest[stage] = (
            max(0.0, span.cpu_s - sum(cpu[key] for key in units)),
            max(0.0, span.wall_s - sum(wall[key] for key in units)),
        )
    return Pilot(
        fraction=fraction,
        cpu_s=cpu,
        wall_s=wall,
        rest=rest,
        peak={stage: span.peak_bytes for stage, span in stages.items()},
        prepared={name: plan.prepared(name) for name in plan.corpora},
        segments={name: plan.segments(name) for name in plan.corpora},
        embedded={name: data.manifest for name, data in plan.embeddings().items()},
        disk=_disk(plan),
        plan=plan,
    )


def _disk(plan: Plan) -> dict[str, tuple[int, int]]:
    """Bytes and rows of every dataset of a pilot's output."""
    found: dict[str, tuple[int, int]] = {}
    output = Path(plan.run.output)
    for kind in sorted(one.name for one in output.iterdir() if one.is_dir()):
        for path in output.joinpath(kind).rglob("_manifest.json"):
            manifest = read_manifest(str(path.parent), plan.run.storage)
            size = sum(path.parent.joinpath(part.path).stat().st_size for part in manifest.parts)
            before = found.get(kind, (0, 0))
            found[kind] = (before[0] + size, before[1] + manifest.rows)
    return found
