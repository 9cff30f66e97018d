"""Which language pairs a task holds, and how high each pair's threshold is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mining.config.model import Config, LangPairs, Task
from mining.contract.languages import canonical_language
from mining.contract.schemas import SPEECH
from mining.io.dataset import Manifest

LangPair = tuple[str, str]


def modality_of(config: Config, corpora: Sequence[str]) -> str:
    """What the corpora of one side of a task hold; all of them hold the same."""
    return config.corpora[corpora[0]].modality


def overlaps(config: Config, corpora: Sequence[str]) -> bool:
    """Whether segments of these corpora may overlap in time."""
    found = (config.corpora[name] for name in corpora)
    return any(c.modality == SPEECH and c.speech.segment == "candidates" for c in found)


def language_pairs(
    task: Task, sources: Sequence[Manifest], targets: Sequence[Manifest]
) -> tuple[tuple[LangPair, ...], tuple[str, ...]]:
    """The (source, target) languages of a task, and why some that were asked for are left out.

    A language is not mined against itself where one corpus stands on both sides.
    """
    src_rows, tgt_rows = _rows(sources), _rows(targets)
    same_pool = bool(set(task.sources) & set(task.targets))
    wanted: list[LangPair]
    if isinstance(task.langs, LangPairs):
        wanted = [(s, t) for s in _codes(task.langs.source) for t in _codes(task.langs.target)]
    elif isinstance(task.langs, tuple):
        wanted = []
        for pair in task.langs:
            src, tgt = _codes(pair.split("-"))
            wanted.append((src, tgt))
    else:
        once = task.langs == "all_unordered"
        wanted = [(s, t) for s in src_rows for t in tgt_rows if s != t or not same_pool]
        if once and same_pool:
            both_ways = set(wanted)
            wanted = [(s, t) for s, t in wanted if s < t or (t, s) not in both_ways]
        return tuple(sorted(wanted)), ()
    left_out = []
    held = []
    for src, tgt in dict.fromkeys(wanted):
        missing = [f"no {src} on the source side"] * (src not in src_rows)
        missing += [f"no {tgt} on the target side"] * (tgt not in tgt_rows)
        if src == tgt and same_pool:
            missing.append("one corpus on both sides")
        if missing:
            left_out.append(f"{src}-{tgt}: {' and '.join(missing)}")
        else:
            held.append((src, tgt))
    return tuple(sorted(held)), tuple(left_out)


def _codes(codes: Sequence[str]) -> list[str]:
    return [canonical_language(code) or code for code in codes]


def _rows(manifests: Sequence[Manifest]) -> Mapping[str, int]:
    total: dict[str, int] = {}
    for manifest in manifests:
        for lang, rows in manifest.langs.items():
            total[lang] = total.get(lang, 0) + rows
    return dict(sorted(total.items()))


def pool_sizes(
    pair: LangPair, sources: Sequence[Manifest], targets: Sequence[Manifest]
) -> tuple[int, int]:
    """Embedded rows of the pair's source and target language."""
    return _rows(sources).get(pair[0], 0), _rows(targets).get(pair[1], 0)
