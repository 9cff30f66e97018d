"""Where a text corpus is, in which format, and which column means what."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from mining.contract.errors import ConfigError, InputError
from mining.io.filesystem import Storage, compressed_suffix, glob_regex, list_glob
from mining.io.forgotten import Forgotten

FORMATS = ("lines", "tsv", "csv", "jsonl", "parquet")
LANG = "{lang}"
_BY_SUFFIX = {
    ".txt": "lines",
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """Where the text of a corpus is and how to read it.

    The language comes from exactly one of three places: ``lang``, ``lang_column``, or a ``{lang}``
    in ``uri``.

    Attributes:
        uri: a file, a folder or a pattern (:func:`mining.io.filesystem.list_glob`), which may hold
            ``{lang}`` within one path component: ``"data/{lang}/*.txt.gz"``.
        format: one of "lines", "tsv", "csv", "jsonl", "parquet"; "auto" goes by the suffix of each
            file (.txt .tsv .csv .jsonl .ndjson .parquet, all but Parquet also with .gz .zst .bz2
            .xz).
        header: whether the first record of a tsv or csv file names its columns.
        quoting: whether double quotes enclose fields (RFC 4180); None is yes for csv and no for
            tsv, where a quote is a character of the text.
        text: column of the text: a name, or a 0-based position where there is no header. Unused by
            "lines".
        id: column of the user's own id, which becomes ``doc_id``; None where there is none.
        lang: language code of the whole corpus.
        lang_column: column of the language code.
        max_record_bytes: a longer record is refused as ``too_long`` and never held in memory. 1 MiB
            is three hundred pages, many times any sentence.
        forgotten: ids whose rows are passed over, as if the files did not hold them.
    """

    uri: str
    format: str = "auto"
    header: bool = True
    quoting: bool | None = None
    text: str | int = "text"
    id: str | int | None = None
    lang: str | None = None
    lang_column: str | int | None = None
    max_record_bytes: int = 1 << 20
    forgotten: Forgotten = field(default_factory=Forgotten)

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            ConfigError: naming the field.
        """
        if self.format not in ("auto", *FORMATS):
            raise ConfigError(
                f"{self.uri}: format must be one of auto, {', '.join(FORMATS)}, but is "
                f"{self.format!r}"
            )
        given = [self.lang is not None, self.lang_column is not None, LANG in self.uri]
        if sum(given) != 1:
            raise ConfigError(
                f"{self.uri}: the language must come from exactly one of a code, a column and a "
                f"{LANG} in the URI, but comes from {sum(given)}; name one"
            )
        if self.max_record_bytes < 1:
            raise ConfigError(
                f"{self.uri}: max_record_bytes must be 1 or more, but is {self.max_record_bytes}"
            )

    @property
    def base(self) -> str:
        """The folder that all files of the source lie in, with its slash.

        ``source_uri`` holds what is after it, so that results do not depend on where a corpus lies.
        """
        fixed = re.split(r"[*?\[]|" + re.escape(LANG), self.uri, maxsplit=1)[0]
        return fixed[: fixed.rfind("/") + 1]

    def columns(self) -> dict[str, str | int]:
        """The columns to read, by role: "text", and "id" and "lang" where they are columns."""
        roles = {"text": self.text, "id": self.id, "lang": self.lang_column}
        return {role: column for role, column in roles.items() if column is not None}


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """One file of a source.

    Attributes:
        uri: where it is, in the spelling of the source's URI.
        format: one of :data:`FORMATS`.
        lang: language code given by the source or by the path; None if a column holds it.
    """

    uri: str
    format: str
    lang: str | None


def list_files(source: TextSource, storage: Storage) -> list[TextFile]:
    """The files of a source, sorted by URI.

    Raises:
        InputError: no file matches, or a suffix is unknown.
        ConfigError: a column is given in a way that the format cannot have.
    """
    uris = list_glob(source.uri.replace(LANG, "*"), storage)
    if not uris:
        raise InputError(
            f"{source.uri}: must name at least one file, but names none; check the path"
        )
    placeholder = _placeholder(source.uri)
    files = []
    for uri in uris:
        match = placeholder.fullmatch(uri)
        lang = match.group("lang") if match and LANG in source.uri else source.lang
        if LANG in source.uri and match is None:
            continue  # the same {lang} twice, with two values
        files.append(TextFile(uri=uri, format=_format_of(uri, source), lang=lang))
    if not files:
        raise InputError(
            f"{source.uri}: must name at least one file, but names none; check the path"
        )
    return files


def _placeholder(pattern: str) -> re.Pattern[str]:
    """The pattern with its first ``{lang}`` as a group, further ones equal to it."""
    first, *rest = (glob_regex(part) for part in pattern.split(LANG))
    if not rest:
        return re.compile(".*")
    return re.compile(first + "(?P<lang>[^/]+?)" + "(?P=lang)".join(rest), flags=re.DOTALL)


def _format_of(uri: str, source: TextSource) -> str:
    compressed = compressed_suffix(uri)
    suffix = os.path.splitext(uri[: len(uri) - len(compressed)])[1].lower()
    chosen = source.format if source.format != "auto" else _BY_SUFFIX.get(suffix)
    if chosen is None:
        raise InputError(
            f"{uri}: the suffix must be one of {' '.join(_BY_SUFFIX)}, but is {suffix!r}; "
            "set format"
        )
    if chosen == "parquet" and compressed:
        raise InputError(
            f"{uri}: a Parquet file must not be compressed as a whole, but ends in {compressed}; "
            "unpack it"
        )
    _check_columns(uri, chosen, source)
    return chosen


def _check_columns(uri: str, chosen: str, source: TextSource) -> None:
    named = {role: column for role, column in source.columns().items() if isinstance(column, str)}
    if chosen == "lines":
        if source.id is not None or source.lang_column is not None:
            raise ConfigError(
                f"{uri}: plain lines have no columns; remove id and lang, or set format"
            )
    elif chosen in ("tsv", "csv"):
        if named and not source.header:
            role, column = next(iter(named.items()))
            raise ConfigError(
                f"{uri}: without a header the {role} column must be a 0-based position, but is "
                f"{column!r}; give its position"
            )
    elif len(named) < len(source.columns()):
        raise ConfigError(f"{uri}: a column of a {chosen} file must be a name, but is a position")
