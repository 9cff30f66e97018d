"""Where a named segment stands in the corpora of one side of a task, or why it stands in none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.forgotten import forgotten_of
from beam_jobs.plan import Plan
from beam_jobs.stages.listing import audio_base
from beam_jobs.stages.prepare import Prepare
from mining.contract.ids import partition_of, text_segment_id
from mining.contract.languages import canonical_language
from mining.contract.schemas import OCCURRENCE, REJECT, SEGMENT, SPEECH
from mining.contract.uris import absolute
from mining.explain import Name, place_of, read_name, spellings
from mining.io.dataset import Manifest, read_manifest
from mining.io.filesystem import exists
from mining.io.parquet import read_part
from mining.text import normalise, read_batches, split_sentences
from mining.text.corpus import base_of

_SHOWN = 3  # places, rejects or spellings named in one line
_SPELLED_ROWS = 500_000  # of a corpus that is looked through for nearest spellings
_AGREES = 0.5  # intersection over union from which a stretch is taken for a segment


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment that the user meant.

    Attributes:
        row: of the SEGMENT table that is embedded.
        corpus: which corpus' it is.
        note: how it differs from what was named; empty: not at all.
    """

    row: dict[str, Any]
    corpus: str
    note: str = ""

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.row["segment_id"])

    @property
    def lang(self) -> str:
        """Its language."""
        return str(self.row["lang"])

    def said(self) -> str:
        """Id, language, and its text or place, in one line."""
        row = self.row
        shown = [self.id, self.lang]
        if row["modality"] == SPEECH:
            shown.append(place_text(row))
        if row["text"] is not None:
            shown.append(repr(row["text"]))
        return "  ".join(shown)


@dataclass
class Located:
    """What was found on one side.

    Attributes:
        segments: those that the name may mean.
        lines: what became of the name where it is no segment: label and sentence.
        verdict: in that case, the reason.
    """

    segments: list[Segment] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    verdict: str = "not in the corpus"


def place_text(row: dict[str, Any]) -> str:
    """``uri@start-end`` of a segment of speech, in seconds."""
    start, rate = row["start_sample"], row["sample_rate_hz"]
    end = start + row["num_samples"]
    return f"{row['source_uri']}@{start / rate:.2f}-{end / rate:.2f}"


def find_segments(plan: Plan, corpora: Sequence[str], raw: str) -> list[Segment]:
    """The segments that a name means in the corpora of a side; one that stands in several, once.

    Raises:
        DatasetError: if they are not prepared, or not transcribed.
    """
    name = read_name(raw)
    found: dict[str, Segment] = {}
    for corpus in corpora:
        for segment in _segments(plan, corpus, name):
            found.setdefault(segment.id, segment)
    return list(found.values())


def locate(plan: Plan, corpora: Sequence[str], raw: str) -> Located:
    """The segments that a name means, or what became of it. Of texts, the files may be read again.

    Raises:
        DatasetError: if the corpora are not prepared, or not transcribed.
    """
    name, found = read_name(raw), Located(segments=find_segments(plan, corpora, raw))
    if found.segments:
        return found
    for corpus in corpora:
        _why_not(plan, corpus, name, found)
    if not found.lines:
        _nearest(plan, corpora, name, found)
    return found


def _segments(plan: Plan, corpus: str, name: Name) -> list[Segment]:
    """By id; then by the place it names; then by its text."""
    manifest = plan.segments(corpus)
    speech = plan.run.config.corpora[corpus].modality == SPEECH
    wanted = [name.segment_id] if name.segment_id else []
    wanted += _ids_of_row(plan, corpus, name)
    if wanted:
        found = _read(plan, manifest, pc.field("segment_id").isin(wanted))
    else:
        found = _of_text(plan, manifest, name, speech)
    segments = [Segment(row=row, corpus=corpus) for row in found.to_pylist()]
    if segments or not speech:
        return segments
    return _of_recording(plan, corpus, manifest, name)


def _of_text(plan: Plan, manifest: Manifest, name: Name, speech: bool) -> pa.Table:
    """Segments with the named text. Of texts, the id follows from it, and the part from the id."""
    text = normalise(name.raw)
    if speech:
        return _read(plan, manifest, pc.field("text") == text)
    partitions = plan.run.config.partitions
    ids = [text_segment_id(lang, text) for lang in manifest.langs]
    parts = {f"part-{partition_of(one, partitions):05d}.parquet" for one in ids}
    return _read(plan, manifest, pc.field("segment_id").isin(pa.array(ids, pa.string())), parts)


def _of_recording(plan: Plan, corpus: str, manifest: Manifest, name: Name) -> list[Segment]:
    """The segment that a stretch of a recording names."""
    base = audio_base(plan.run.config.corpora[corpus])
    uris = {uri.removeprefix(base) for uri in (name.uri, name.raw)}
    uris |= {absolute(uri).removeprefix(base) for uri in (name.uri, name.raw)}
    found = _read(plan, manifest, pc.field("source_uri").isin(sorted(uris)))
    found = found.sort_by([("start_sample", "ascending"), ("num_samples", "ascending")])
    if not found.num_rows:
        return []
    if name.start_s is None:
        if found.num_rows == 1:
            return [Segment(row=found.to_pylist()[0], corpus=corpus)]
        return []
    row, agreement = place_of(name, found)
    if row is None or agreement < _AGREES:
        return []
    chosen = found.slice(row, 1).to_pylist()[0]
    note = "" if agreement == 1.0 else (
        f"no segment is exactly {name.raw}; the nearest is taken, which shares {agreement:.0%} with it"
    )  # fmt: skip
    return [Segment(row=chosen, corpus=corpus, note=note)]


def _ids_of_row(plan: Plan, corpus: str, name: Name) -> list[str]:
    """Segments that were read at ``file#row.part``, or at any part of ``file#row``."""
    if name.row_uri is None:
        return []
    folder = plan.run.dataset("occurrences", corpus, plan.prepared(corpus).hash)
    wanted = (pc.field("source_uri") == name.row_uri) & (pc.field("row") == name.row)
    if name.part is not None:
        wanted &= pc.field("part") == name.part
    found = read_matching(plan, folder, OCCURRENCE, wanted)
    return sorted(set(found["segment_id"].to_pylist()))


def places(plan: Plan, segment: Segment) -> list[str]:
    """Every place where a segment was read: ``file#row.part``."""
    folder = plan.run.dataset("occurrences", segment.corpus, plan.prepared(segment.corpus).hash)
    found = read_matching(plan, folder, OCCURRENCE, pc.field("segment_id") == segment.id)
    return [f"{row['source_uri']}#{row['row']}.{row['part']}" for row in found.to_pylist()]


def _read(
    plan: Plan, manifest: Manifest, wanted: pc.Expression, parts: set[str] | None = None
) -> pa.Table:
    folder = plan.run.dataset("segments", manifest.name, manifest.hash)
    return read_matching(plan, folder, SEGMENT, wanted, parts)


def read_matching(
    plan: Plan, folder: str, schema: pa.Schema, wanted: pc.Expression, parts: set[str] | None = None
) -> pa.Table:
    """Rows of a finished dataset that match, one row group in memory at a time.

    Args:
        plan: the run's.
        folder: of the dataset.
        schema: of it.
        wanted: an expression over its columns.
        parts: paths that they may be in; None: all.
    """
    storage = plan.run.storage
    tables = [
        read_part(f"{folder}/{part.path}", schema, storage, keep=lambda table: table.filter(wanted))
        for part in read_manifest(folder, storage).parts
        if parts is None or part.path in parts
    ]
    return pa.concat_tables([schema.empty_table(), *tables])


# What became of a name that is no segment


def _why_not(plan: Plan, corpus: str, name: Name, found: Located) -> None:
    """Add to ``found`` what is known of a name in one corpus."""
    config = plan.run.config.corpora[corpus]
    if config.modality == SPEECH:
        _unheard(plan, corpus, name, found)
        return
    rows = [name.raw] if name.row_uri else []
    sentences: list[str] = []
    if not name.segment_id and not name.row_uri:
        rows, sentences = _rows_of_text(plan, corpus, normalise(name.raw))
    for place, stage, reason, detail in _rejects(plan, corpus, rows):
        _refuse(found, f"{corpus}: {place}", stage, reason, detail)
    if sentences:
        found.verdict = "cut into sentences"
        shown = "; ".join(map(repr, sentences[:_SHOWN]))
        found.lines.append(
            (
                "prepare",
                f"{corpus}: the row is cut into {len(sentences)} sentences, each a segment of "
                f"its own: {shown}",
            )
        )


def _refuse(found: Located, what: str, stage: str, reason: str, detail: str | None) -> None:
    found.lines.append((stage, f"{what} was rejected: {reason}" + f" ({detail})" * bool(detail)))
    found.verdict = f"rejected in {stage}: {reason}"


def _unheard(plan: Plan, corpus: str, name: Name, found: Located) -> None:
    """Speech: segments that have no transcript, recordings without a segment, or too many."""
    base = audio_base(plan.run.config.corpora[corpus])
    uris = {absolute(uri).removeprefix(base) for uri in (name.uri, name.raw)} | {name.uri, name.raw}
    prepared = plan.prepared(corpus)
    wanted = pc.field("source_uri").isin(sorted(uris))
    if name.segment_id:
        wanted = pc.field("segment_id") == name.segment_id
    rows = _read(plan, prepared, wanted)
    if name.start_s is not None and rows.num_rows:
        row, agreement = place_of(name, rows)
        rows = rows.slice(row or 0, 1 if row is not None and agreement >= _AGREES else 0)
    ids = rows["segment_id"].to_pylist()
    for place, stage, reason, detail in _rejects(plan, corpus, ids, sorted(uris))[:_SHOWN]:
        _refuse(found, f"{corpus}: {place}", stage, reason, detail)
    if not found.lines and ids:
        found.verdict = "names several segments"
        shown = ", ".join(place_text(row) for row in rows.slice(0, _SHOWN).to_pylist())
        found.lines.append(("prepare", f"{corpus}: {len(ids)} segments are of {name.raw}, such as "
                            f"{shown}; name one"))  # fmt: skip


def _rejects(
    plan: Plan, corpus: str, ids: Sequence[str], uris: Sequence[str] = ()
) -> list[tuple[str, str, str, str | None]]:
    """Row id, stage, reason and detail of rejects before the embeddings.

    Args:
        plan: the run's.
        corpus: whose.
        ids: of rows or segments.
        uris: of recordings: what was found in them, or rows of lists whose detail names them.
    """
    stages = [next(one for one in plan.prepare() if one.subject == corpus).rejects_folder()]
    if corpus in plan.recognisers:
        stages += [one.rejects_folder() for one in plan.transcribe() if one.subject == corpus]
    wanted = pc.field("row_id").isin(pa.array(ids, pa.string()))
    for uri in uris:
        wanted |= pc.starts_with(pc.field("row_id"), f"{uri}#")
        wanted |= pc.match_substring(pc.field("detail"), f"/{uri}:")
    found = [
        row
        for folder in stages
        if exists(f"{folder}/_manifest.json", plan.run.storage)
        for row in read_matching(plan, folder, REJECT, wanted).to_pylist()
    ]
    return [(row["row_id"], row["stage"], row["reason"], row["detail"]) for row in found]


def _rows_of_text(plan: Plan, corpus: str, text: str) -> tuple[list[str], list[str]]:
    """Rows of a text corpus that are this text or hold it as a sentence, and that row's sentences.

    Its files are read once more: rejects hold no text.
    """
    stage = next(one for one in plan.prepare() if one.subject == corpus)
    if not isinstance(stage, Prepare) or not text:
        return [], []
    cut = plan.run.config.corpora[corpus].segment == "sentences"
    base, rows = base_of(stage.sources), []
    sentences: list[str] = []
    for index, file, _ in stage.files:
        for batch in read_batches(file, stage.sources[index], plan.run.storage):
            for number, part, pieces in _parts(batch.rows, text, cut):
                place = f"{file.uri.removeprefix(base)}#{number}"
                rows += [place] * (part is None) + [f"{place}.{part or 0}"]
                sentences = sentences or pieces
    return rows, sentences


def _parts(
    rows: pa.RecordBatch, text: str, cut: bool
) -> Iterator[tuple[int, int | None, list[str]]]:
    """Row number; part (None: the whole row); and its sentences, where there are several."""
    columns = (rows.column(name).to_pylist() for name in ("row", "lang_raw", "text"))
    for number, lang_raw, raw in zip(*columns, strict=True):
        whole = normalise(raw)
        if whole == text:
            pieces = split_sentences(whole, canonical_language(lang_raw) or lang_raw) if cut else []
            yield number, None, pieces if len(pieces) > 1 else []
        elif cut and text in whole:
            pieces = split_sentences(whole, canonical_language(lang_raw) or lang_raw)
            yield from ((number, part, []) for part, one in enumerate(pieces) if one == text)


def _nearest(plan: Plan, corpora: Sequence[str], name: Name, found: Located) -> None:
    """A line about a name that the run never saw, with the nearest spellings if they are cheap."""
    forgotten = [forgotten_of(plan.run, corpus) for corpus in corpora]
    if any(one.has_id(name.raw) or one.has_file(name.raw, "") for one in forgotten):
        found.lines.append(("corpus", f"{name.raw!r} was forgotten (mining forget)"))
        return
    near: list[str] = []
    manifests = [plan.segments(corpus) for corpus in corpora]
    if sum(manifest.rows for manifest in manifests) <= _SPELLED_ROWS:
        for manifest in manifests:
            folder = plan.run.dataset("segments", manifest.name, manifest.hash)
            for part in manifest.parts:
                table = read_part(
                    f"{folder}/{part.path}", SEGMENT, plan.run.storage, columns=["text"]
                )
                near += spellings(normalise(name.raw), table["text"].drop_null().to_pylist())
    near = spellings(normalise(name.raw), near, _SHOWN)
    line = f"{name.raw!r} is in none of {', '.join(corpora)}"
    if near:
        line += f"; spelled most like it: {', '.join(map(repr, near))}"
    found.lines.append(("corpus", line))
