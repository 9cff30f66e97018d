"""What the stages that find the neighbours of a task have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from beam_jobs.stage import Stage
from beam_jobs.stages.tasks import LangPair, modality_of, pool_sizes
from mining.contract.schemas import BACKWARD, FORWARD
from mining.io.dataset import Manifest, has_manifest
from mining.io.pools import Dataset

SOURCE, TARGET = "source", "target"


@dataclass(frozen=True, kw_only=True)
class Neighbors(Stage):
    """Neighbours of one task, in parts ``<src>-<tgt>.….<direction>.<number>.parquet``.

    Attributes:
        sources: embeddings of the source corpora, in the task's order.
        targets: of the target corpora.
        lang_pairs: (source, target) languages, each with rows on both sides.
        forward_k: neighbours of a source row.
        backward_k: neighbours of a target row.
    """

    sources: tuple[Dataset, ...]
    targets: tuple[Dataset, ...]
    lang_pairs: tuple[LangPair, ...]
    forward_k: int
    backward_k: int
    name: ClassVar[str] = "knn"

    def decides(self) -> Mapping[str, Any]:
        """What decides the neighbours: the embeddings' bytes, the languages and k."""
        return {
            "sources": [dataset.manifest.content for dataset in self.sources],
            "targets": [dataset.manifest.content for dataset in self.targets],
            "langs": self.lang_pairs,
            "k": (self.forward_k, self.backward_k),
        }

    @property
    @abstractmethod
    def hash(self) -> str:
        """Of :meth:`decides`."""

    @property
    def folder(self) -> str:
        """Folder of the neighbours."""
        return self.run.dataset("neighbors", self.subject, self.hash)

    @property
    def src_modality(self) -> str:
        """Text or speech."""
        return modality_of(self.run.config, [side.manifest.name for side in self.sources])

    @property
    def tgt_modality(self) -> str:
        """Text or speech."""
        return modality_of(self.run.config, [side.manifest.name for side in self.targets])

    def is_done(self) -> bool:
        """Whether the neighbours are finished."""
        return has_manifest(self.folder, self.hash, self.run.storage)

    def pools(self, pair: LangPair) -> tuple[int, int]:
        """Rows that a target row, and a source row, of a language pair is compared with."""
        sides = ([dataset.manifest for dataset in side] for side in (self.sources, self.targets))
        return pool_sizes(pair, *sides)

    def datasets(self, side: str) -> tuple[Dataset, ...]:
        """Embeddings of a side."""
        return self.sources if side == SOURCE else self.targets

    def k_of(self, direction: str) -> int:
        """Neighbours of a row in a direction."""
        return self.forward_k if direction == FORWARD else self.backward_k

    def attributes(self) -> dict[str, Any]:
        """Facts for the manifest."""
        return {
            "k": self.forward_k,
            "backward_k": self.backward_k,
            "langs": [f"{src}-{tgt}" for src, tgt in self.lang_pairs],
        }


def pools_of(
    neighbors: Manifest, pair: LangPair, sources: Sequence[Manifest], targets: Sequence[Manifest]
) -> tuple[int, int]:
    """Rows that a target row, and a source row, was compared with; within documents their mean, rounded.

    Args:
        neighbors: of a finished search.
        pair: source and target language.
        sources: embeddings of the source corpora.
        targets: of the target corpora.
    """
    if "documents" not in neighbors.attributes:
        return pool_sizes(pair, sources, targets)
    sizes = []
    for direction in (BACKWARD, FORWARD):
        of = f"{'-'.join(pair)}.{direction}"
        reached, rows = (neighbors.counters.get(f"{what}.{of}", 0) for what in ("reach", "kept"))
        sizes.append(round(reached / max(1, rows)))
    return sizes[0], sizes[1]
