"""Everything a run learns from: read, screened, heard and split.

Law: every row of every manifest is trained on, held out, set aside beside what is held out, or a
reject.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoders.train.data.config import Data, Seed, Texts
from encoders.train.data.coverage import coverage, coverage_lines
from encoders.train.data.frames import FramesCache
from encoders.train.data.held_out import Clip, HeldBack, hold_back, shared
from encoders.train.data.pairs import HeldOut, PairSource
from encoders.train.data.rejects import Rejects
from encoders.train.data.rows import ROWS, checked_rows, clip_numbers
from encoders.train.data.screen import Screen, language_codes, one_letter
from encoders.train.data.seeds import read_seed
from encoders.train.data.speech import SpeechRows, speech_rows
from encoders.train.data.texts import TextPairs, read_texts
from mining.config.model import Contamination
from mining.contract.errors import ConfigError, DatasetError, InputError
from mining.contract.speech import AudioTokenizer

Progress = Callable[[str], None]
UNKNOWN = "und"


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """What a run learns from.

    Attributes:
        sources: pairs, by kind and name; none of them empty.
        held_out: clips to judge by.
        report: what became of the rows, for report.json.
        rejects: TSV file of the rows that are not learned from, columns of REJECT.
    """

    sources: tuple[PairSource, ...]
    held_out: tuple[HeldOut, ...]
    report: dict[str, Any]
    rejects: Path


def load_data(
    config: Data,
    contamination: Contamination,
    tokenizer: AudioTokenizer | None,
    *,
    cache: Path,
    seed: int,
    progress: Progress,
) -> Loaded:
    """Read, screen and hear all seeds and texts.

    The same data gives the same sources, in the same order, whatever the cache holds already.

    Args:
        config: what there is.
        contamination: evaluation sets whose sentences are refused.
        tokenizer: of the model; None of one that reads only.
        cache: folder for units of clips, which runs may share, and for the list of rejects.
        seed: decides which speakers are held out.
        progress: takes lines for people.

    Raises:
        ConfigError: there are seeds, but no audio tokenizer.
        InputError: a manifest is missing or unusable, or not one clip of a seed is there.
    """
    if config.seeds and tokenizer is None:
        raise ConfigError(
            "data.seeds: need a model with an audio tokenizer, but it has none; give "
            "model.audio_tokenizer or model.fit, or remove the seeds"
        )
    screen = Screen(contamination)
    report: dict[str, Any] = {"seeds": {}, "texts": {}}
    speech: list[SpeechRows] = []
    texts: list[TextPairs] = []
    with Rejects(cache / "rejects" / f"{_digest(config, contamination)}.tsv") as rejects:
        for name, seed_config in config.seeds.items():
            if tokenizer is not None:
                frames = FramesCache(cache / "frames", tokenizer, progress)
                rows, report["seeds"][name] = _load_seed(name, seed_config, screen, frames, rejects)
                speech.append(rows)
                for line in coverage_lines(name, report["seeds"][name]["languages"]):
                    progress(line)
        for name, place in config.texts.items():
            pairs, report["texts"][name] = _load_texts(name, place, screen, rejects)
            texts.append(pairs)
            progress(f"{name}: {len(pairs)} of {report['texts'][name]['rows']} text pairs kept")
    report["rejected"] = dict(sorted(rejects.counts.items()))
    if rejects.total:
        progress(f"{rejects.total} rows refused, listed in {rejects.path}")
    held = _held_back(speech, config.held_out, seed)
    held_out, keys = _judged(speech, held)
    sources: list[PairSource] = []
    for rows in speech:
        trained, report["seeds"][rows.name]["held_out"] = _trained_rows(rows, held, keys)
        sources += [trained.pairs("transcribe"), trained.pairs("translate")]
    for pairs in texts:
        same = shared(pairs.source.keys, keys) | shared(pairs.target.keys, keys)
        report["texts"][pairs.name]["held_out"] = {"same_sentence": int(same.sum())}
        sources.append(pairs.filter(~same) if same.any() else pairs)
    report["held_out"] = dict(sorted(Counter(clip.clip.lang for clip in held_out).items()))
    report["pairs"] = [_pair_report(source) for source in sources if len(source)]
    return Loaded(
        sources=tuple(source for source in sources if len(source)),
        held_out=tuple(held_out),
        report=report,
        rejects=rejects.path,
    )


class _Tally:
    """Passes rejects on and counts them."""

    def __init__(self, rejects: Rejects) -> None:
        self._rejects = rejects
        self.counts: Counter[str] = Counter()

    def __call__(self, row_id: str, reason: str, detail: str) -> None:
        self._rejects.add(row_id, reason, detail)
        self.counts[reason] += 1


def _load_seed(
    name: str, seed: Seed, screen: Screen, frames: FramesCache, rejects: Rejects
) -> tuple[SpeechRows, dict[str, Any]]:
    where = f"data.seeds.{name}"
    unreadable, refused = _Tally(rejects), _Tally(rejects)
    parts = [ROWS.empty_table()]
    listed: Counter[str] = Counter()
    for raw in read_seed(name, seed, unreadable):
        listed.update(code or UNKNOWN for code in language_codes(raw["lang"]).to_pylist())
        parts.append(checked_rows(raw, seed, screen, refused))
    if not listed:
        raise InputError(
            f"{where}: must have rows of split {seed.split!r}, but {seed.manifest} has none; check "
            "manifest and split"
        )
    table = pa.concat_tables(parts).combine_chunks()
    wanted, numbers = clip_numbers(table)
    clips = frames.hear(name, wanted, seed.max_s)
    missing = sum(reason == "missing_audio" for reason, _ in clips.faults.values())
    if missing and missing == wanted.num_rows:
        raise InputError(
            f"{where}: at least one clip must be there, but none of the {missing} can be opened; the "
            f"first looked for is {wanted['audio'][0]}; check audio_root"
        )
    languages = coverage(listed, table, numbers, clips)
    places = table["place"].to_pylist()
    faulty = np.isin(numbers, np.array(sorted(clips.faults), dtype=np.int64))
    for row in np.flatnonzero(faulty).tolist():
        refused(places[row], *clips.faults[int(numbers[row])])
    rows = speech_rows(name, table, numbers, clips).filter(~faulty)
    _check_law(where, listed.total(), len(rows.numbers), refused.counts)
    return rows, {
        "rows": listed.total() + unreadable.counts.total(),
        "kept": len(rows.numbers),
        "rejected": dict(sorted((refused.counts + unreadable.counts).items())),
        "languages": languages,
        "one_letter_texts": one_letter(table["transcript"]) + one_letter(table["translation"]),
    }


def _load_texts(
    name: str, texts: Texts, screen: Screen, rejects: Rejects
) -> tuple[TextPairs, dict[str, Any]]:
    unreadable, refused = _Tally(rejects), _Tally(rejects)
    pairs, rows = read_texts(name, texts, screen, unreadable, refused)
    _check_law(f"data.texts.{name}", rows, len(pairs), refused.counts)
    return pairs, {
        "rows": rows + unreadable.counts.total(),
        "kept": len(pairs),
        "rejected": dict(sorted((refused.counts + unreadable.counts).items())),
        "one_letter_texts": one_letter(pairs.source.texts) + one_letter(pairs.target.texts),
    }


def _check_law(where: str, rows: int, kept: int, refused: Counter[str]) -> None:
    if rows != kept + refused.total():
        raise DatasetError(
            f"{where}: rows must be kept or rejected, but of {rows} rows {kept} are kept and "
            f"{refused.total()} rejected; this is a fault of the program"
        )


def _held_back(speech: list[SpeechRows], count: int, seed: int) -> HeldBack:
    clips: dict[bytes, Clip] = {}
    for rows in speech if count else ():
        for clip in rows.clips_of_rows():
            clips.setdefault(clip.clip_id, clip)
    return hold_back(list(clips.values()), count, seed)


def _judged(speech: list[SpeechRows], held: HeldBack) -> tuple[list[HeldOut], NDArray[np.int64]]:
    """The held-out clips, each as the first seed has it, and the keys of all they say."""
    found: list[HeldOut] = []
    keys: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    left = dict.fromkeys(held.judged)
    judged = frozenset(held.judged)
    for rows in speech if judged else ():
        ids = rows.clip_ids()
        mine = np.array([one in judged for one in ids], dtype=bool)
        keys += [rows.source_keys[mine], rows.target_keys[mine]]
        found += rows.held_out(list(left))
        for one in ids:
            left.pop(one, None)
    return found, np.unique(np.concatenate(keys))


def _trained_rows(
    rows: SpeechRows, held: HeldBack, keys: NDArray[np.int64]
) -> tuple[SpeechRows, dict[str, int]]:
    """The rows that are trained on, and how many are not, by why."""
    judged = frozenset(held.judged)
    if not judged:
        return rows, {}
    clips = list(rows.clips_of_rows())
    is_judged = np.array([clip.clip_id in judged for clip in clips], dtype=bool)
    same_voice = np.array([clip.voice in held.voices for clip in clips], dtype=bool) & ~is_judged
    same_text = shared(rows.source_keys, keys) | shared(rows.target_keys, keys)
    same_text &= ~(is_judged | same_voice)
    counts = {"judged": is_judged, "same_speaker": same_voice, "same_sentence": same_text}
    trained = rows.filter(~(is_judged | same_voice | same_text))
    return trained, {name: int(mask.sum()) for name, mask in counts.items()}


def _pair_report(source: PairSource) -> dict[str, Any]:
    counts = np.bincount(source.langs, minlength=len(source.lang_names)).tolist()
    langs = dict(zip(source.lang_names, counts, strict=True))
    return {"name": source.name, "kind": source.kind, "pairs": len(source), "languages": langs}


def _digest(config: Data, contamination: Contamination) -> str:
    """Names the list of rejects, so that configs that share a cache do not overwrite it."""
    decides = json.dumps([asdict(config), asdict(contamination)], sort_keys=True)
    return hashlib.sha256(decides.encode()).hexdigest()[:16]
