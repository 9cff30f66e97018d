"""From a config to the stages of its run. Nothing here reads data beyond manifests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from beam_jobs.licences import Licences, licences_of, require_commercial
from beam_jobs.limit import Limit
from beam_jobs.progress import Progress
from beam_jobs.stage import Run, reasons_of
from beam_jobs.stages.document_knn import DocumentKnn, unknown_documents
from beam_jobs.stages.embed import Embed
from beam_jobs.stages.knn import Knn
from beam_jobs.stages.listing import UNDETERMINED, audio_base
from beam_jobs.stages.models import encoder_cards, recogniser_cards
from beam_jobs.stages.neighbors import Neighbors
from beam_jobs.stages.pairs import Pairs
from beam_jobs.stages.prepare import Prepare
from beam_jobs.stages.prepare_speech import PrepareSpeech
from beam_jobs.stages.recordings import CorpusFrames
from beam_jobs.stages.tasks import LangPair, language_pairs, overlaps, pool_sizes
from beam_jobs.stages.tokenize import Tokenize
from beam_jobs.stages.transcribe import Transcribe
from beam_jobs.thresholds import calibration, resolve_thresholds, score_settings
from encoders import EncoderCard, require_device
from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.recognise import RecogniserCard
from mining.config import Config
from mining.config.model import DocumentPairs, Task
from mining.contract.errors import ConfigError, DatasetError, InputError
from mining.contract.model_ref import RecogniserRef
from mining.contract.schemas import SPEECH
from mining.evaluate.gold import read_gold
from mining.filter import digest_of_sets
from mining.io.dataset import Manifest, read_manifest
from mining.io.document_pairs import digest_of, groups_of, read_document_pairs
from mining.io.pools import Dataset
from mining.knn import AUTO, BACKENDS, check_dim

_MANY_REFUSED = 0.1  # share of a corpus that the guard takes without being asked why


class Plan:
    """The stages of one run. Each list can be made when the stages before it are finished."""

    def __init__(self, config: Config, progress: Progress) -> None:
        self.run = Run(config=config, limit=Limit.of(config.execution, progress.started))
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
        if config.execution.backend not in (AUTO, *BACKENDS):
            raise ConfigError(
                f"execution.backend: must be one of {', '.join((AUTO, *BACKENDS))}, but is "
                f"{config.execution.backend!r}"
            )
        for card in self.cards.values():
            check_dim(config.mining.index, card.dim)
        _ = self.tokenizers
        if config.execution.commercial:
            require_commercial(self._licences(self.corpora))
        settings = score_settings(config.mining)
        for task in config.tasks.values():
            calibration(config.mining, settings, config.model_of(task.sources[0]), self.run.storage)
            self._document_pairs(task)
        if config.execution.device == "cuda":
            require_device("cuda")
        if config.evaluate is not None:
            read_gold(config.evaluate.gold, self.run.storage)

    @cached_property
    def cards(self) -> dict[str, EncoderCard]:
        """What is known of each corpus' encoder.

        Raises:
            ConfigError: if two sides of a task are embedded in different spaces, or an encoder cannot
                embed what a corpus holds.
        """
        return encoder_cards(self.run.config, self.corpora)

    @cached_property
    def recognisers(self) -> dict[str, tuple[RecogniserRef, RecogniserCard]]:
        """The recogniser of each corpus that needs one.

        Raises:
            ConfigError: if there is none for a speech corpus whose encoder takes text only, or it
                cannot tell languages where it must.
        """
        return recogniser_cards(self.run.config, self.cards)

    @cached_property
    def tokenizers(self) -> dict[str, AudioTokenizerCard]:
        """The audio tokenizer of each speech corpus that its encoder hears by itself."""
        found = {
            name: self.cards[name].audio_tokenizer
            for name in self.corpora
            if self.run.config.corpora[name].modality == SPEECH and name not in self.recognisers
        }
        return {name: card for name, card in found.items() if card is not None}

    def _licences(self, corpora: Sequence[str]) -> Licences:
        """Of some corpora and the weights that they go through."""
        return licences_of(self.run.config, corpora, self.cards, self.recognisers)

    @cached_property
    def _prepares(self) -> dict[str, Prepare | PrepareSpeech]:
        """Planned once: the files' versions must not change between the stages of a run."""
        # first, so that every stage knows it, and none of them more than it
        self.run = replace(self.run, forgotten=self.run.forgotten_list().state)
        corpora = self.run.config.corpora
        return {
            name: (PrepareSpeech if corpora[name].modality == SPEECH else Prepare).plan(
                self.run, name, corpora[name], unique_ids=self.cards[name].by_id
            )
            for name in self.corpora
        }

    def prepare(self) -> list[Prepare | PrepareSpeech]:
        """One stage a corpus."""
        return list(self._prepares.values())

    def transcribe(self) -> list[Transcribe]:
        """One stage for each speech corpus that a recogniser stands before."""
        return [self._transcribe(name) for name in self.recognisers]

    def _transcribe(self, name: str) -> Transcribe:
        prepared, (ref, card) = self.prepared(name), self.recognisers[name]
        foreign = [la for la in prepared.langs if la != UNDETERMINED and not card.known(la)]
        if foreign and ref.language is None:
            self.progress.warn(
                f"corpora.{name}: {card.name} does not know {', '.join(foreign)}: those recordings "
                "are rejected; recogniser.language names a kindred language to take them for"
            )
        return Transcribe(
            run=self.run,
            subject=name,
            segments=prepared,
            regions=self._regions(name),
            card=card,
            ref=ref,
            base=audio_base(self.run.config.corpora[name]),
            guard=digest_of_sets(self.run.config.contamination.sets, self.run.storage),
        )

    def _regions(self, name: str) -> Manifest:
        """Manifest of a prepared speech corpus' regions."""
        folder = self.run.dataset("regions", name, self._prepares[name].hash)
        return read_manifest(folder, self.run.storage)

    def tokenize(self) -> list[Tokenize]:
        """One stage for each speech corpus whose encoder hears."""
        return [self._tokenize(name) for name in self.tokenizers]

    def _tokenize(self, name: str) -> Tokenize:
        self.prepared(name)
        return Tokenize(
            run=self.run,
            subject=name,
            regions=self._regions(name),
            card=self.tokenizers[name],
            ref=self.run.config.model_of(name),
            base=audio_base(self.run.config.corpora[name]),
        )

    def frames(self, corpus: str) -> CorpusFrames | None:
        """What the encoder of a corpus hears of it; None where it is embedded by its texts.

        Raises:
            DatasetError: if it is not prepared, or not tokenised.
        """
        if corpus not in self.tokenizers:
            return None
        stage = self._tokenize(corpus)
        if not stage.is_done():
            raise DatasetError(f"audio frames of {corpus}: must be made first; run mining tokenize")
        manifest = read_manifest(stage.folder, self.run.storage)
        return CorpusFrames(manifest=manifest, regions=stage.regions)

    def segments(self, corpus: str) -> Manifest:
        """Manifest of a corpus' segments, as they are embedded.

        Raises:
            DatasetError: if they are not prepared, or not transcribed.
            InputError: if there are none.
        """
        if corpus not in self.recognisers:
            return self.prepared(corpus)
        stage = self._transcribe(corpus)
        if not stage.is_done():
            raise DatasetError(
                f"segments of {corpus}: must be transcribed first; run mining transcribe"
            )
        manifest = read_manifest(stage.folder, self.run.storage)
        if not manifest.rows:
            raise InputError(
                f"corpora.{corpus}: must hold at least one segment with a transcript, but has none "
                f"({reasons_of(manifest)}); see {stage.rejects_folder()}"
            )
        return manifest

    def _warn_of_guard(self, corpus: str, manifest: Manifest) -> None:
        refused = manifest.counters.get("rejected.benchmark_overlap", 0)
        if refused > _MANY_REFUSED * (refused + manifest.rows):
            self.progress.warn(
                f"corpora.{corpus}: {refused} sentences of evaluation sets are refused, {manifest.rows} "
                "others are left; contamination: {sets: []} keeps them"
            )

    def prepared(self, corpus: str) -> Manifest:
        """Manifest of a corpus' segments, before they are transcribed.

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
                f"({manifest.counters.get('rows_in', 0)} rows read; {reasons_of(manifest)}); see "
                f"{stage.rejects_folder()}"
            )
        self._warn_of_guard(corpus, manifest)
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
            stages.append(
                Embed(
                    run=self.run,
                    subject=name,
                    segments=segments,
                    card=card,
                    frames=self.frames(name),
                )
            )
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
                    f"({reasons_of(manifest)}); see {stage.rejects_folder()}"
                )
            found[stage.subject] = Dataset(manifest=manifest, folder=stage.folder)
        return found

    def knn(self) -> list[Neighbors]:
        """One stage a task."""
        embeddings = self.embeddings()
        stages: list[Neighbors] = []
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
                    f"tasks.{name}: must have a language pair with rows on both sides, but the source "
                    f"holds {langs[0]} and the target {langs[1]}"
                )
            stages.append(self._neighbors(name, sources, targets, pairs))
        return stages

    def _neighbors(
        self,
        name: str,
        sources: tuple[Dataset, ...],
        targets: tuple[Dataset, ...],
        lang_pairs: tuple[LangPair, ...],
    ) -> Neighbors:
        """The stage of one task: among all rows, or within paired documents."""
        task = self.run.config.tasks[name]
        what: dict[str, Any] = {
            "run": self.run,
            "subject": name,
            "sources": sources,
            "targets": targets,
            "lang_pairs": lang_pairs,
            "forward_k": self._k(task.targets),
            "backward_k": self._k(task.sources),
        }
        if task.documents is None:
            return Knn(**what)
        documents = self._document_pairs(task)
        sides = [[dataset.manifest for dataset in side] for side in (sources, targets)]
        rows = max(sum(pool_sizes(pair, *sides)) for pair in lang_pairs)
        return DocumentKnn(
            **what,
            documents=task.documents,
            digest="" if documents is None else digest_of(documents),
            occurrences=(self._occurrences(task.sources), self._occurrences(task.targets)),
            groups=groups_of(rows, documents, self.run.config.execution.tile_rows),
        )

    def _document_pairs(self, task: Task) -> pa.Table | None:
        """DOCUMENT_PAIR table that a task names; None if it names none.

        Raises:
            InputError: if it cannot be read or holds none.
        """
        if not isinstance(task.documents, DocumentPairs):
            return None
        return read_document_pairs(task.documents.pairs, self.run.storage)

    def _occurrences(self, corpora: Sequence[str]) -> tuple[Manifest, ...]:
        """Manifests of where the segments of some corpora stand."""
        folders = (self.run.dataset("occurrences", c, self._prepares[c].hash) for c in corpora)
        return tuple(read_manifest(folder, self.run.storage) for folder in folders)

    def _k(self, corpora: Sequence[str]) -> int:
        """Neighbours searched among some corpora: more where segments overlap each other."""
        settings = score_settings(self.run.config.mining)
        return settings.neighbors(of_speech=overlaps(self.run.config, corpora))

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
            found = read_manifest(knn.folder, self.run.storage)
            for warning in (*warnings, *unknown_documents(found)):
                self.progress.warn(f"tasks.{knn.subject}: {warning}")
            stages.append(
                Pairs(
                    run=self.run,
                    subject=knn.subject,
                    sources=tuple(self.segments(corpus) for corpus in task.sources),
                    targets=tuple(self.segments(corpus) for corpus in task.targets),
                    neighbors=found,
                    settings=replace(settings, threshold=None),
                    thresholds=thresholds,
                    licences=self._licences((*task.sources, *task.targets)),
                )
            )
        return stages
