"""Gold: which segments mean the same.

A gold table has the columns ``meaning_id``, ``lang``, ``text`` and, if wanted, ``modality``
(``text`` unless given) and ``segment_id``. Rows that share a meaning_id are translations of each
other; several rows of one language are alternatives, and any of them is right.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.ids import text_segment_id
from mining.contract.languages import canonical_language
from mining.contract.schemas import SPEECH, TEXT
from mining.io.filesystem import COMPRESSED_SUFFIXES, Storage, open_decompressed
from mining.text.normalise import normalise

GOLD = pa.schema(
    [
        pa.field("meaning_id", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("segment_id", pa.string(), nullable=False),
    ],
    metadata={"mining.schema": "gold", "mining.schema_version": "1"},
)
EVERY = "*"  # PairKey: pooled over languages


@dataclass(frozen=True, kw_only=True, order=True)
class PairKey:
    """What is mined against what; a language may be ``*``: pooled over language pairs."""

    src_modality: str = TEXT
    tgt_modality: str = TEXT
    src_lang: str
    tgt_lang: str

    @property
    def name(self) -> str:
        """``deu-eng``; with the modalities in front unless both are text."""
        langs = f"{self.src_lang}-{self.tgt_lang}"
        if (self.src_modality, self.tgt_modality) == (TEXT, TEXT):
            return langs
        return f"{self.src_modality}-{self.tgt_modality} {langs}"


@dataclass(frozen=True, kw_only=True, eq=False)
class PairGold:
    """Gold of one language pair: G meanings that both sides have.

    Meanings that share a segment (the same sentence twice in a corpus) are one.

    Attributes:
        meanings: string [G], the least meaning_id of each.
        src_ids: string [S], the source segments of all meanings; ``src_gold`` int64 [S] says whose.
        tgt_ids: string [T], the same of the target side; ``tgt_gold`` int64 [T].
    """

    meanings: tuple[str, ...]
    src_ids: pa.StringArray
    src_gold: NDArray[np.int64]
    tgt_ids: pa.StringArray
    tgt_gold: NDArray[np.int64]

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
        segments of any corpus that holds the same sentence.

    Raises:
        InputError: if a column is missing, a language is no code, or a row of speech has no
            segment_id.
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


def pair_gold(gold: pa.Table, key: PairKey) -> PairGold:
    """The gold of one language pair out of a GOLD table."""
    source = _population(gold, key.src_modality, key.src_lang)
    target = _population(gold, key.tgt_modality, key.tgt_lang)
    shared = np.intersect1d(_column(source, "meaning_id"), _column(target, "meaning_id"))
    values = pa.array(shared.tolist(), pa.string())
    sides = []
    for side in (source, target):
        meaning = pc.index_in(side["meaning_id"], value_set=values)
        kept = pc.is_valid(meaning)
        ids = side["segment_id"].filter(kept).combine_chunks().dictionary_encode()
        sides.append((meaning.filter(kept).to_numpy().astype(np.int64), ids))
    (src_meaning, src), (tgt_meaning, tgt) = sides
    src_codes, tgt_codes = src.indices.to_numpy(), tgt.indices.to_numpy()
    label = _merged(
        np.concatenate([src_meaning, tgt_meaning]),
        np.concatenate([src_codes, tgt_codes + len(src.dictionary)]).astype(np.int64),
        len(shared),
    )
    kept_labels, index = np.unique(label, return_inverse=True)
    src_gold = np.zeros(len(src.dictionary), dtype=np.int64)
    tgt_gold = np.zeros(len(tgt.dictionary), dtype=np.int64)
    src_gold[src_codes], tgt_gold[tgt_codes] = index[src_meaning], index[tgt_meaning]
    return PairGold(
        meanings=tuple(shared[kept_labels].tolist()),
        src_ids=src.dictionary,
        src_gold=src_gold,
        tgt_ids=tgt.dictionary,
        tgt_gold=tgt_gold,
    )


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


def _population(gold: pa.Table, modality: str, lang: str) -> pa.Table:
    return gold.filter(pc.and_(pc.equal(gold["modality"], modality), pc.equal(gold["lang"], lang)))


def _column(table: pa.Table, name: str) -> NDArray[np.object_]:
    return np.array(table[name].to_pylist(), dtype=object)


def _look_up(
    ids: pa.Array | pa.ChunkedArray, known: pa.Array, values: NDArray[np.int64]
) -> NDArray[np.int64]:
    found = pc.fill_null(pc.index_in(ids, value_set=known), -1).to_numpy()
    looked_up: NDArray[np.int64] = np.concatenate([values, [-1]])[found]  # -1 takes the last
    return looked_up


def _gold_row(row: dict[str, object], where: str) -> dict[str, str]:
    code, modality = str(row["lang"] or ""), str(row.get("modality") or TEXT)
    lang = canonical_language(code)
    if lang is None:
        raise InputError(f"{where}: lang must be a language code, but is {code!r}; mend the row")
    if modality not in (TEXT, SPEECH):
        raise InputError(f"{where}: modality must be text or speech, but is {modality!r}")
    if row["meaning_id"] in (None, ""):
        raise InputError(f"{where}: meaning_id must not be empty; give it one or remove the row")
    segment_id = str(row.get("segment_id") or "")
    if not segment_id:
        text = normalise(str(row.get("text") or ""))
        if modality == SPEECH or not text:
            raise InputError(
                f"{where}: gold must have a text (or, for speech, a segment_id), but has none; "
                "add it or remove the row"
            )
        segment_id = text_segment_id(lang, text)
    meaning = str(row["meaning_id"])
    return {"meaning_id": meaning, "lang": lang, "modality": modality, "segment_id": segment_id}


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
                parse_options=pa.csv.ParseOptions(delimiter="\t", quote_char=False),
                convert_options=pa.csv.ConvertOptions(
                    column_types={n: pa.string() for n in (*GOLD.names, "text", "source_uri")},
                    strings_can_be_null=False,
                ),
            )
        if name.endswith(".jsonl"):
            return pa.json.read_json(io.BytesIO(data))
    except pa.ArrowInvalid as error:
        raise InputError(f"{uri}: must be a table of gold, but cannot be read: {error}") from None
    raise InputError(f"{uri}: gold must be a .parquet, .tsv or .jsonl file; convert it")
