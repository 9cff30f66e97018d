"""From a config to the stages of its run. Nothing here reads data beyond manifests."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from beam_jobs.embed import Embed
from beam_jobs.knn import Knn
from beam_jobs.pairs import Pairs
from beam_jobs.prepare import Prepare
from beam_jobs.progress import Progress
from beam_jobs.stage import Run
from beam_jobs.tasks import language_pairs
from beam_jobs.thresholds import calibration, resolve_thresholds, score_settings
from encoders import EncoderCard, describe_encoder, require_device, require_same_space
from mining.config import Config
from mining.contract.errors import ConfigError, DatasetError, InputError
from mining.contract.schemas import SPEECH
from mining.evaluate.gold import read_gold
from mining.io.dataset import Manifest, read_manifest
from mining.io.pools import Dataset
from mining.knn import BACKENDS


class Plan:
    """The stages of one run. Each list can be made when the stages before it are finished."""

    def __init__(self, config: Config, progress: Progress) -> None:
        self.run = Run(config=config)
        self.progress = progress

    @cached_property
    def corpora(self) -> tuple[str, ...]:
        """Corpora that some task needs, in the config's order."""
        tasks = self.run.config.tasks.values()
        used = {name for task in tasks for name in (*task.sources, *task.targets)}
        return tuple(name for name in self.run.config.corpora if name in used)

    def check(self) -> None:
        """Whatever can be known to be wrong before there is any result.

        Raises:
            MiningError: naming the key or file.
        """
        config = self.run.config
        if config.execution.backend not in BACKENDS:
            raise ConfigError(
                f"execution.backend: must be one of {', '.join(BACKENDS)}, but is "
                f"{config.execution.backend!r}"
            )
        _ = self.cards
        settings = score_settings(config.mining)
        for task in config.tasks.values():
            calibration(config.mining, settings, config.model_of(task.sources[0]), self.run.storage)
        if config.execution.device == "cuda":
            require_device("cuda")
        if config.evaluate is not None:
            read_gold(config.evaluate.gold, self.run.storage)

    @cached_property
    def cards(self) -> dict[str, EncoderCard]:
        """What is known of each corpus' encoder.

        Raises:
            ConfigError: if two sides of a task are embedded in different spaces, or a corpus is of a
                modality that cannot be read yet.
        """
        config = self.run.config
        for name in self.corpora:
            if config.corpora[name].modality == SPEECH:
                raise ConfigError(
                    f"corpora.{name}: modality must be text, but is speech; speech is not read yet"
                )
        refs = {name: config.model_of(name) for name in self.corpora}
        known = {ref: describe_encoder(ref) for ref in dict.fromkeys(refs.values())}
        cards = {name: known[ref] for name, ref in refs.items()}
        for name, card in cards.items():
            corpus = config.corpora[name]
            if card.by_id and (corpus.columns.id is None or corpus.segment != "none"):
                raise ConfigError(
                    f"corpora.{name}: must name columns.id and have segment: none, since the vectors of "
                    f"{card.name} are looked up by id, one a row"
                )
        for name, task in config.tasks.items():
            first, *others = (*task.sources, *task.targets)
            for other in others:
                require_same_space(cards[first], cards[other], f"tasks.{name}")
        return cards

    @cached_property
    def _prepares(self) -> dict[str, Prepare]:
        """Planned once: the files' versions must not change between the stages of a run."""
        corpora = self.run.config.corpora
        return {
            name: Prepare.plan(self.run, name, corpora[name], unique_ids=self.cards[name].by_id)
            for name in self.corpora
        }

    def prepare(self) -> list[Prepare]:
        """One stage a corpus."""
        return list(self._prepares.values())

    def segments(self, corpus: str) -> Manifest:
        """Manifest of a corpus' segments.

        Raises:
            DatasetError: if they are not prepared.
            InputError: if there are none.
        """
        stage = self._prepares[corpus]
        if not stage.is_done():
            raise DatasetError(f"segments of {corpus}: must be prepared first; run mining prepare")
        manifest = read_manifest(stage.folder, self.run.storage)
        if not manifest.rows:
            raise InputError(
                f"corpora.{corpus}: must hold at least one segment, but has none "
                f"({manifest.counters.get('rows_in', 0)} rows read; {_reasons(manifest)})"
            )
        return manifest

    def embed(self) -> list[Embed]:
        """One stage a corpus. Warns of languages that an encoder was not made for."""
        stages = []
        for name in self.corpora:
            segments, card = self.segments(name), self.cards[name]
            foreign = [
                lang for lang in segments.langs if card.languages and lang not in card.languages
            ]
            if foreign:
                self.progress.warn(
                    f"corpora.{name}: {card.name} was not made for {', '.join(foreign)} (but for "
                    f"{', '.join(card.languages)}): its vectors there mean little"
                )
            stages.append(Embed(run=self.run, subject=name, segments=segments, card=card))
        return stages

    def embeddings(self) -> dict[str, Dataset]:
        """The corpora's embeddings.

        Raises:
            DatasetError: if some are not made.
            InputError: if a corpus has none.
        """
        found = {}
        for stage in self.embed():
            if not stage.is_done():
                raise DatasetError(
                    f"embeddings of {stage.subject}: must be made first; run mining embed"
                )
            manifest = read_manifest(stage.folder, self.run.storage)
            if not manifest.rows:
                raise InputError(
                    f"corpora.{stage.subject}: must have embeddings, but has none "
                    f"({_reasons(manifest)}); see {stage.rejects_folder()}"
                )
            found[stage.subject] = Dataset(manifest=manifest, folder=stage.folder)
        return found

    def knn(self) -> list[Knn]:
        """One stage a task."""
        embeddings = self.embeddings()
        stages = []
        for name, task in self.run.config.tasks.items():
            sources = tuple(embeddings[corpus] for corpus in task.sources)
            targets = tuple(embeddings[corpus] for corpus in task.targets)
            manifests = [[side.manifest for side in sides] for sides in (sources, targets)]
            pairs, left_out = language_pairs(task, *manifests)
            for reason in left_out:
                self.progress.warn(f"tasks.{name}: left out {reason}")
            if not pairs:
                langs = [
                    ", ".join(sorted({la for m in side for la in m.langs})) for side in manifests
                ]
                raise InputError(
                    f"tasks.{name}: must have a language pair with text on both sides, but the source "
                    f"holds {langs[0]} and the target {langs[1]}"
                )
            stages.append(
                Knn(
                    run=self.run,
                    subject=name,
                    sources=sources,
                    targets=targets,
                    lang_pairs=pairs,
                    k=score_settings(self.run.config.mining).k,
                )
            )
        return stages

    def pairs(self) -> list[Pairs]:
        """One stage a task."""
        config = self.run.config
        settings = score_settings(config.mining)
        stages = []
        for knn in self.knn():
            if not knn.is_done():
                raise DatasetError(
                    f"neighbors of {knn.subject}: must be found first; run mining knn"
                )
            task = config.tasks[knn.subject]
            thresholds, warnings = resolve_thresholds(
                config.mining, settings, knn, config.model_of(task.sources[0]), self.run.storage
            )
            for warning in warnings:
                self.progress.warn(f"tasks.{knn.subject}: {warning}")
            stages.append(
                Pairs(
                    run=self.run,
                    subject=knn.subject,
                    sources=tuple(self.segments(corpus) for corpus in task.sources),
                    targets=tuple(self.segments(corpus) for corpus in task.targets),
                    neighbors=read_manifest(knn.folder, self.run.storage),
                    settings=replace(settings, threshold=None),
                    thresholds=thresholds,
                )
            )
        return stages


def _reasons(manifest: Manifest) -> str:
    """Rejects by reason, for a message."""
    counters = manifest.counters.items()
    found = [f"{count} {name}" for name, count in counters if name.startswith("rejected.")]
    return ", ".join(found) or "none rejected"
