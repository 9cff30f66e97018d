"""A corpus some times as large as the sample, to measure how long things take::

    python examples/sample/enlarge.py out/enlarged --copies 20
    mining run --config out/enlarged/enlarged.yaml

Every copy differs from the others, so that nothing collapses: each of its sentences begins with a
name that only this copy has, and its recordings are played a little faster or slower. The first copy
is the sample itself. What the copies say is of no use for judging, so the config names no gold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
import yaml
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
_SYLLABLES = ("ba", "do", "fi", "gu", "ka", "le", "mo", "nu", "pa", "re", "si", "tu")
_STEP = 0.01  # of the speed, from one copy to the next
_SLOWEST, _SPEEDS = 0.9, 21  # speeds from 0.9 to 1.1; further copies are also played louder


def name_of(copy: int) -> str:
    """A made-up name for each copy: ``Bado``, ``Bafi``...; each once below 12 ** 4."""
    letters = []
    for _ in range(4):
        copy, place = divmod(copy, len(_SYLLABLES))
        letters.append(_SYLLABLES[place])
    return "".join(reversed(letters)).capitalize()


def enlarge_texts(folder: Path, copies: int) -> int:
    """Write ``folder/text/<lang>.tsv``; returns the rows of all languages."""
    written = 0
    for path in sorted((HERE / "text").glob("*.tsv")):
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        lines = [header]
        for copy in range(copies):
            for row in rows:
                row_id, lang, text = row.split("\t")
                said = f"{name_of(copy)}: {text}" if copy else text
                lines.append(f"{row_id}-{copy}\t{lang}\t{said}")
        target = folder / "text" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        written += len(lines) - 1
    return written


def played(samples: NDArray[np.float32], copy: int) -> NDArray[np.float32]:
    """The recording as the copy has it: float32 [n] or [n, C]."""
    turn, place = divmod(copy - 1, _SPEEDS)
    speed = _SLOWEST + _STEP * place
    slower = soxr.resample(samples, speed, 1.0, quality="LQ") if speed != 1.0 else samples
    # 16 bits hold no more than full scale
    return np.clip(slower * np.float32(0.98 - 0.02 * turn), -1.0, 1.0)


def enlarge_recordings(folder: Path, copies: int) -> float:
    """Write ``folder/audio/<lang>/<recording>-<copy>.flac``; returns the hours of all."""
    seconds = 0.0
    for path in sorted((HERE / "audio").glob("*/*.opus")):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        for copy in range(copies):
            sound = played(samples, copy) if copy else samples
            target = folder / "audio" / path.parent.name / f"{path.stem}-{copy:03d}.flac"
            target.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(target, sound, rate_hz)
            seconds += len(sound) / rate_hz
    return seconds / 3600


def write_config(folder: Path) -> Path:
    """``folder/enlarged.yaml``: configs/sample.yaml over the enlarged corpora, without gold."""
    config = yaml.safe_load((HERE.parents[1] / "configs" / "sample.yaml").read_text("utf-8"))
    del config["evaluate"]
    config["output"] = str(folder / "out")
    config["corpora"]["texts"]["uri"] = str(folder / "text" / "*.tsv")
    config["corpora"]["talks"]["uri"] = str(folder / "audio" / "{lang}" / "*.flac")
    path = folder / "enlarged.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=20, help="of the texts")
    parser.add_argument("--speech-copies", type=int, help="of the recordings; default: as many")
    args = parser.parse_args(arguments)
    spoken = args.copies if args.speech_copies is None else args.speech_copies
    if args.copies < 1 or spoken < 1:
        parser.error("there must be at least one copy")
    rows = enlarge_texts(args.folder, args.copies)
    hours = enlarge_recordings(args.folder, spoken)
    print(f"{rows} rows of text, {hours:.2f} hours of speech; mining run --config "
          f"{write_config(args.folder)}")  # fmt: skip


if __name__ == "__main__":
    main()
