"""How fast recordings went through a stage, in multiples of real time; segments, a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from beam_jobs.stage import Stage
from mining.io.dataset import count_receipts, read_manifest

# Milliseconds of audio that a stage counts: decoded and searched for speech; recognised; tokenised.
_COUNTERS = {"prepare": "audio_ms", "transcribe": "clips_ms", "tokenize": "clips_ms"}


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
    counter = _COUNTERS.get(stages[0].name)
    manifests = [read_manifest(stage.folder, stage.run.storage) for stage in stages]
    if stages[0].name == "embed":
        counters = sum((Counter(manifest.counters) for manifest in manifests), Counter())
        rows = counters["rows_in"]
        rate = f"{rows} segments in {seconds:.1f} s, {rows / seconds:.0f} a second"
        return f"embed: {', '.join(filter(None, (rate, padding(counters))))}"
    audio_ms = sum(manifest.counters.get(counter, 0) for manifest in manifests) if counter else 0
    if not audio_ms:
        return ""
    return (
        f"{stages[0].name}: {audio_ms / 60000:.1f} minutes of audio in {seconds:.1f} s, "
        f"{audio_ms / 1000 / seconds:.1f} times real time"
    )
