"""What a run is told: every field, its unit, range, and where its default comes from.

:class:`Config` holds what decides the result; :mod:`mining.config.execution` what does not (workers,
devices, tile sizes). Only the first is hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mining.config.binding import setting
from mining.config.execution import Execution
from mining.contract.languages import canonical_language
from mining.contract.licences import UNKNOWN
from mining.contract.model_ref import ModelRef, RecogniserRef

NONE = "none"  # threshold: keep all that are selected
EXACT = "exact"  # index: every neighbour is found


@dataclass(frozen=True, kw_only=True)
class LangFrom:
    """Where a row's language stands: exactly one of the three.

    Attributes:
        column: name of the column that holds it.
        path: name of the placeholder in ``uri`` (``{lang}``) that holds it.
        recognised: ``true``: the recogniser says it, one language a recording (speech only).
    """

    column: str | int | None = None
    path: str | None = None
    recognised: bool = False

    def __post_init__(self) -> None:
        if (self.column is not None) + (self.path is not None) + self.recognised != 1:
            raise ValueError("lang must name a column, or a path placeholder, or be recognised")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of a TSV, CSV, JSONL or Parquet file, by name (or 0-based number without a header)."""

    text: str | int = "text"
    id: str | int | None = None
    audio: str | int = "path"


@dataclass(frozen=True, kw_only=True)
class Speech:
    """How recordings become segments.

    Attributes:
        segment: ``candidates``: every run of neighbouring stretches of speech that could be a
            sentence; ``recording``: each recording is one segment, for clips cut already.
        channel: ``mix`` averages the channels; ``each`` takes every channel as a recording of its own
            (telephone calls); or a 0-based number.
        threshold: speech probability above which a window is speech. Silero VAD's own default.
        min_speech_ms: shorter stretches are no speech. Silero VAD's own default.
        min_silence_ms: shorter pauses do not end a stretch. Silero VAD's own default.
        pad_ms: added to both ends of a stretch, as far as the pause allows. Silero VAD's own default.
        max_region_s: a stretch without a pause is cut at its least certain window before it gets
            longer.
        min_s: shorter segments are no candidates (stopes: 1 s).
        max_s: longer segments are no candidates (stopes: 20 s).
        max_gap_s: segments do not reach across longer pauses (stopes: 1 to 2 s).
        max_joined: most stretches in one segment; bounds the candidates to this many a stretch.
        min_level_dbfs: quieter segments are rejected as ``near_silent``.
    """

    segment: Literal["candidates", "recording"] = "candidates"
    channel: int | Literal["mix", "each"] = "mix"
    threshold: float = setting(default=0.5, low=0.01, high=0.99)
    min_speech_ms: int = setting(default=250, low=32)
    min_silence_ms: int = setting(default=100, low=32)
    pad_ms: int = setting(default=30, low=0)
    max_region_s: float = setting(default=20.0, low=1.0, high=30.0)
    min_s: float = setting(default=1.0, low=0.1)
    max_s: float = setting(default=20.0, low=0.5, high=600.0)
    max_gap_s: float = setting(default=1.5, low=0.0)
    max_joined: int = setting(default=16, low=1, high=256)
    min_level_dbfs: float = setting(default=-60.0, low=-120.0, high=0.0)

    def __post_init__(self) -> None:
        if self.min_s > self.max_s:
            raise ValueError("min_s must not exceed max_s")
        if isinstance(self.channel, int) and self.channel < 0:
            raise ValueError(f"channel must be 0 or more, mix or each, but is {self.channel}")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One side's raw material.

    Attributes:
        modality: ``text`` or ``speech``.
        format: how files are read. Text: ``auto`` goes by suffix (.txt .tsv .csv .jsonl .parquet, each
            also .gz .zst .bz2 .xz). Speech: ``auto`` or ``audio`` means that ``uri`` names recordings;
            ``common_voice`` that it names a release's tables (clips in ``clips/`` beside them);
            ``lines`` (also .m3u), ``tsv``, ``csv``, ``jsonl`` and ``parquet`` lists of recordings.
        uri: file, folder or glob, or a list; any fsspec address. May hold one ``{lang}``.
        lang: a code, or where to find it.
        header: whether TSV and CSV files begin with a line of names.
        segment: ``sentences`` splits rows, ``none`` takes each row as one segment.
        min_chars: shorter segments are rejected, in characters after normalisation.
        max_chars: longer segments are rejected. Encoders here truncate at 512 tokens or fewer, about
            2,000 characters.
        langs: if given, rows of other languages are rejected.
        model: this corpus' own encoder; otherwise the run's.
        audio_root: folder that the addresses in a list are relative to; not given: the list's own.
        speech: how recordings become segments.
        recogniser: this corpus' own recogniser; otherwise the run's.
        licence: what its data may be used under, best an SPDX identifier; it is told with the pairs
            and changes none of them.
    """

    uri: str | tuple[str, ...]
    lang: str | LangFrom
    modality: Literal["text", "speech"] = "text"
    format: Literal["auto", "lines", "tsv", "csv", "jsonl", "parquet", "audio", "common_voice"] = (
        "auto"
    )
    columns: Columns = field(default_factory=Columns)
    header: bool = True
    segment: Literal["none", "sentences"] = "none"
    min_chars: int = setting(default=1, low=1)
    max_chars: int = setting(default=2000, low=1)
    langs: tuple[str, ...] | None = None
    model: ModelRef | None = None
    audio_root: str | None = None
    speech: Speech = field(default_factory=Speech)
    recogniser: RecogniserRef | None = None
    licence: str = UNKNOWN

    def __post_init__(self) -> None:
        if not self.uris or not all(self.uris):
            raise ValueError("uri must not be empty")
        if self.modality == "text":
            self._refuse_speech_settings()
        else:
            self._refuse_text_settings()
        if self.langs == ():
            raise ValueError("langs must name at least one language, or be left out")
        if not self.licence.strip():
            raise ValueError("licence must name one, or be left out")
        for code in (self.lang, *(self.langs or ())):
            if isinstance(code, str) and canonical_language(code) is None:
                raise ValueError(f"{code!r} is not a language code (ISO 639-3, such as deu)")
            if code == "und":
                raise ValueError("lang must be a language; to be told it, {recognised: true}")
        uris = (self.uri,) if isinstance(self.uri, str) else self.uri
        if isinstance(self.lang, LangFrom) and self.lang.path is not None:
            for uri in uris:
                if f"{{{self.lang.path}}}" not in uri:
                    raise ValueError(f"uri {uri!r} must hold the placeholder {{{self.lang.path}}}")
        if self.min_chars > self.max_chars:
            raise ValueError("min_chars must not exceed max_chars")

    def _refuse_speech_settings(self) -> None:
        if self.format in ("audio", "common_voice"):
            raise ValueError(f"format {self.format} needs modality: speech")
        if isinstance(self.lang, LangFrom) and self.lang.recognised:
            raise ValueError("lang: {recognised: true} needs modality: speech")
        for name in ("audio_root", "recogniser"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} needs modality: speech")
        if self.speech != Speech():
            raise ValueError("speech needs modality: speech")
        if self.columns.audio != Columns().audio:
            raise ValueError("columns.audio needs modality: speech")

    def _refuse_text_settings(self) -> None:
        for name, default in (("segment", "none"), ("min_chars", 1), ("max_chars", 2000)):
            if getattr(self, name) != default:
                instead = "; speech.segment" if name == "segment" else ""
                raise ValueError(f"{name} needs modality: text{instead}")
        if self.columns.text != Columns().text:
            raise ValueError("columns.text needs modality: text; columns.audio names recordings")
        if self.format not in ("auto", "audio"):
            return
        if isinstance(self.lang, LangFrom) and self.lang.column is not None:
            raise ValueError(
                "lang of recordings must be a code, a placeholder in the path or recognised, but is a "
                "column; name a list's format, or change lang"
            )
        if self.columns != Columns() or not self.header:
            raise ValueError(
                "columns and header need the format of a list, such as tsv; here uri names recordings"
            )

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
class DocumentPairs:
    """Documents that are translations of each other, as another tool aligned them.

    Attributes:
        pairs: TSV file (also .gz .zst .bz2 .xz) with columns src_doc_id and tgt_doc_id, the ids that
            ``columns.id`` of the corpora names. A document may stand in many pairs.
    """

    pairs: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """Which corpora are mined against which.

    Attributes:
        source: name of a corpus, or several.
        target: name of a corpus, or several.
        langs: ``all``: every source with every target language, in both orders, its own language
            among them where the corpora differ; ``all_unordered``: where one corpus stands on both
            sides, each pair once, in alphabetical order; a list such as ``[deu-eng, deu-deu]``; or
            two lists.
        documents: mine within paired documents only: ``same_id``: documents of one id are paired; or
            ``{pairs: FILE}``. Neighbours and margins are then among the sentences of the paired
            documents; a sentence that stands in several documents is in all of them. Not given: every
            sentence is compared with every other.
    """

    source: str | tuple[str, ...]
    target: str | tuple[str, ...]
    langs: Literal["all", "all_unordered"] | tuple[str, ...] | LangPairs = "all_unordered"
    documents: Literal["same_id"] | DocumentPairs | None = None

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
        preset: ``laser``, ``stopes``, ``sentence-transformers`` or ``speech-vecalign``: that tool's
            rules of margin and selection (:data:`mining.score.PRESETS` says what of it is not
            represented); settings given beside it win.
        k: neighbours a side. 4 in Artetxe and Schwenk 2019, 16 in stopes.
        margin: ratio a/b, distance a-b or absolute a, where b is the mean similarity of both sides'
            k neighbours.
        select: which candidates become pairs.
        threshold: lowest margin score kept; ``none``: no limit; ``model``: from a calibration. Not
            given: the preset's, or else from a calibration.
        target_precision: take the calibrated threshold for this precision instead of best F1's.
        calibration: a ``calibration.json``; not given: the one beside the model's weights.
        score_max: highest margin score kept (stopes: 1.25 drops near-copies).
        speech_k: neighbours searched where the other side is speech that is cut into overlapping
            candidates: those that overlap a nearer one are left out of the ``k`` that the margin
            averages over, so more must be found. Not given: 16 k.
        index: how neighbours are found: ``exact``, or an approximate index of FAISS
            (:data:`mining.knn.INDEXES`) of each block of ``execution.tile_rows`` rows, which then
            decides the result, too: make it as large as memory allows, since an index pays by being
            large. Not within documents.
        probes: lists of such an index that a query looks into. 128 in stopes.
    """

    preset: Literal["laser", "stopes", "sentence-transformers", "speech-vecalign"] | None = None
    k: int | None = setting(default=None, low=1, high=1024)
    margin: Literal["ratio", "distance", "absolute"] | None = None
    select: Literal["forward", "backward", "intersection", "max", "union", "all"] | None = None
    threshold: float | Literal["model", "none"] | None = None
    target_precision: float | None = setting(default=None, low=0.01, high=0.999)
    score_max: float | None = None
    speech_k: int | None = setting(default=None, low=1, high=16384)
    calibration: str | None = None
    index: Literal["exact", "ivf-flat", "ivf-pq", "ivf-fastscan"] = "exact"
    probes: int = setting(default=128, low=1)


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
            Rows of speech have modality ``speech`` and, instead of a text, source_uri (as in the
            pairs' src_uri: below the fixed part of the corpus' uri), start_s and end_s (empty: the
            whole recording), if wanted channel; with a column speaker the bootstrap draws speakers.
        resamples: bootstrap resamples of the 95 % intervals.
    """

    gold: str
    resamples: int = setting(default=1000, low=100, high=100000)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole run.

    Attributes:
        schema: version of this format.
        output: folder or object-store prefix for everything that is written.
        model: the encoder of every corpus that names none.
        recogniser: of every speech corpus that names none. Where there is one, speech is put into words
            and embedded as text, also by an encoder that could hear it.
        partitions: parts of each dataset. A text's part is its id modulo this number.
    """

    schema: Literal[1]
    output: str
    corpora: Mapping[str, Corpus]
    tasks: Mapping[str, Task]
    model: ModelRef = field(default_factory=lambda: ModelRef(path="builtin"))
    recogniser: RecogniserRef | None = None
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

    def recogniser_of(self, corpus: str) -> RecogniserRef | None:
        """The recogniser of a speech corpus, if it has one; None for text."""
        if self.corpora[corpus].modality == "text":
            return None
        return self.corpora[corpus].recogniser or self.recogniser
