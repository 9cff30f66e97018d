"""The speech of mined pairs, cut out of its recordings again, one file a segment."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import AudioError, InputError, SchemaError
from mining.contract.ids import speech_segment_id
from mining.contract.schemas import PAIR, SPEECH
from mining.contract.speech import Samples
from mining.contract.upgrade import upgraded
from mining.contract.uris import canonical_uri
from mining.io.filesystem import Storage, exists, list_glob, write_atomic
from mining.io.local import file_digest, local_file
from mining.io.parquet import read_part
from mining.speech.audio import open_audio
from mining.speech.stream import mono, spans

SIDES = {"source": "src", "target": "tgt"}
INDEX_COLUMNS = (
    "pair_id", "side", "segment_id", "lang", "clip", "text", "source_uri", "start_s", "end_s",
)  # fmt: skip
_COLUMNS = ("segment_id", "lang", "modality", "text", "uri", "start_s", "end_s", "channel")
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]+")


@dataclass(frozen=True, kw_only=True)
class SpeechSide:
    """One side of a pair that is speech.

    Attributes:
        pair_id: of the pair.
        side: ``source`` or ``target``.
        segment_id: names the clip.
        lang: ISO 639-3 code.
        text: its transcript; empty if it has none.
        uri: the recording, relative to its corpus' base.
        start_s: in the recording.
        end_s: in the recording.
        channel: 0-based; None: the mean of all.
    """

    pair_id: str
    side: str
    segment_id: str
    lang: str
    text: str
    uri: str
    start_s: float
    end_s: float
    channel: int | None


@dataclass(frozen=True, kw_only=True)
class CutSettings:
    """Where clips come from and go to.

    Attributes:
        to: folder of the clips, any fsspec address.
        roots: folders that recordings are relative to; where several hold one of a name, the one whose
            bytes made the segment's id is taken.
        absolute: whether recordings whose address is absolute are taken from there.
        format: of the clips.
        storage: fsspec options.
    """

    to: str
    roots: tuple[str, ...]
    absolute: bool = False
    format: Literal["flac", "wav"] = "flac"
    storage: Storage = field(default_factory=Storage)

    def clip(self, segment_id: str) -> str:
        """File name of a clip."""
        return f"{segment_id}.{self.format}"


@dataclass(kw_only=True)
class CutReport:
    """What became of the clips.

    Attributes:
        written: clips cut now.
        present: clips that were there before.
        failed: segment_id -> (recording, why), of clips that are not there.
    """

    written: int = 0
    present: int = 0
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)


def read_speech_sides(pairs: str, sides: Sequence[str], storage: Storage) -> tuple[SpeechSide, ...]:
    """The sides that are speech, of the pairs of a file or of all files below a folder.

    Pairs of schema version 1 have no channels: theirs are mixed.

    Args:
        pairs: a Parquet file, or a folder.
        sides: names of :data:`SIDES`.
        storage: fsspec options.

    Raises:
        InputError: there is no Parquet file, or a segment id is no file name.
        SchemaError: a file holds no pairs.
    """
    files = [uri for uri in list_glob(pairs, storage) if uri.endswith(".parquet")]
    if not files:
        raise InputError(
            f"{pairs}: must be a Parquet file or hold one, but does not; check the path"
        )
    return tuple(one for uri in files for one in _sides(_read(uri, storage), uri, sides))


def _read(uri: str, storage: Storage) -> pa.Table:
    return upgraded(read_part(uri, None, storage), PAIR)


def _sides(table: pa.Table, uri: str, sides: Sequence[str]) -> Iterator[SpeechSide]:
    kind = (table.schema.metadata or {}).get(b"mining.schema", b"").decode()
    if kind != "pair":
        raise SchemaError(f"{uri}: must hold pairs, but holds {kind or 'something else'}")
    columns = {
        side: [_column(table, f"{SIDES[side]}_{name}") for name in _COLUMNS] for side in sides
    }
    for row, pair_id in enumerate(table["pair_id"].to_pylist()):
        for side in sides:
            values = dict(zip(_COLUMNS, (c[row] for c in columns[side]), strict=True))
            if values.pop("modality") != SPEECH:
                continue
            if not _SAFE_ID.fullmatch(values["segment_id"]):
                raise InputError(f"{uri}: segment_id {values['segment_id']!r} is no file name")
            missing = [name for name in ("uri", "start_s", "end_s") if values[name] is None]
            if missing:
                raise InputError(
                    f"{uri}: pair {pair_id}: speech must have {', '.join(missing)}, but has null"
                )
            values["text"] = values["text"] or ""
            yield SpeechSide(pair_id=pair_id, side=side, **values)


def _column(table: pa.Table, name: str) -> list[Any]:
    if name in table.column_names:
        values: list[Any] = table[name].to_pylist()
        return values
    raise SchemaError(f"pairs: column {name!r} is missing")


def cut_clips(sides: Iterable[SpeechSide], settings: CutSettings) -> CutReport:
    """Cut every segment that is not there yet; each recording is decoded once.

    A clip has its recording's rate and one channel, 16 bits a sample, or 24 where the recording has
    more. Its samples are those of the recording (mixed, rounded to the bits; beyond full scale they are
    clipped). A clip is there whole or not at all.

    Raises:
        InputError: clips cannot be written.
        CapacityError: the disk is full.
    """
    report = CutReport()
    there = set(list_glob(settings.to, settings.storage))
    segments = {one.segment_id: one for one in sides}
    by_recording: dict[str, list[SpeechSide]] = {}
    for one in segments.values():
        if f"{settings.to}/{settings.clip(one.segment_id)}" in there:
            report.present += 1
        else:
            by_recording.setdefault(one.uri, []).append(one)
    for uri in sorted(by_recording):
        wanted = sorted(by_recording[uri], key=lambda one: (one.start_s, one.end_s, one.segment_id))
        for found, share in _by_file(uri, wanted, settings, report).items():
            _cut_recording(found, share, settings, report)
    return report


def _by_file(
    uri: str, wanted: Sequence[SpeechSide], settings: CutSettings, report: CutReport
) -> dict[str, list[SpeechSide]]:
    """Segments of one address by the file that they are of; what is of none is reported."""
    try:
        there = find_recordings(uri, settings)
    except AudioError as error:
        report.failed.update({one.segment_id: (uri, str(error)) for one in wanted})
        return {}
    if len(there) == 1:
        return {there[0]: list(wanted)}
    # Several corpora have a recording of this name, and any of them may have been mined.
    made = {found: _identity(found, settings.storage) for found in there}
    shares: dict[str, list[SpeechSide]] = {}
    for one in wanted:
        try:
            of = [found for found, identity in made.items() if _is_of(one, *identity)]
        except AudioError as error:
            report.failed[one.segment_id] = (uri, str(error))
            continue
        if of:
            shares.setdefault(of[0], []).append(one)
        else:
            report.failed[one.segment_id] = (uri, _nowhere(uri, settings))
    return shares


def _identity(uri: str, storage: Storage) -> tuple[str, int]:
    """A recording's id and rate; no id if it cannot be opened."""
    try:
        with local_file(uri, storage) as path, open_audio(path, uri) as stream:
            return file_digest(path), stream.sample_rate_hz
    except InputError:
        return "", 1


def _is_of(one: SpeechSide, recording_id: str, rate_hz: int) -> bool:
    """Whether a segment is of this recording: its id is made of the recording's and of its place."""
    ((start, end),) = _bounds([one], rate_hz).tolist()
    return speech_segment_id(recording_id, one.channel, start, end - start) == one.segment_id


def _cut_recording(
    found: str, wanted: Sequence[SpeechSide], settings: CutSettings, report: CutReport
) -> None:
    uri = wanted[0].uri
    left = {one.segment_id for one in wanted}
    try:
        for one, samples, rate_hz, bits in _pieces(found, wanted, settings.storage):
            left.remove(one.segment_id)
            try:
                data = _encoded(_one_channel(one, samples, rate_hz), rate_hz, bits, settings.format)
            except AudioError as error:
                report.failed[one.segment_id] = (uri, str(error))
                continue
            write_atomic(f"{settings.to}/{settings.clip(one.segment_id)}", data, settings.storage)
            report.written += 1
    except AudioError as error:
        report.failed.update({segment_id: (uri, str(error)) for segment_id in sorted(left)})


def _pieces(
    found: str, wanted: Sequence[SpeechSide], storage: Storage
) -> Iterator[tuple[SpeechSide, NDArray[np.float32], int, int]]:
    """Each segment, sorted by start, with its samples (all channels), rate and bits.

    Raises:
        AudioError: the recording cannot be read, or not further.
    """
    try:
        with local_file(found, storage) as path, open_audio(path, found) as stream:
            bounds = _bounds(wanted, stream.sample_rate_hz)
            pieces = spans(stream.blocks(), bounds)
            for one, samples in zip(wanted, pieces, strict=True):
                yield one, samples, stream.sample_rate_hz, stream.bits
    except AudioError:
        raise
    except InputError as error:  # storage says no
        raise AudioError(str(error), "missing_audio") from error


def _bounds(wanted: Sequence[SpeechSide], rate_hz: int) -> NDArray[np.int64]:
    """First sample and end of each, int64 [R, 2]."""
    for one in wanted:
        if not 0 <= one.start_s < one.end_s < np.inf:
            raise AudioError(
                f"{one.uri}: a segment must begin before it ends, but {one.segment_id} is from "
                f"{one.start_s} to {one.end_s} s; were the pairs changed?"
            )
    seconds = np.array([(one.start_s, one.end_s) for one in wanted], dtype=np.float64)
    return np.rint(seconds * rate_hz).astype(np.int64)


def _one_channel(one: SpeechSide, samples: NDArray[np.float32], rate_hz: int) -> Samples:
    expected = int(np.diff(_bounds([one], rate_hz))[0, 0])
    if len(samples) < expected or not expected:
        raise AudioError(
            f"{one.uri}: must reach to {one.end_s:.3f} s, but ends "
            f"{(expected - len(samples)) / rate_hz:.3f} s before; is it the recording that was mined?"
        )
    return next(mono([samples], one.channel))


def find_recordings(uri: str, settings: CutSettings) -> list[str]:
    """The files of this address, one for each root that has one.

    Raises:
        AudioError: nowhere, or where it must not be looked for.
    """
    if "://" in uri or uri.startswith(("/", "~")):
        if not settings.absolute:
            raise AudioError(
                f"{uri}: must be relative to --audio, but is absolute; leave --audio out",
                "missing_audio",
            )
        candidates = [uri]
    else:
        below = posixpath.normpath(uri)
        if below == ".." or below.startswith("../") or "\0" in uri:
            raise AudioError(f"{uri}: must lie below its corpus, but leaves it", "missing_audio")
        candidates = [f"{root.rstrip('/')}/{below}" if root else below for root in settings.roots]
    there = [canonical_uri(one) for one in candidates if exists(one, settings.storage)]
    if not there:
        raise AudioError(_nowhere(uri, settings), "missing_audio")
    return there


def _nowhere(uri: str, settings: CutSettings) -> str:
    return f"{uri}: no such recording below {', '.join(settings.roots)}"


def _encoded(samples: Samples, rate_hz: int, bits: int, container: str) -> bytes:
    """A file of one channel; samples that came of integers of as many bits are what they were."""
    import soundfile

    # Not soundfile's own conversion, whose full scale is one step lower than that of reading.
    full = 1 << (bits - 1)
    whole = np.clip(np.rint(samples.astype(np.float64) * full), -full, full - 1).astype(np.int32)
    data = whole.astype(np.int16) if bits == 16 else whole << 8
    file = io.BytesIO()
    soundfile.write(file, data, rate_hz, subtype=f"PCM_{bits}", format=container.upper())
    return file.getvalue()


def index_table(
    sides: Iterable[SpeechSide], settings: CutSettings, missing: Mapping[str, object]
) -> bytes:
    """``clips.tsv``: one line a side that has a clip, columns :data:`INDEX_COLUMNS`, UTF-8."""
    lines = ["\t".join(INDEX_COLUMNS)]
    for one in sides:
        if one.segment_id in missing:
            continue
        fields = (
            one.pair_id,
            one.side,
            one.segment_id,
            one.lang,
            settings.clip(one.segment_id),
            one.text,
            one.uri,
            f"{one.start_s:.6f}",
            f"{one.end_s:.6f}",
        )
        lines.append("\t".join(_BLANK.sub(" ", value) for value in fields))
    return ("\n".join(lines) + "\n").encode("utf-8")
