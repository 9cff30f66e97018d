"""A small world that is spoken: pieces of the sample's recordings, and a recogniser of random weights.

Its transcripts are nonsense, but the same nonsense every time. Two languages; WAV, FLAC in stereo,
MP3 and Ogg Opus at three rates; one recording has a copy, one stands in the list twice.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from tests.end_to_end.conftest import World

SAMPLE = Path(__file__).parents[2] / "examples" / "sample"
LANGS = ("deu", "eng")
# recording: (recording of the sample, seconds)
PIECES = {
    "eng/kitchen.wav": ("eng/kitchen.opus", 23.5),
    "eng/harbour.flac": ("eng/harbour.opus", 16.0),
    "deu/kitchen.mp3": ("deu/kitchen.opus", 18.0),
    "deu/harbour.opus": ("deu/harbour.opus", 21.0),
}
COPY = ("eng/kitchen.wav", "eng/z.wav")
TWICE = "deu/kitchen.mp3"
DISTRACTORS = 20
_OPUS_RATE_HZ = 48000  # of the time stamps of Ogg Opus
_LAST_PAGE = 4


@dataclass(frozen=True)
class SpeechWorld(World):
    """Files of a small spoken corpus and its config; ``audio`` holds the recordings."""

    audio: Path

    @property
    def settings(self) -> dict[str, Any]:
        """The config."""
        found: dict[str, Any] = yaml.safe_load(self.config.read_text())
        return found

    def change_corpus(self, name: str, **values: object) -> None:
        """Replace settings of a corpus; those that are None are taken out."""
        corpora = self.settings["corpora"]
        changed = corpora[name] | values
        corpora[name] = {key: value for key, value in changed.items() if value is not None}
        self.change(corpora=corpora)

    def speak_only(self, recordings: Sequence[tuple[str, str]]) -> None:
        """Replace the list: (path, language)."""
        rows = [f"{path}\t{lang}\t{path}" for path, lang in recordings]
        (self.folder / "list.tsv").write_text("\n".join(["path\tlang\ttalk", *rows]) + "\n")

    def table(self, kind: str, *names: str) -> pa.Table:
        """All parts of the latest datasets below a folder of the output."""
        parts = sorted(self.output.joinpath(kind, *names).rglob("*.parquet"))
        return pa.concat_tables([pq.read_table(path) for path in parts])


def sample_sound(recording: str, seconds: float) -> tuple[NDArray[np.float32], int]:
    """The beginning of one of the sample's recordings, float32 [n] or [n, 2], and its rate."""
    import soundfile

    with soundfile.SoundFile(SAMPLE / "audio" / recording) as file:
        return file.read(int(seconds * file.samplerate), dtype="float32"), file.samplerate


def record(folder: Path) -> None:
    """Write the recordings of the world."""
    import soundfile

    for name, (source, seconds) in PIECES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".opus":  # an encoder would give the stream a number by chance
            path.write_bytes(first_pages((SAMPLE / "audio" / source).read_bytes(), seconds))
        else:
            soundfile.write(path, *sample_sound(source, seconds))
    shutil.copy(folder / COPY[0], folder / COPY[1])


def first_pages(data: bytes, seconds: float) -> bytes:
    """The beginning of an Ogg Opus file, as a whole file (RFC 3533)."""
    kept: list[bytes] = []
    for page in _pages(data):
        kept.append(page)
        if int.from_bytes(page[6:14], "little") >= seconds * _OPUS_RATE_HZ:
            break
    last = bytearray(kept[-1])
    last[5] |= _LAST_PAGE
    last[22:26] = bytes(4)
    last[22:26] = _checksum(last).to_bytes(4, "little")
    return b"".join([*kept[:-1], bytes(last)])


def _pages(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        segments = data[start + 26]
        end = start + 27 + segments + sum(data[start + 27 : start + 27 + segments])
        yield data[start:end]
        start = end


def _checksum(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x104C11DB7 if value >> 31 else 0)
    return value


def _gold() -> list[dict[str, str]]:
    """The sample's rows of what is said in the pieces, under the pieces' names."""
    names = {source: (name, seconds) for name, (source, seconds) in PIECES.items()}
    found = []
    with (SAMPLE / "speech_gold.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
            name, seconds = names.get(row["source_uri"], ("", 0.0))
            if row["meaning_id"] and float(row["end_s"]) < seconds:
                found.append(row | {"source_uri": name})
    return found


def _texts(folder: Path, spoken: set[str]) -> list[list[str]]:
    """Write what is spoken and some other sentences, and return them: (meaning, language, text)."""
    with (SAMPLE / "meanings.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    others = [row["meaning_id"] for row in rows if row["meaning_id"] not in spoken]
    wanted = spoken | set(others[:DISTRACTORS])
    found = [
        [row["meaning_id"], lang, row[lang]]
        for row in rows
        if row["meaning_id"] in wanted
        for lang in LANGS
    ]
    lines = ["\t".join([f"{lang}-{meaning}", lang, text]) for meaning, lang, text in found]
    (folder / "texts.tsv").write_text("\n".join(["id\tlang\ttext", *lines]) + "\n")
    return found


def make_speech_world(folder: Path, recordings: Path, recogniser: Path) -> SpeechWorld:
    """A world whose recordings are copies of ``recordings``."""
    audio = folder / "audio"
    shutil.copytree(recordings, audio)
    gold = _gold()
    texts = _texts(folder, {row["meaning_id"] for row in gold})
    lines = ["meaning_id\tlang\ttext\tmodality\tsource_uri\tstart_s\tend_s"]
    lines += ["\t".join([*row, "text", "", "", ""]) for row in texts]
    lines += [
        "\t".join(
            [row["meaning_id"], row["lang"], "", "speech"]
            + [row[name] for name in ("source_uri", "start_s", "end_s")]
        )
        for row in gold
    ]
    (folder / "gold.tsv").write_text("\n".join(lines) + "\n")
    config = {
        "schema": 1,
        "output": str(folder / "out"),
        "model": {"path": "builtin"},
        "recogniser": {"path": str(recogniser)},
        "partitions": 3,
        "contamination": {"sets": []},
        "corpora": {
            "talks": {
                "modality": "speech",
                "format": "tsv",
                "uri": str(folder / "list.tsv"),
                "audio_root": str(audio),
                "lang": {"column": "lang"},
                "columns": {"audio": "path", "id": "talk"},
                "speech": {"max_joined": 3},
            },
            "texts": {
                "uri": str(folder / "texts.tsv"),
                "lang": {"column": "lang"},
                "columns": {"text": "text", "id": "id"},
            },
        },
        "tasks": {
            "st": {"source": "talks", "target": "texts"},
            "ss": {"source": "talks", "target": "talks"},
            "tt": {"source": "texts", "target": "texts"},
        },
        "mining": {"threshold": "none"},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    world = SpeechWorld(folder=folder, config=path, output=folder / "out", audio=audio)
    world.speak_only([(name, name[:3]) for name in (*PIECES, COPY[1], TWICE)])
    return world
