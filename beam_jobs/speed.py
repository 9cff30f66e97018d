"""How fast recordings went through a stage, in multiples of real time."""

from __future__ import annotations

from collections.abc import Sequence

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


def speed(stages: Sequence[Stage], seconds: float) -> str:
    """A line about finished stages of one kind that took ``seconds``; empty if they hold no audio."""
    counter = _COUNTERS.get(stages[0].name)
    if counter is None:
        return ""
    manifests = (read_manifest(stage.folder, stage.run.storage) for stage in stages)
    audio_ms = sum(manifest.counters.get(counter, 0) for manifest in manifests)
    if not audio_ms:
        return ""
    return (
        f"{stages[0].name}: {audio_ms / 60000:.1f} minutes of audio in {seconds:.1f} s, "
        f"{audio_ms / 1000 / seconds:.1f} times real time"
    )
