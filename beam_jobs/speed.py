"""How fast recordings went through a stage, in multiples of real time; segments, a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from beam_jobs.stage import Stage
from mining.io.dataset import count_receipts, read_manifest

# Milliseconds of audio that a stage counts: decoded and searched for speech; recognised; tokenised.
# Or segments.
_COUNTERS = {
    "prepare": "audio_ms", "transcribe": "clips_ms", "tokenize": "clips_ms", "embed": "rows_in",
}  # fmt: skip


def is_fresh(stages: Sequence[Stage]) -> bool:
    """Whether nothing of these stages was done by an earlier run."""
    return not any(
        count_receipts(stage.receipts_folder(phase), stage.run.storage)
        for stage in stages
        for phase in stage.phases
    )


def padding(counters: Mapping[str, int]) -> str:
    """``padding 7 %``: what was computed of batches beyond what was needed; empty if none is padded."""
    computed = counters.get("tokens_computed", 0)
    if not computed:
        return ""
    return f"padding {100 * (computed - counters['tokens_needed']) / computed:.0f} %"


def speed(stages: Sequence[Stage], seconds: float) -> str:
    """A line about finished stages of one kind that took ``seconds``; empty if there is none."""
    name = stages[0].name
    if name not in _COUNTERS:
        return ""
    manifests = [read_manifest(stage.folder, stage.run.storage) for stage in stages]
    counters = sum((Counter(manifest.counters) for manifest in manifests), Counter())
    count = counters[_COUNTERS[name]]
    if name == "embed":
        rate = f"{count} segments in {seconds:.1f} s, {count / seconds:.0f} a second"
        return f"embed: {', '.join(filter(None, (rate, padding(counters))))}"
    if not count:
        return ""
    return (
        f"{name}: {count / 60000:.1f} minutes of audio in {seconds:.1f} s, "
        f"{count / 1000 / seconds:.1f} times real time"
    )
