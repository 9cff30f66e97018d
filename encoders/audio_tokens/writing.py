"""How the folder of an audio tokenizer is written: beside its place, then renamed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from encoders.audio_tokens.settings import SCHEMA, SETTINGS_FILE
from encoders.hub import fetch, is_hub_name, local_folder
from mining.contract.errors import CapacityError, CheckpointError, ConfigError

_MODEL_FILES = ["*.json", "*.txt", "*.safetensors", "README.md"]


def model_folder(path: str, revision: str | None) -> Path:
    """Folder of a speech model: the one named, or the files of a hub repository.

    Raises:
        CheckpointError: there is neither, or it cannot be fetched.
    """
    folder = local_folder(path)
    if folder.is_dir():
        return folder
    if folder.exists() or not is_hub_name(path):
        raise CheckpointError(
            f"speech model {path!r}: must be a model folder that exists, or org/name on the model hub, "
            "but is neither"
        )
    return fetch(path, revision, _MODEL_FILES)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill; it gets its name when the block ends without an error, else it is removed.

    Raises:
        ConfigError: the name is taken.
        CapacityError: it cannot be written.
    """
    if folder.exists():
        raise ConfigError(
            f"{folder}: must not exist yet, but does; give another folder, or remove this one"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise CapacityError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        yield made
        _open_to_readers(made)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def keep_model_card(source: Path, folder: Path) -> None:
    """Keep what a model says of itself, its licence above all, beside weights that are saved anew."""
    if (source / "README.md").is_file():
        shutil.copyfile(source / "README.md", folder / "README.md")


def _open_to_readers(made: Path) -> None:
    """Whoever may read the folder around it may read it: temporary folders are the owner's alone."""
    mode = made.parent.stat().st_mode & 0o777
    for path in (made, *made.rglob("*")):
        path.chmod(mode if path.is_dir() else mode & 0o666)


def write_settings(folder: Path, kind: str, settings: Mapping[str, Any]) -> None:
    """Write ``tokenizer.json``."""
    stated = {"schema": SCHEMA, "kind": kind, **settings}
    text = json.dumps(stated, indent=2, ensure_ascii=False) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")
