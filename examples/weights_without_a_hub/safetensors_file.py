"""Tensors to a safetensors file, one at a time, so that they need not all be in memory.

The form: length of the header as 8 bytes, header as JSON, then the contents without gaps
(github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNED_BYTES = 8


def write_float32(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Write tensors in the order of the mapping; memory holds one of them.

    Args:
        path: the file.
        tensors: views of what lies on disk are read when their turn comes.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in tensors.items():
        end = at + 4 * tensor.size
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED_BYTES)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for tensor in tensors.values():
            stream.write(np.ascontiguousarray(tensor, dtype="<f4").data)
