"""A folder is written beside its place and moved there whole, so that a killed run leaves no half."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from encoders.dual.config import CONFIG_FILE
from mining.contract.errors import ConfigError


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """An empty folder that takes the place of ``folder`` when the block ends without an error.

    A dual encoder that is there already is replaced.

    Raises:
        ConfigError: something else is there.
    """
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / CONFIG_FILE).is_file():
        raise ConfigError(
            f"{folder}: must be a new folder, or hold a dual encoder to replace, but holds something "
            "else; give another folder"
        )
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        made = work / "new"
        made.mkdir()  # with the usual rights, which mkdtemp narrows
        yield made
        if folder.exists():
            os.rename(folder, work / "old")
        os.rename(made, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
