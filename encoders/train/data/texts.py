"""Pairs of sentences that mean the same, out of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoders.dual.items import Written
from encoders.train.data.config import Texts
from encoders.train.data.pairs import TrainingPair, sentence_keys
from encoders.train.data.screen import Screen, language_codes, normal_forms
from encoders.train.data.tables import ROW, Refuse, read_table, table_files
from mining.contract.uris import canonical_uri

_COLUMN = "column:"
_SIDES = ("source", "target")


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One side of N pairs.

    Attributes:
        texts: strings [N] in one chunk, normal forms.
        langs: int32 [N], an index into ``lang_names``.
        lang_names: ISO 639-3 codes, sorted.
        keys: int64 [N] of :func:`sentence_keys`.
    """

    texts: pa.Array
    langs: NDArray[np.int32]
    lang_names: tuple[str, ...]
    keys: NDArray[np.int64]

    def written(self, row: int) -> Written:
        """One text."""
        return Written(text=self.texts[row].as_py(), lang=self.lang_names[self.langs[row]])

    def filter(self, kept: NDArray[np.bool_]) -> Side:
        """Some of the rows."""
        return Side(
            texts=self.texts.filter(pa.array(kept)),
            langs=self.langs[kept],
            lang_names=self.lang_names,
            keys=self.keys[kept],
        )


def side_of(texts: pa.ChunkedArray, langs: pa.ChunkedArray) -> Side:
    """Texts with their keys."""
    names = sorted(set(langs.unique().to_pylist()))
    return Side(
        texts=texts.cast(pa.large_string()).combine_chunks(),
        langs=pc.index_in(langs, value_set=pa.array(names, pa.string()))
        .to_numpy()
        .astype(np.int32),
        lang_names=tuple(names),
        keys=sentence_keys(texts, langs),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TextPairs:
    """A source of text pairs; see :class:`encoders.train.data.pairs.PairSource`."""

    name: str
    source: Side
    target: Side
    kind: Literal["text"] = "text"

    @property
    def langs(self) -> NDArray[np.int32]:
        """Language of the source side of each row: int32 [N]."""
        return self.source.langs

    @property
    def lang_names(self) -> tuple[str, ...]:
        """ISO 639-3 codes."""
        return self.source.lang_names

    def __len__(self) -> int:
        return len(self.langs)

    def pair(self, row: int) -> TrainingPair:
        """One pair."""
        target = self.target.written(row)
        return TrainingPair(
            source=self.source.written(row),
            target=target,
            source_key=int(self.source.keys[row]),
            target_key=int(self.target.keys[row]),
            teacher_text=target,
        )

    def filter(self, kept: NDArray[np.bool_]) -> TextPairs:
        """Some of the pairs."""
        return TextPairs(
            name=self.name, source=self.source.filter(kept), target=self.target.filter(kept)
        )


def read_texts(
    name: str, texts: Texts, screen: Screen, unreadable: Refuse, refuse: Refuse
) -> tuple[TextPairs, int]:
    """The pairs of some tables.

    Rejects: ``unknown_language``, ``empty`` (a side has no letter or digit), ``wrong_script``,
    ``benchmark_overlap``.

    Args:
        name: in the config.
        texts: where they are.
        screen: of texts.
        unreadable: takes row id, reason and detail of each record that cannot be read.
        refuse: takes those of each row that is refused.

    Returns:
        The pairs, and how many rows could be read.

    Raises:
        InputError: there is no table, or it lacks a column.
    """
    given = {"source": texts.source_lang, "target": texts.target_lang}
    columns = {"source": texts.source, "target": texts.target}
    columns |= {
        f"{side}_lang": code.removeprefix(_COLUMN)
        for side, code in given.items()
        if code.startswith(_COLUMN)
    }
    wanted = sorted(set(columns.values()))
    fields = [*_SIDES, *(f"{side}_lang" for side in _SIDES)]
    parts = [pa.table({field: pa.array([], pa.string()) for field in fields})]
    rows = 0
    for uri in table_files(canonical_uri(texts.uri), f"data.texts.{name}.uri"):
        for table in read_table(uri, wanted, wanted, unreadable):
            rows += table.num_rows
            codes = {
                side: language_codes(
                    table[columns[f"{side}_lang"]]
                    if code.startswith(_COLUMN)
                    else pa.array([code] * table.num_rows, pa.string())
                )
                for side, code in given.items()
            }
            forms = {side: normal_forms(table[columns[side]]) for side in _SIDES}
            places = [f"{uri}#{row}" for row in table[ROW].to_pylist()]
            kept = pa.array(_screened(forms, codes, places, screen, refuse), pa.int64())
            found = [forms[side].take(kept) for side in _SIDES]
            found += [codes[side].take(kept) for side in _SIDES]
            parts.append(pa.table(found, names=fields))
    table = pa.concat_tables(parts)
    sides = [side_of(table[side], table[f"{side}_lang"]) for side in _SIDES]
    return TextPairs(name=name, source=sides[0], target=sides[1]), rows


def _screened(
    forms: dict[str, pa.StringArray],
    codes: dict[str, pa.StringArray],
    places: list[str],
    screen: Screen,
    refuse: Refuse,
) -> list[int]:
    """Positions of the rows that are kept."""
    faults: dict[int, tuple[str, str]] = {}
    for side in _SIDES:
        for row, (reason, detail) in screen.faults(forms[side], codes[side]).items():
            faults.setdefault(row, (reason, f"{side}: {detail}"))
        for row in np.flatnonzero(
            pc.equal(forms[side], "").to_numpy(zero_copy_only=False)
        ).tolist():
            faults[row] = ("empty", f"{side} has no letter or digit")
        for row in np.flatnonzero(
            pc.equal(codes[side], "").to_numpy(zero_copy_only=False)
        ).tolist():
            faults[row] = ("unknown_language", f"of the {side}")
    for row, (reason, detail) in sorted(faults.items()):
        refuse(places[row], reason, detail)
    return [row for row in range(len(places)) if row not in faults]
