"""Stage transcribe: what is said in each region of a speech corpus, and so in its segments.

Phase ``recognise`` hears the regions of some recordings, each once; phase ``join`` gives every
segment of a part the text of its regions. A recording at which processes die is left out, and its
segments are rejects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.stage import Unit, reason_counters
from beam_jobs.stages.earlier import MADE_OF, earlier_hashes, said, take_over
from beam_jobs.stages.listing import UNDETERMINED
from beam_jobs.stages.once import one_copy
from beam_jobs.stages.reading import ReadingStage
from beam_jobs.stages.recordings import (
    left_out_counters,
    regions_of_part,
    regions_of_unit,
    samples_of,
    speech_of_unit,
    units_of_part,
    units_of_speech,
    without_left_out,
)
from encoders.recognise import RecogniserCard, load_recogniser
from mining.contract.errors import DatasetError
from mining.contract.languages import canonical_language
from mining.contract.model_ref import RecogniserRef
from mining.contract.schemas import REJECT, SEGMENT, TRANSCRIPT
from mining.contract.speech import Recogniser, Samples, Transcript
from mining.filter import Guard, load_guard
from mining.io.dataset import Manifest, Receipt
from mining.io.parquet import read_part, write_part
from mining.speech.channels import Channel, Clip, channels_of, clips_of
from mining.speech.transcript import around, transcript_rows, with_transcripts
from mining.text import normalise

# Clips of a recording by which its language is told, spread over it.
_LANGUAGE_CLIPS = 6


@one_copy(kept=2)
def _load(ref: RecogniserRef, device: str, threads: int | None) -> Recogniser:
    return load_recogniser(ref, device=device, threads=threads)


@dataclass(frozen=True, kw_only=True)
class Transcribe(ReadingStage):
    """Transcribes one speech corpus.

    Attributes:
        segments: manifest of its segments, as prepared.
        regions: manifest of its regions.
        card: of its recogniser.
        ref: where the recogniser is.
        base: folder of the recordings, with its slash.
        guard: digest of the evaluation sets that are refused.
    """

    segments: Manifest
    regions: Manifest
    card: RecogniserCard
    ref: RecogniserRef
    base: str
    guard: str
    name: ClassVar[str] = "transcribe"
    phases: ClassVar[tuple[str, ...]] = ("recognise", "join")
    reads: ClassVar[str] = "recognise"
    remedy: ClassVar[str] = (
        "lower recogniser.batch_clips, which recognises all recordings anew; or give each process more "
        "memory"
    )

    @cached_property
    def hash(self) -> str:
        """Decided by the segments, the regions, the recogniser, and what is refused."""
        corpus = self.run.config.corpora[self.subject]
        return self.hash_of(
            {
                "segments": self.segments.content,
                "regions": self.regions.content,
                "recogniser": self.card.fingerprint,
                "max_gap_s": corpus.speech.max_gap_s,
                "langs": corpus.langs,
                "guard": self.guard,
            }
        )

    @property
    def folder(self) -> str:
        """Folder of the segments with their texts."""
        return self.run.dataset("segments", self.subject, self.hash)

    @property
    def transcripts_folder(self) -> str:
        """Folder of what was recognised in each region."""
        return self.run.dataset("transcripts", self.subject, self.hash)

    @cached_property
    def _guard(self) -> Guard:
        return load_guard(self.run.config.contamination.sets, self.run.storage)

    def units(self, phase: str) -> tuple[Unit, ...]:
        """Some recordings of a part of the regions; then parts."""
        if phase == "join":
            return tuple(
                Unit(key=part.path.removesuffix(".parquet"), args={"part": part.path})
                for part in self.segments.parts
            )
        return units_of_speech(self.regions)

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Recognise some recordings, or join the texts of a part."""
        return self._recognise(unit) if phase == "recognise" else self._join(unit)

    # Phase recognise

    @property
    def _recogniser(self) -> Recogniser:
        execution = self.run.config.execution
        found = _load(self.ref, execution.device, execution.threads)
        if found.fingerprint != self.card.fingerprint:
            raise DatasetError(
                f"transcribe {self.subject}: the recogniser must be the one that the run was planned "
                "with, but its files or its device have changed since; run again"
            )
        return found

    @cached_property
    def _earlier(self) -> tuple[str, ...]:
        return earlier_hashes(self)

    def _recognise(self, unit: Unit) -> Receipt:
        made_of = self.hash_of(
            {
                "speech": speech_of_unit(self.regions, unit),
                "recogniser": self.card.fingerprint,
                "max_gap_s": self.run.config.corpora[self.subject].speech.max_gap_s,
            }
        )
        kinds = {"transcripts": TRANSCRIPT}
        earlier = take_over(self, "recognise", unit.key, made_of, kinds, self._earlier)
        return earlier or self._recognised(unit, made_of)

    def _recognised(self, unit: Unit, made_of: str) -> Receipt:
        mine = regions_of_unit(self.run, self.regions, unit)
        counters: Counter[str] = Counter()
        tables = [TRANSCRIPT.empty_table()]
        channels = list(self._known(channels_of(mine)))
        _ = self._recogniser  # before: what dies of loading it is no fault of a recording
        with self.attempt(unit, [channel.source_uri for channel in channels]) as attempt:
            for channel, clips, transcripts in self._transcripts(
                attempt.sifted(channels, lambda one: one.source_uri, self._alone), counters
            ):
                tables.append(transcript_rows(channel, clips, transcripts))
        notes = self.record(unit, attempt.skipped)
        table = pa.concat_tables(tables)
        order = ("lang", "recording_id", "channel", "region")
        table = table.sort_by([(name, "ascending") for name in order])
        part = write_part(
            self.transcripts_folder, f"{unit.key}.parquet", table, TRANSCRIPT, self.run.storage
        )
        counters["regions"] = mine.num_rows
        counters["transcripts"] = table.num_rows
        counters["regions_unknown"] = sum(
            lang != UNDETERMINED and self._spoken(lang) is None for lang in mine["lang"].to_pylist()
        )
        return Receipt(
            unit=unit.key,
            parts={"transcripts": (part,)},
            counters=dict(counters) | left_out_counters(mine, attempt.skipped),
            notes={**notes, MADE_OF: made_of},
        )

    def _alone(self, channel: Channel) -> None:
        """Recognise a channel for nothing."""
        for _ in self._transcripts([channel], Counter()):
            pass

    def _known(self, channels: Iterator[Channel]) -> Iterator[Channel]:
        """Channels in a language that the recogniser knows, or that it has told itself."""
        for channel in channels:
            lang = channel.lang
            if lang == UNDETERMINED or self._spoken(lang) is not None:
                yield channel

    def _spoken(self, lang: str) -> str | None:
        """What the recogniser is told for a language; None if it does not know it."""
        return self.card.known(self.ref.language or lang)

    def _transcripts(
        self, channels: Sequence[Channel], counters: Counter[str]
    ) -> Iterator[tuple[Channel, list[Clip], list[Transcript]]]:
        """What is said in each channel. Clips are computed together across channels."""
        recogniser = self._recogniser
        waiting: list[_Heard] = []
        held: list[tuple[_Heard, Samples]] = []

        def compute() -> None:
            spoken = held[0][0].spoken
            found = recogniser.transcribe([samples for _, samples in held], spoken)
            for (heard, _), transcript in zip(held, found, strict=True):
                heard.transcripts.append(heard.labelled(transcript))
            held.clear()

        for channel in channels:
            heard = self._heard(channel, recogniser)
            waiting.append(heard)
            wanted = heard.clips[len(heard.transcripts) :]
            for samples in self._samples(channel, wanted) if wanted else ():
                if held and held[0][0].spoken != heard.spoken:
                    compute()
                held.append((heard, samples))
                counters["clips_ms"] += len(samples) // 16
                if len(held) == self.ref.batch_clips:
                    compute()
            counters["clips"] += len(heard.clips)
            while waiting and len(waiting[0].transcripts) == len(waiting[0].clips):
                done = waiting.pop(0)
                yield done.channel, done.clips, done.transcripts
        if held:
            compute()
        yield from ((one.channel, one.clips, one.transcripts) for one in waiting)

    def _heard(self, channel: Channel, recogniser: Recogniser) -> _Heard:
        """A channel before it is recognised: its clips, and the language if it must be told."""
        max_gap_s = self.run.config.corpora[self.subject].speech.max_gap_s
        clip_s = self.ref.clip_s if self.card.times_words else 0.0
        longest = self.card.max_clip_s
        clips = clips_of(channel, min(clip_s, longest), longest, max_gap_s)
        lang, probability = channel.lang, None
        if lang == UNDETERMINED:
            places = np.linspace(0, len(clips) - 1, min(len(clips), _LANGUAGE_CLIPS)).astype(int)
            samples = list(self._samples(channel, [clips[place] for place in places]))
            if not any(len(one) for one in samples):  # less than one sample at 16 kHz
                nothing = [Transcript(words=(), lang=lang) for _ in clips]
                return _Heard(channel=channel, clips=clips, lang=lang, transcripts=nothing)
            lang, probability = recogniser.language_of(samples)
        return _Heard(
            channel=channel,
            clips=clips,
            lang=lang,
            lang_probability=probability,
            spoken=self._spoken(lang) or lang,
        )

    def _samples(self, channel: Channel, clips: Sequence[Clip]) -> Iterator[Samples]:
        return samples_of(channel, clips, self.base, self.run.storage)

    # Phase join

    def _join(self, unit: Unit) -> Receipt:
        part, storage = unit.args["part"], self.run.storage
        folder = self.run.dataset("segments", self.subject, self.segments.hash)
        segments = read_part(f"{folder}/{part}", SEGMENT, storage)
        transcripts = [
            read_part(f"{self.transcripts_folder}/{key}.parquet", TRANSCRIPT, storage)
            for key in units_of_part(self.regions, part)
        ]
        regions, count = regions_of_part(self.run, self.regions, part), segments.num_rows
        lacking = self.left_out()
        files = [f for key in units_of_part(self.regions, part) for f in lacking.get(key, ())]
        segments, lost = without_left_out(segments, regions, files, self.name)
        unknown = [
            lang != UNDETERMINED and self._spoken(lang) is None
            for lang in segments["lang"].to_pylist()
        ]
        mask = pa.array(unknown, pa.bool_())
        foreign = segments.filter(mask)
        rejects = [
            lost,
            _rejects(foreign, "unknown_language", f"{self.card.name} does not know it"),
        ]
        heard = with_transcripts(
            segments.filter(pc.invert(mask)),
            regions,
            pa.concat_tables([TRANSCRIPT.empty_table(), *transcripts]),
            normalise,
        )
        heard, refused = self._refuse(heard)
        rejected = pa.concat_tables([*rejects, *refused])
        kept = heard.sort_by([(name, "ascending") for name in ("lang", "length", "segment_id")])
        return Receipt(
            unit=unit.key,
            parts={
                "segments": (write_part(self.folder, part, kept, SEGMENT, storage),),
                "rejects": (write_part(self.rejects_folder(), part, rejected, REJECT, storage),),
            },
            counters={
                "segments_in": count,
                "kept": kept.num_rows,
                "rejected": rejected.num_rows,
                "repetition_cut": pc.sum(kept["repetition_cut"]).as_py() or 0,
                **reason_counters(rejected),
            },
        )

    def _refuse(self, heard: pa.Table) -> tuple[pa.Table, list[pa.Table]]:
        """Take out what has no text, is in an unwanted language or is an evaluation sentence."""
        refused = []

        def without(rows: pa.Table, wrong: pa.Array, reason: str, detail: Any) -> pa.Table:
            refused.append(_rejects(rows.filter(wrong), reason, detail))
            return rows.filter(pc.invert(wrong))

        heard = without(
            heard, pc.equal(heard["text"], ""), "no_transcript", "nothing was recognised"
        )
        langs = self.run.config.corpora[self.subject].langs
        if langs is not None:
            wanted = pa.array([canonical_language(code) or code for code in langs])
            wrong = pc.invert(pc.is_in(heard["lang"], wanted))
            heard = without(heard, wrong, "unwanted_language", heard["lang"].filter(wrong))
        found = around(heard, self._guard.matches(heard["text"]))
        return (
            without(heard, found.is_valid(), "benchmark_overlap", found.drop_null()),
            refused,
        )

    def remark(self) -> str:
        """How many parts were recognised by an earlier run, if any."""
        return said(self.subject, self.receipts("recognise"))

    def finish(self) -> None:
        """Check that no region and no segment is lost; write the manifests."""
        recognised = self.receipts("recognise")
        folders = {
            "rejects": self.rejects_folder(),
            "transcripts": self.transcripts_folder,
            "segments": self.folder,
        }
        self.publish(
            folders,
            [*recognised, *self.receipts("join")],
            self.end(
                recognised,
                {"recogniser": self.card.name, "recogniser_fingerprint": self.card.fingerprint},
            ),
            laws=(
                ("regions", ("transcripts", "regions_unknown", "regions_left_out")),
                ("segments_in", ("kept", "rejected")),
            ),
        )
        self.clean()


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """A channel on its way through the recogniser.

    Attributes:
        spoken: language that the recogniser is told.
        lang: language that its segments have.
        transcripts: of its first clips, until there is one for each.
    """

    channel: Channel
    clips: list[Clip]
    lang: str
    lang_probability: float | None = None
    spoken: str = UNDETERMINED
    transcripts: list[Transcript] = field(default_factory=list)

    def labelled(self, transcript: Transcript) -> Transcript:
        """A transcript under the segments' language."""
        return replace(transcript, lang=self.lang, lang_probability=self.lang_probability)


def _rejects(rows: pa.Table, reason: str, detail: Any) -> pa.Table:
    if isinstance(detail, str):
        detail = pa.array([detail] * rows.num_rows, pa.string())
    return pa.table(
        [
            rows["segment_id"],
            pa.array(["transcribe"] * rows.num_rows, pa.string()),
            pa.array([reason] * rows.num_rows, pa.string()),
            detail,
        ],
        schema=REJECT,
    )
