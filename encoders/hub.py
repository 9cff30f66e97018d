"""Model files from the model hub: fetched once, kept in its cache, never code."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mining.contract.errors import CheckpointError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Other formats, and the thousand language adapters of one MMS model.
_NEVER = ["onnx/*", "openvino/*", "adapter.*.safetensors"]


def is_hub_name(path: str) -> bool:
    """``org/name``, unless ``org`` is a folder here: then it is a path with a slip in it."""
    is_file = path.endswith((".npy", ".parquet"))
    return bool(_HUB_NAME.fullmatch(path)) and not is_file and not Path(path.split("/")[0]).exists()


def fetch(name: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Folder with those files of a repository that the patterns name.

    Raises:
        CheckpointError: it cannot be fetched; says how to do it elsewhere.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(patterns), ignore_patterns=_NEVER
            )
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"model {name!r}: must come from the model hub, but cannot be fetched: "
            f"{reason[:200]}; download it where there is a network (hf download NAME --local-dir "
            "FOLDER) and give the folder as path"
        ) from None


def local_folder(path: str) -> Path:
    """An absolute path, ``~`` expanded."""
    return Path(os.path.expanduser(path)).absolute()
