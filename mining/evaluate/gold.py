"""Gold: which segments mean the same.

A gold table has the columns ``meaning_id``, ``lang``, ``text`` and, if wanted, ``modality``
(``text`` unless given) and ``segment_id``. Rows that share a meaning_id are translations of each
other; several rows of one language are alternatives, and any of them is right.

A row of speech has ``source_uri`` (relative to its corpus' base, as segments name it), ``start_s`` and
``end_s`` in place of a text, both empty for a whole recording; ``channel`` (0-based) and ``speaker``
if wanted. :func:`mining.evaluate.locate.locate_speech` finds its segments.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.ids import content_id, text_segment_id
from mining.contract.languages import canonical_language
from mining.contract.schemas import SPEECH, TEXT
from mining.io.filesystem import COMPRESSED_SUFFIXES, Storage, open_decompressed
from mining.text.normalise import normalise

GOLD = pa.schema(
    [
        pa.field("meaning_id", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        # Of speech that is not located yet, an id of its place, which no segment has.
        pa.field("segment_id", pa.string(), nullable=False),
        # Since version 2. Of speech that is known by its place:
        pa.field("source_uri", pa.string()),
        pa.field("channel", pa.int16()),  # null: any
        pa.field("start_s", pa.float64()),  # null, like end_s: the whole recording
        pa.field("end_s", pa.float64()),
        pa.field("speaker", pa.string()),
        # Once it is located, a row for each segment that matches:
        pa.field("best", pa.bool_()),  # the best match of its place; null: not located
        pa.field("start_error_ms", pa.float64()),  # null: not located, or a whole recording
        pa.field("end_error_ms", pa.float64()),
    ],
    metadata={"mining.schema": "gold", "mining.schema_version": "2"},
)
_READ_AS_STRING = (*GOLD.names[:9], "text")
_MAX_CHANNEL = 255
EVERY = "*"  # PairKey: pooled over language pairs
SAME = "="  # PairKey: pooled over languages, each with itself, as speech with its own transcript


@dataclass(frozen=True, kw_only=True, order=True)
class PairKey:
    """What is mined against what; languages may be ``*`` or ``=``: pooled ones."""

    src_modality: str = TEXT
    tgt_modality: str = TEXT
    src_lang: str
    tgt_lang: str

    @property
    def name(self) -> str:
        """``deu-eng``; with the modalities in front unless both are text."""
        if (self.src_modality, self.tgt_modality) == (TEXT, TEXT):
            return self.langs
        return f"{self.src_modality}-{self.tgt_modality} {self.langs}"

    @property
    def langs(self) -> str:
        """``deu-eng``, as tasks, folders and files name it."""
        return f"{self.src_lang}-{self.tgt_lang}"


@dataclass(frozen=True, kw_only=True, eq=False)
class PairGold:
    """Gold of one language pair: G meanings that both sides have.

    Meanings that share a segment (the same sentence twice in a corpus) are one.

    Attributes:
        meanings: string [G], the least meaning_id of each.
        src_ids: string [S], the source segments of all meanings; ``src_gold`` int64 [S] says whose.
        tgt_ids: string [T], the same of the target side; ``tgt_gold`` int64 [T].
        speakers: string [G], the least speaker of each meaning's sources, or else of its targets, empty
            where none is named.
        src_query: bool [S], whether the source is searched for: of the segments that match a stretch
            of speech only the best, so that each recording asks once.
        src_error_ms: float64 [S, 2], how far start and end are from the gold's; NaN: no gold times.
            ``tgt_error_ms`` float64 [T, 2].
    """

    meanings: tuple[str, ...]
    src_ids: pa.StringArray
    src_gold: NDArray[np.int64]
    tgt_ids: pa.StringArray
    tgt_gold: NDArray[np.int64]
    speakers: tuple[str, ...]
    src_query: NDArray[np.bool_]
    src_error_ms: NDArray[np.float64]
    tgt_error_ms: NDArray[np.float64]

    @property
    def units(self) -> tuple[tuple[str, str], ...]:
        """What a resample draws, [G]: the speaker of each meaning if it has one, else the meaning."""
        return tuple(
            ("speaker", speaker) if speaker else ("meaning", meaning)
            for meaning, speaker in zip(self.meanings, self.speakers, strict=True)
        )

    def queries(self, segment_ids: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """Meaning of each source segment that is searched for, -1 for all others: int64 [N]."""
        return _look_up(segment_ids, self.src_ids, np.where(self.src_query, self.src_gold, -1))

    def source_errors_ms(self, segment_ids: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
        """How far start and end of sources are from the gold's: float64 [N, 2], NaN: unknown."""
        return _rows_of(segment_ids, self.src_ids, self.src_error_ms)

    def target_errors_ms(self, segment_ids: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
        """How far start and end of targets are from the gold's: float64 [N, 2], NaN: unknown."""
        return _rows_of(segment_ids, self.tgt_ids, self.tgt_error_ms)

    def of_sources(self, segment_ids: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """Meaning of each source segment, -1 where it has none: int64 [N]."""
        return _look_up(segment_ids, self.src_ids, self.src_gold)

    def of_targets(self, segment_ids: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """Meaning of each target segment, -1 where it has none: int64 [N]."""
        return _look_up(segment_ids, self.tgt_ids, self.tgt_gold)


def read_gold(uri: str, storage: Storage) -> pa.Table:
    """Read a gold file (.parquet, .tsv or .jsonl; also compressed) and find its segment ids.

    Returns:
        A GOLD table. A text's id is that of its language and its normalised text, so it meets the
        segments of any corpus that holds the same sentence. A segment_id that is given wins.

    Raises:
        InputError: if a column is missing, a language is no code, or a row has neither text nor
            place nor segment_id.
    """
    table = _read_table(uri, storage)
    for name in ("meaning_id", "lang"):
        if name not in table.column_names:
            raise InputError(
                f"{uri}: gold must have the columns meaning_id, lang and text, but {name!r} is not "
                f"among {table.column_names}; add it"
            )
    rows = table.to_pylist()
    return pa.Table.from_pylist(
        [_gold_row(row, f"{uri}: row {number}") for number, row in enumerate(rows)], schema=GOLD
    )


def pair_gold(gold: pa.Table, key: PairKey, tgt_gold: pa.Table | None = None) -> PairGold:
    """The gold of one language pair out of a GOLD table.

    Args:
        gold: a GOLD table; its speech is located in the corpora of the source side.
        key: the language pair.
        tgt_gold: the same gold, located in the corpora of the target side; None: ``gold``.
    """
    source = population(gold, key.src_modality, key.src_lang)
    target = population(gold if tgt_gold is None else tgt_gold, key.tgt_modality, key.tgt_lang)
    shared = np.intersect1d(_column(source, "meaning_id"), _column(target, "meaning_id"))
    values = pa.array(shared.tolist(), pa.string())
    (src_meaning, src_rows, src), (tgt_meaning, tgt_rows, tgt) = (
        _encoded(side, values) for side in (source, target)
    )
    src_codes, tgt_codes = src.indices.to_numpy(), tgt.indices.to_numpy()
    label = _merged(
        np.concatenate([src_meaning, tgt_meaning]),
        np.concatenate([src_codes, tgt_codes + len(src.dictionary)]).astype(np.int64),
        len(shared),
    )
    kept_labels, index = np.unique(label, return_inverse=True)
    src_gold = np.zeros(len(src.dictionary), dtype=np.int64)
    tgt_meanings = np.zeros(len(tgt.dictionary), dtype=np.int64)
    src_gold[src_codes], tgt_meanings[tgt_codes] = index[src_meaning], index[tgt_meaning]
    return PairGold(
        meanings=tuple(shared[kept_labels].tolist()),
        src_ids=src.dictionary,
        src_gold=src_gold,
        tgt_ids=tgt.dictionary,
        tgt_gold=tgt_meanings,
        speakers=tuple(
            source or target
            for source, target in zip(
                _speakers(src_rows, index[src_meaning], len(kept_labels)),
                _speakers(tgt_rows, index[tgt_meaning], len(kept_labels)),
                strict=True,
            )
        ),
        src_query=_queries(src_rows, src_codes, len(src.dictionary)),
        src_error_ms=_errors_ms(src_rows, src_codes, len(src.dictionary)),
        tgt_error_ms=_errors_ms(tgt_rows, tgt_codes, len(tgt.dictionary)),
    )


def population(gold: pa.Table, modality: str, lang: str) -> pa.Table:
    """The rows of one modality and language."""
    return gold.filter(pc.and_(pc.equal(gold["modality"], modality), pc.equal(gold["lang"], lang)))


def _encoded(
    side: pa.Table, meanings: pa.Array
) -> tuple[NDArray[np.int64], pa.Table, pa.DictionaryArray]:
    """Rows of some meanings: place of the meaning, the rows themselves, their segment ids."""
    meaning = pc.index_in(side["meaning_id"], value_set=meanings)
    kept = pc.is_valid(meaning)
    rows = side.filter(kept)
    ids = rows["segment_id"].combine_chunks().dictionary_encode()
    return meaning.filter(kept).to_numpy().astype(np.int64), rows, ids


def _speakers(rows: pa.Table, meaning: NDArray[np.int64], golds: int) -> tuple[str, ...]:
    """Least speaker of each meaning, empty where none is named."""
    found = [""] * golds
    if "speaker" in rows.column_names:
        for place, speaker in zip(meaning.tolist(), rows["speaker"].to_pylist(), strict=True):
            if speaker and (not found[place] or speaker < found[place]):
                found[place] = speaker
    return tuple(found)


def _queries(rows: pa.Table, codes: NDArray[np.integer], segments: int) -> NDArray[np.bool_]:
    """Whether any row says that its segment is searched for: bool [segments]."""
    asked = np.zeros(segments, dtype=np.bool_)
    if "best" in rows.column_names:
        codes = codes[pc.fill_null(rows["best"], True).to_numpy()]
    asked[codes] = True
    return asked


def _errors_ms(rows: pa.Table, codes: NDArray[np.integer], segments: int) -> NDArray[np.float64]:
    """Least errors of start and end that any row says of its segment: float64 [segments, 2]."""
    errors = np.full((segments, 2), np.nan)
    for column, name in enumerate(("start_error_ms", "end_error_ms")):
        if name in rows.column_names:
            said = pc.fill_null(rows[name], math.nan).to_numpy()
            np.fmin.at(errors[:, column], codes, said)
    return errors


def _merged(
    meanings: NDArray[np.int64], segments: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Least meaning of each meaning's connected component: int64 [count]."""
    label = np.arange(count)
    while True:
        of_segment = np.full(int(segments.max(initial=-1)) + 1, count, dtype=np.int64)
        np.minimum.at(of_segment, segments, label[meanings])
        lower = label.copy()
        np.minimum.at(lower, meanings, of_segment[segments])
        if np.array_equal(lower, label):
            return label
        label = lower


def _column(table: pa.Table, name: str) -> NDArray[np.object_]:
    return np.array(table[name].to_pylist(), dtype=object)


def _look_up(
    ids: pa.Array | pa.ChunkedArray, known: pa.Array, values: NDArray[np.int64]
) -> NDArray[np.int64]:
    found = pc.fill_null(pc.index_in(ids, value_set=known), -1).to_numpy()
    looked_up: NDArray[np.int64] = np.concatenate([values, [-1]])[found]  # -1 takes the last
    return looked_up


def _rows_of(
    ids: pa.Array | pa.ChunkedArray, known: pa.Array, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    place = _look_up(ids, known, np.arange(len(known)))
    rows: NDArray[np.float64] = np.concatenate([values, np.full((1, 2), np.nan)])[place]
    return rows


def _gold_row(row: Mapping[str, object], where: str) -> dict[str, object]:
    code, modality = str(row["lang"] or ""), str(row.get("modality") or TEXT)
    lang = canonical_language(code)
    if lang is None:
        raise InputError(f"{where}: lang must be a language code, but is {code!r}; mend the row")
    if modality not in (TEXT, SPEECH):
        raise InputError(f"{where}: modality must be text or speech, but is {modality!r}")
    if row["meaning_id"] in (None, ""):
        raise InputError(f"{where}: meaning_id must not be empty; give it one or remove the row")
    found: dict[str, object] = {
        "meaning_id": str(row["meaning_id"]),
        "lang": lang,
        "modality": modality,
        "segment_id": str(row.get("segment_id") or ""),
        "speaker": str(row.get("speaker") or "") or None,
    }
    if found["segment_id"]:
        return found
    if modality == SPEECH and row.get("source_uri"):
        place = _place(row, where)
        id_of_place = content_id("gold", *("" if v is None else str(v) for v in place.values()))
        return {**found, **place, "segment_id": id_of_place}
    text = normalise(str(row.get("text") or ""))
    if modality == SPEECH or not text:
        raise InputError(
            f"{where}: gold must have a text (or, for speech, a source_uri or a segment_id), but has "
            "none; add it or remove the row"
        )
    return {**found, "segment_id": text_segment_id(lang, text)}


def _place(row: Mapping[str, object], where: str) -> dict[str, object]:
    """Where a row's speech is: source_uri, channel, start_s, end_s."""
    start, end = (_number(row, name, where) for name in ("start_s", "end_s"))
    if (start is None) != (end is None) or (start is not None and not start < (end or 0.0)):
        raise InputError(
            f"{where}: start_s must lie before end_s, or both must be empty for a whole recording, "
            f"but they are {start} and {end}; mend the row"
        )
    channel = _number(row, "channel", where)
    if channel is not None and (channel != int(channel) or channel > _MAX_CHANNEL):
        raise InputError(
            f"{where}: channel must be a whole number below 256, but is {channel}; mend the row"
        )
    return {
        "source_uri": str(row["source_uri"]),
        "channel": None if channel is None else int(channel),
        "start_s": start,
        "end_s": end,
    }


def _number(row: Mapping[str, object], name: str, where: str) -> float | None:
    """A number of a row; None where it is empty (NaN, to some writers of Parquet)."""
    value = row.get(name)
    if value is None or value == "" or value != value:
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise InputError(
            f"{where}: {name} must be a number of 0 or more, but is {value!r}; mend the row"
        )
    return number


def _read_table(uri: str, storage: Storage) -> pa.Table:
    name = uri.lower()
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    with open_decompressed(uri, storage) as handle:
        data = handle.read()
    try:
        if name.endswith(".parquet"):
            return pq.read_table(pa.BufferReader(data))
        if name.endswith((".tsv", ".txt")):
            return pa.csv.read_csv(
                io.BytesIO(data),
                # its threads may outlive a program that ends at once, which then aborts
                read_options=pa.csv.ReadOptions(use_threads=False),
                parse_options=pa.csv.ParseOptions(delimiter="\t", quote_char=False),
                convert_options=pa.csv.ConvertOptions(
                    column_types={name: pa.string() for name in _READ_AS_STRING},
                    strings_can_be_null=False,
                ),
            )
        if name.endswith(".jsonl"):
            return pa.json.read_json(io.BytesIO(data))
    except pa.ArrowInvalid as error:
        raise InputError(f"{uri}: must be a table of gold, but cannot be read: {error}") from None
    raise InputError(f"{uri}: gold must be a .parquet, .tsv or .jsonl file; convert it")
