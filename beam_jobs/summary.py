"""What ``mining run`` prints at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from beam_jobs.evaluation import judge
from beam_jobs.plan import Plan
from mining.evaluate.judge import Figure, Judged
from mining.io.dataset import Manifest, read_manifest

_METRICS = ("precision", "recall", "f1")


def summarise(plan: Plan) -> str:
    """Pairs of each task and language pair; with gold, their precision, recall and F1."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    config = plan.run.config
    for corpus in plan.corpora:
        yield f"{corpus}: {_read(plan.prepared(corpus).counters)}"
        if corpus in plan.recognisers:
            yield f"{corpus}: {_heard(plan.segments(corpus).counters)}"
        frames = plan.frames(corpus)
        if frames is not None:
            yield f"{corpus}: {_tokenized(frames.manifest)}"
    gold = config.evaluate is not None
    width = max(len("task"), *map(len, config.tasks))
    yield f"{'task':<{width}} {'languages':<16} {'pairs':>8} {'threshold':>10}" + (
        "      P  [95 %]        R  [95 %]       F1  [95 %]" if gold else ""
    )
    for task in config.tasks:
        manifest = read_manifest(plan.run.dataset("pairs", task), plan.run.storage)
        evaluation = judge(plan, task, retrieval=False) if gold else None
        judged: dict[str, Judged] = {}
        if evaluation is not None:
            judged = {one.key.langs: one for one in evaluation.pairs}
        for pair, threshold in manifest.attributes["thresholds"].items():
            shown = "none" if threshold is None else f"{threshold:.3f}"
            line = f"{task:<{width}} {pair:<16} {manifest.counters[f'kept.{pair}']:>8} {shown:>10}"
            yield line + (_figures(judged[pair].figures) if pair in judged else "")
        if evaluation is not None:
            yield f"{task:<{width}} {'macro':<16} {'':>8} {'':>10}" + _figures(evaluation.macro)
            f1 = evaluation.macro["f1"]
            yield (
                f"{task:<{width}} macro F1 by length alone {f1.length_only:.2f}, "
                + (
                    f"at random {f1.random:.2f}"
                    if f1.shuffled is None
                    else f"with the audio shuffled {f1.shuffled:.2f}"
                )
            )
        elif gold:
            yield f"{task:<{width}} (the gold holds none of its language pairs)"
    yield f"pairs are in {plan.run.dataset('pairs')}"


def _read(counters: Mapping[str, int]) -> str:
    """``183 rows, 380 segments, rejected: bad_json 1``."""
    read = f"{counters.get('rows_in', 0)} rows, {counters.get('segments', 0)} segments"
    if "audio_ms" in counters:
        read += (
            f" out of {counters['regions']} stretches of speech, {counters['speech_ms'] / 60000:.1f} of "
            f"{counters['audio_ms'] / 60000:.1f} minutes"
        )
    return f"{read}, rejected: {_rejected(counters) or 'none'}"


def _heard(counters: Mapping[str, int]) -> str:
    """``380 of 402 segments have a transcript, 3 of them cut for repetition``."""
    return (
        f"{counters['kept']} of {counters['segments_in']} segments have a transcript, "
        f"{counters['repetition_cut']} of them cut for repetition, rejected: "
        + (_rejected(counters) or "none")
    )


def _tokenized(manifest: Manifest) -> str:
    """``402 stretches of speech have 36900 frames of 1024 units, 50 a second``."""
    counters, facts = manifest.counters, manifest.attributes
    return (
        f"{counters['regions']} stretches of speech have {counters['frames']} frames of "
        f"{facts['units']} units, {facts['rate_hz']:g} a second, by {facts['audio_tokenizer']}"
    )


def _rejected(counters: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name.removeprefix('rejected.')} {count}"
        for name, count in counters.items()
        if name.startswith("rejected.")
    )


def _figures(figures: Mapping[str, Figure]) -> str:
    return "".join(
        f"   {figures[m].value:.2f} [{figures[m].low:.2f},{figures[m].high:.2f}]" for m in _METRICS
    )
