"""Stage tokenize: the units of each region of a speech corpus whose encoder hears.

Nothing here depends on the encoder but its audio tokenizer: one that is trained anew with the same
tokenizer finds the frames done. A recording at which processes die is left out; the stage embed refuses
its segments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.stage import Unit
from beam_jobs.stages.earlier import MADE_OF, earlier_hashes, said, take_over
from beam_jobs.stages.once import one_copy
from beam_jobs.stages.reading import ReadingStage
from beam_jobs.stages.recordings import (
    left_out_counters,
    regions_of_unit,
    samples_of,
    speech_of_unit,
    units_of_speech,
)
from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.audio_tokens.slices import frames_of_regions
from mining.contract.errors import DatasetError
from mining.contract.model_ref import ModelRef
from mining.contract.schemas import AUDIO_FRAMES
from mining.contract.speech import SPEECH_RATE_HZ, AudioTokenizer, Samples
from mining.io.dataset import Manifest, Receipt
from mining.io.parquet import write_part
from mining.speech.channels import Channel, Clip, channels_of, clips_of
from mining.speech.frames import frame_rows

# Neighbouring regions share clips about as long as Whisper's window, which costs the same however
# little of it is speech.
_CLIP_S = 28.0
# Longest region that prepare makes (speech.max_region_s), so that none is cut unless it must be.
_REGION_S = 30.0
_BATCH_CLIPS = 16

_Pieces = list[list[NDArray[np.int16]]]  # of each region of a channel: one run of frames a clip


@one_copy(kept=2)
def _load(ref: ModelRef, fingerprint: str, device: str, threads: int | None) -> AudioTokenizer:
    from encoders.audio_tokens.load import load_audio_tokenizer
    from encoders.load import audio_tokenizer_of

    del fingerprint  # other weights at the same place are another copy
    return load_audio_tokenizer(audio_tokenizer_of(ref), device=device, threads=threads)


@dataclass(frozen=True, kw_only=True)
class Tokenize(ReadingStage):
    """Tokenises one speech corpus.

    Attributes:
        regions: manifest of its regions.
        card: of the audio tokenizer of its encoder.
        ref: where that encoder is.
        base: folder of the recordings, with its slash.
    """

    regions: Manifest
    card: AudioTokenizerCard
    ref: ModelRef
    base: str
    name: ClassVar[str] = "tokenize"
    phases: ClassVar[tuple[str, ...]] = ("tokenize",)
    reads: ClassVar[str] = "tokenize"
    remedy: ClassVar[str] = (
        f"give each process memory for {_BATCH_CLIPS} clips at once, by a larger machine or GPU or "
        "fewer processes on it"
    )

    @cached_property
    def hash(self) -> str:
        """Decided by the regions, the audio tokenizer, and how clips are cut."""
        return self.hash_of(
            {
                "regions": self.regions.content,
                "audio_tokenizer": self.card.fingerprint,
                "clips_s": self._clips_s,
                "max_gap_s": self._max_gap_s,
            }
        )

    @property
    def _clips_s(self) -> tuple[float, float]:
        """Longest clip of several regions, and of a piece of one."""
        return min(_CLIP_S, self.card.max_clip_s), min(_REGION_S, self.card.max_clip_s)

    @property
    def _max_gap_s(self) -> float:
        return self.run.config.corpora[self.subject].speech.max_gap_s

    @property
    def folder(self) -> str:
        """Folder of the frames."""
        return self.run.dataset("audio_frames", self.subject, self.hash)

    def units(self, phase: str) -> tuple[Unit, ...]:
        """Some recordings of a part of the regions."""
        return units_of_speech(self.regions)

    @property
    def _tokenizer(self) -> AudioTokenizer:
        execution, wanted = self.run.config.execution, self.card.fingerprint
        found = _load(self.ref, wanted, execution.device, execution.threads)
        if found.fingerprint != wanted:
            raise DatasetError(
                f"tokenize {self.subject}: the audio tokenizer must be the one that the run was planned "
                "with, but its files have changed since; run again"
            )
        return found

    @cached_property
    def _earlier(self) -> tuple[str, ...]:
        return earlier_hashes(self)

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Tokenise some recordings, unless an earlier run has."""
        made_of = self.hash_of(
            {
                "speech": speech_of_unit(self.regions, unit),
                "audio_tokenizer": self.card.fingerprint,
                "clips_s": self._clips_s,
                "max_gap_s": self._max_gap_s,
            }
        )
        kinds = {"audio_frames": AUDIO_FRAMES}
        earlier = take_over(self, phase, unit.key, made_of, kinds, self._earlier)
        return earlier or self._tokenized(unit, made_of)

    def _tokenized(self, unit: Unit, made_of: str) -> Receipt:
        mine = regions_of_unit(self.run, self.regions, unit)
        channels = list(channels_of(mine))
        _ = self._tokenizer  # before: what dies of loading it is no fault of a recording
        with self.attempt(unit, [channel.source_uri for channel in channels]) as attempt:
            heard = attempt.sifted(channels, lambda one: one.source_uri, self._alone)
            pieces = _nothing_yet(heard)
            counters = self._fill(heard, pieces)
        notes = self.record(unit, attempt.skipped)
        tables = [frame_rows(one, found) for one, found in zip(heard, pieces, strict=True)]
        table = pa.concat_tables([AUDIO_FRAMES.empty_table(), *tables])
        order = ("recording_id", "channel", "region")
        table = table.sort_by([(name, "ascending") for name in order])
        part = write_part(self.folder, f"{unit.key}.parquet", table, AUDIO_FRAMES, self.run.storage)
        counters["regions"] = mine.num_rows
        counters["regions_tokenized"] = table.num_rows
        counters["frames"] = pc.sum(pc.list_value_length(table["frames"])).as_py() or 0
        return Receipt(
            unit=unit.key,
            parts={"audio_frames": (part,)},
            counters=dict(counters) | left_out_counters(mine, attempt.skipped),
            notes={**notes, MADE_OF: made_of},
        )

    def _alone(self, channel: Channel) -> None:
        """Tokenise a channel for nothing."""
        self._fill([channel], _nothing_yet([channel]))

    def _fill(self, channels: Sequence[Channel], pieces: Sequence[_Pieces]) -> Counter[str]:
        """Put the frames of each clip to its regions. Clips are computed together across channels."""
        tokenizer, counters = self._tokenizer, Counter[str]()
        stream = self._clips(channels)
        while held := list(islice(stream, _BATCH_CLIPS)):
            langs = [channels[place].lang for place, *_ in held]
            found = tokenizer.frames([samples for *_, samples in held], langs)
            for (place, clip, samples), frames in zip(held, found, strict=True):
                inside = channels[place].inside(clip)
                dealt = frames_of_regions(frames, tokenizer.rate_hz, *inside)
                for region, piece in enumerate(dealt, start=clip.first):
                    pieces[place][region].append(piece)
                counters["clips_ms"] += len(samples) * 1000 // SPEECH_RATE_HZ
            counters["clips"] += len(held)
        return counters

    def _clips(self, channels: Sequence[Channel]) -> Iterator[tuple[int, Clip, Samples]]:
        """All clips with a sample: the place of the channel, the clip, its samples."""
        for place, channel in enumerate(channels):
            clips = clips_of(channel, *self._clips_s, self._max_gap_s)
            found = samples_of(channel, clips, self.base, self.run.storage)
            for clip, samples in zip(clips, found, strict=True):
                if len(samples):  # less than one sample at 16 kHz has no frame
                    yield place, clip, samples

    def remark(self) -> str:
        """How many parts were tokenised by an earlier run, if any."""
        return said(self.subject, self.receipts("tokenize"))

    def finish(self) -> None:
        """Check that no region is lost; write the manifest."""
        tokenized = self.receipts("tokenize")
        self.publish(
            {"audio_frames": self.folder},
            tokenized,
            self.end(
                tokenized,
                {
                    "audio_tokenizer": self.card.name,
                    "audio_tokenizer_fingerprint": self.card.fingerprint,
                    "rate_hz": self.card.rate_hz,
                    "units": self.card.units,
                },
            ),
            laws=[("regions", ("regions_tokenized", "regions_left_out"))],
        )
        self.clean()


def _nothing_yet(channels: Sequence[Channel]) -> list[_Pieces]:
    """For each region of each channel: no frames."""
    return [[[] for _ in channel.start] for channel in channels]
