"""What a run is told: every field, its unit, range, and where its default comes from.

:class:`Config` holds what decides the result; :class:`Execution` what does not (workers, devices,
tile sizes). Only the first is hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mining.config.binding import setting
from mining.contract.languages import canonical_language
from mining.contract.model_ref import ModelRef

NONE = "none"  # threshold: keep all that are selected


@dataclass(frozen=True, kw_only=True)
class LangFrom:
    """Where a row's language stands: exactly one of the two.

    Attributes:
        column: name of the column that holds it.
        path: name of the placeholder in ``uri`` (``{lang}``) that holds it.
    """

    column: str | int | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        if (self.column is None) == (self.path is None):
            raise ValueError("lang must name either a column or a path placeholder")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of a TSV, CSV, JSONL or Parquet file, by name (or 0-based number without a header)."""

    text: str | int = "text"
    id: str | int | None = None


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One side's raw material.

    Attributes:
        modality: ``text`` (``speech`` is part of the contract, its reader is not written yet).
        format: how files are read; ``auto`` goes by suffix (.txt .tsv .csv .jsonl .parquet, each also
            .gz .zst .bz2 .xz).
        uri: file, folder or glob, or a list; any fsspec address. May hold one ``{lang}``.
        lang: a code, or where to find it.
        header: whether TSV and CSV files begin with a line of names.
        segment: ``sentences`` splits rows, ``none`` takes each row as one segment.
        min_chars: shorter segments are rejected, in characters after normalisation.
        max_chars: longer segments are rejected. Encoders here truncate at 512 tokens or fewer, about
            2,000 characters.
        langs: if given, rows of other languages are rejected.
        model: this corpus' own encoder; otherwise the run's.
    """

    uri: str | tuple[str, ...]
    lang: str | LangFrom
    modality: Literal["text", "speech"] = "text"
    format: Literal["auto", "lines", "tsv", "csv", "jsonl", "parquet"] = "auto"
    columns: Columns = field(default_factory=Columns)
    header: bool = True
    segment: Literal["none", "sentences"] = "none"
    min_chars: int = setting(default=1, low=1)
    max_chars: int = setting(default=2000, low=1)
    langs: tuple[str, ...] | None = None
    model: ModelRef | None = None

    def __post_init__(self) -> None:
        if not self.uris or not all(self.uris):
            raise ValueError("uri must not be empty")
        if self.langs == ():
            raise ValueError("langs must name at least one language, or be left out")
        for code in (self.lang, *(self.langs or ())):
            if isinstance(code, str) and canonical_language(code) is None:
                raise ValueError(f"{code!r} is not a language code (ISO 639-3, such as deu)")
        uris = (self.uri,) if isinstance(self.uri, str) else self.uri
        if isinstance(self.lang, LangFrom) and self.lang.path is not None:
            for uri in uris:
                if f"{{{self.lang.path}}}" not in uri:
                    raise ValueError(f"uri {uri!r} must hold the placeholder {{{self.lang.path}}}")
        if self.min_chars > self.max_chars:
            raise ValueError("min_chars must not exceed max_chars")

    @property
    def uris(self) -> tuple[str, ...]:
        """All addresses."""
        return (self.uri,) if isinstance(self.uri, str) else self.uri


@dataclass(frozen=True, kw_only=True)
class LangPairs:
    """Languages of each side; every source language is mined against every target language."""

    source: tuple[str, ...]
    target: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Which corpora are mined against which.

    Attributes:
        source: name of a corpus, or several.
        target: name of a corpus, or several.
        langs: ``all``: every source with every other target language, in both orders;
            ``all_unordered``: where one corpus stands on both sides, each pair once, in alphabetical
            order; a list such as ``[deu-eng]``; or two lists.
    """

    source: str | tuple[str, ...]
    target: str | tuple[str, ...]
    langs: Literal["all", "all_unordered"] | tuple[str, ...] | LangPairs = "all_unordered"

    def __post_init__(self) -> None:
        if not self.sources or not self.targets:
            raise ValueError("source and target must each name a corpus")
        if self.langs == ():
            raise ValueError("langs must name at least one language pair")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the source corpora."""
        return (self.source,) if isinstance(self.source, str) else self.source

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the target corpora."""
        return (self.target,) if isinstance(self.target, str) else self.target


@dataclass(frozen=True, kw_only=True)
class Mining:
    """Neighbours, margin and selection.

    Attributes:
        preset: ``laser`` or ``stopes``: that tool's rules; settings given beside it win.
        k: neighbours a side. 4 in Artetxe and Schwenk 2019, 16 in stopes.
        margin: ratio a/b, distance a-b or absolute a, where b is the mean similarity of both sides'
            k neighbours.
        select: which candidates become pairs.
        threshold: lowest margin score kept; ``none``: no limit; ``model``: from a calibration. Not
            given: the preset's, or else from a calibration.
        target_precision: take the calibrated threshold for this precision instead of best F1's.
        calibration: a ``calibration.json``; not given: the one beside the model's weights.
        score_max: highest margin score kept (stopes: 1.25 drops near-copies).
    """

    preset: Literal["laser", "stopes"] | None = None
    k: int | None = setting(default=None, low=1, high=1024)
    margin: Literal["ratio", "distance", "absolute"] | None = None
    select: Literal["forward", "backward", "intersection", "max", "union", "all"] | None = None
    threshold: float | Literal["model", "none"] | None = None
    target_precision: float | None = setting(default=None, low=0.01, high=0.999)
    score_max: float | None = None
    calibration: str | None = None


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """Evaluation sets whose sentences are refused, exact and near.

    Attributes:
        sets: names of shipped sketches, or files with one sentence a line.
    """

    sets: tuple[str, ...] = ("ntrex", "flores200-dev")


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Gold to judge the pairs against.

    Attributes:
        gold: table with columns meaning_id, lang, text: rows of one meaning_id are translations.
        resamples: bootstrap resamples of the 95 % intervals.
    """

    gold: str
    resamples: int = setting(default=1000, low=100, high=100000)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the work is done. Nothing here changes a result, so nothing here is hashed.

    Attributes:
        runner: Beam runner. DirectRunner is Beam's in-process runner.
        shards: work is dealt into this many Beam elements a phase; null: one per unit of work.
        threads: threads of torch and FAISS in a process; null: one per core. Vectors of large models
            may differ in the last bits between thread counts.
        tile_rows: rows a side of a k-NN tile; memory grows with it.
        backend: k-NN backend.
        device: ``auto`` takes a GPU if there is one.
        storage: fsspec options by protocol, e.g. ``{s3: {endpoint_url: ...}}``.
    """

    runner: str = "DirectRunner"
    shards: int | None = setting(default=None, low=1)
    threads: int | None = setting(default=None, low=1)
    tile_rows: int = setting(default=65536, low=16)
    backend: str = "faiss-flat"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    storage: Mapping[str, Mapping[str, Any]] = setting(default={})


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole run.

    Attributes:
        schema: version of this format.
        output: folder or object-store prefix for everything that is written.
        model: the encoder of every corpus that names none.
        partitions: parts of each dataset. A text's part is its id modulo this number.
    """

    schema: Literal[1]
    output: str
    corpora: Mapping[str, Corpus]
    tasks: Mapping[str, Task]
    model: ModelRef = field(default_factory=lambda: ModelRef(path="builtin"))
    partitions: int = setting(default=4, low=1, high=65536)
    mining: Mining = field(default_factory=Mining)
    contamination: Contamination = field(default_factory=Contamination)
    evaluate: Evaluate | None = None
    execution: Execution = field(default_factory=Execution)

    def __post_init__(self) -> None:
        if not self.output:
            raise ValueError("output must name a folder, but is empty")

    def model_of(self, corpus: str) -> ModelRef:
        """The encoder of a corpus."""
        return self.corpora[corpus].model or self.model
