"""What was asked for, and where its pieces lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sizes import Size


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for.

    Attributes:
        data: real recordings and texts.
        speech: folder of the manifests.
        whisper: speech encoder.
        backbone: text network.
        output: of everything; parts that backbones share are in ``shared``.
        size: see :class:`Size`.
        langs: of the training clips and the judged ones; none: all.
        tokens: ``units``: k-means; ``letters``: of a recogniser.
        recogniser: of the cascade; None: no cascade.
        threads: of torch.
        device: ``cpu`` or ``cuda``.
    """

    data: Path
    speech: Path
    whisper: Path
    backbone: Path
    output: Path
    size: Size
    langs: frozenset[str]
    tokens: str
    recogniser: Path | None
    threads: int
    device: str

    @property
    def shared(self) -> Path:
        """Seeds, units and what was heard: the same for every backbone."""
        return self.output / "shared"

    @property
    def own(self) -> Path:
        """Of this backbone and kind of tokens."""
        return self.output / f"{self.backbone.name}-{self.tokens}"
