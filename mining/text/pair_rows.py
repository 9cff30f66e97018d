"""Sentence pairs ready to be embedded: both sides' languages and normal forms, or why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.errors import InputError
from mining.contract.ids import text_segment_id
from mining.contract.languages import canonical_language
from mining.text.columnar import decoded
from mining.text.normalise import normalise
from mining.text.pair_files import PairFile
from mining.text.records import Damage

_MAX_VALUE_BYTES = 1 << 20
_LARGE = 1 << 16  # rows whose Python strings are held at a time


@dataclass(frozen=True, kw_only=True)
class PairColumns:
    """Which column holds what.

    Attributes:
        src_text: the source's text.
        tgt_text: the target's text.
        src_lang: the source's language; unused where ``langs`` is given.
        tgt_lang: the target's language.
        langs: language codes of all sources and all targets.
    """

    src_text: str = "src_text"
    tgt_text: str = "tgt_text"
    src_lang: str = "src_lang"
    tgt_lang: str = "tgt_lang"
    langs: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class PairRows:
    """N pairs and their M distinct sentences.

    Attributes:
        sentences: segment_id, lang, text: a sentence stands once for each language, in the order of
            language, length and id, whatever the order of the rows.
        src: int64 [N], the source's row in ``sentences``; -1: the row cannot be scored.
        tgt: int64 [N], the target's.
        damage: row -> why it cannot be scored.
        pool: int64, ascending: rows of ``sentences`` that are neighbours of all pairs of their language.
    """

    sentences: pa.Table
    src: NDArray[np.int64]
    tgt: NDArray[np.int64]
    damage: dict[int, Damage]
    pool: NDArray[np.int64]


def prepare_pairs(
    pairs: PairFile, columns: PairColumns, where: str, pool: Iterable[tuple[str, str]] = ()
) -> PairRows:
    """Normalise both sides of every row and collapse equal sentences.

    Rows that could not be read keep their reason; others may be ``unknown_language``,
    ``missing_value``, ``undecodable``, ``too_long`` (more than 1 MiB) or ``empty``.

    Args:
        pairs: of :func:`mining.text.pair_files.read_pair_files`.
        columns: which column holds what.
        where: for messages.
        pool: language and normal form of further sentences; may be some of the pairs'.

    Raises:
        InputError: a column is missing or holds no text.
    """
    table = pairs.table
    named = (columns.src_text, columns.tgt_text)
    texts = [_text_column(table, name, f"{where}: must have the texts") for name in named]
    codes: Sequence[Sequence[str | Damage]]
    if columns.langs is not None:
        codes = [[_language(code)] * table.num_rows for code in columns.langs]
    else:
        named = (columns.src_lang, columns.tgt_lang)
        what = f"{where}: must have the languages, given for all rows or"
        codes = [_languages(_text_column(table, name, what)) for name in named]
    damage = dict(pairs.damage)
    places: dict[tuple[str, str], int] = {}
    sides = np.full((2, table.num_rows), -1, dtype=np.int64)
    row = 0
    for start in range(0, table.num_rows, _LARGE):
        some = [decoded(text.slice(start, _LARGE), _MAX_VALUE_BYTES) for text in texts]
        for values in zip(*some, strict=True):
            found = [_sentence(codes[side][row], values[side], "source" if side == 0 else "target")
                     for side in (0, 1)]  # fmt: skip
            bad = next((one for one in found if isinstance(one, Damage)), None)
            if row not in damage and bad is not None:
                damage[row] = bad
            if row not in damage:
                for side, one in enumerate(found):
                    if not isinstance(one, Damage):
                        sides[side, row] = places.setdefault(one, len(places))
            row += 1
    widening = [places.setdefault(one, len(places)) for one in pool]
    sentences, order = _sorted(list(places))
    src, tgt = (np.where(side < 0, -1, order[side]) if order.size else side for side in sides)
    added = np.unique(order[np.array(widening, np.int64)])
    return PairRows(sentences=sentences, src=src, tgt=tgt, damage=damage, pool=added)


def _sentence(lang: str | Damage, raw: str | Damage | None, side: str) -> tuple[str, str] | Damage:
    """Language and normal form."""
    if isinstance(lang, Damage):
        return Damage(lang.reason, f"{side}: {lang.detail}")
    if raw is None:
        return Damage("missing_value", f"{side} is missing")
    if isinstance(raw, Damage):
        return Damage(raw.reason, f"{side}: {raw.detail}")
    text = normalise(raw)
    return (lang, text) if text else Damage("empty", f"{side}: nothing visible")


def _sorted(found: list[tuple[str, str]]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Sentences in their order, and the place of each of ``found`` in it."""
    ids = [text_segment_id(lang, text) for lang, text in found]
    keys = [(lang, len(text), name) for (lang, text), name in zip(found, ids, strict=True)]
    order = sorted(range(len(found)), key=keys.__getitem__)
    place = np.empty(len(found), dtype=np.int64)
    place[order] = np.arange(len(found))
    return pa.table(
        {
            "segment_id": pa.array([ids[at] for at in order], pa.string()),
            "lang": pa.array([found[at][0] for at in order], pa.string()),
            "text": pa.array([found[at][1] for at in order], pa.string()),
        }
    ), place


def _language(code: str | None) -> str | Damage:
    if not code:
        return Damage("unknown_language", "no language")
    return canonical_language(code) or Damage("unknown_language", code)


def _languages(column: pa.ChunkedArray) -> list[str | Damage]:
    raw = decoded(column, _MAX_VALUE_BYTES)
    known: dict[str | None, str | Damage] = {}
    found: list[str | Damage] = []
    for code in raw:
        if isinstance(code, Damage):
            found.append(code)
            continue
        if code not in known:
            known[code] = _language(code)
        found.append(known[code])
    return found


def _text_column(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        there = ", ".join(map(repr, table.column_names))
        raise InputError(
            f"{what} in a column {name!r}, but the columns are {there}; name the right one"
        )
    column = table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise InputError(f"{what} in a column {name!r}, but that holds {kind}; name one of text")
    return column
