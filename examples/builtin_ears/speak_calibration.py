"""Speak the calibration corpus, to calibrate builtin's thresholds for speech.

    python examples/builtin_ears/speak_calibration.py out/calibration

Writes ``OUT/audio/<lang>/<number>.flac`` (every sentence of examples/calibration once, a dozen to a
recording, by the voices that builtin learned from, in rooms and noise) and ``OUT/gold.parquet``: the
gold of the texts, and where each sentence is spoken.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import soxr
from degrade import degraded
from espeak import Espeak, Speaker
from synthesise import ESPEAK, RATE_HZ, VARIANTS

CALIBRATION = Path(__file__).parents[1] / "calibration"
_A_RECORDING = 12  # sentences
_PAUSE_S = (0.6, 1.2)
_SEED = 7


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    gold = pq.read_table(CALIBRATION / "gold.parquet")
    meanings = {(row["lang"], row["text"]): row["meaning_id"] for row in gold.to_pylist()}
    espeak, rows = Espeak(), []
    for path in sorted((CALIBRATION / "text").glob("*.tsv")):
        lang = path.stem
        with path.open(encoding="utf-8", newline="") as file:
            rows_of = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            texts = sorted({row["text"] for row in rows_of})
        rng = np.random.default_rng([_SEED, *lang.encode()])
        order = [texts[number] for number in rng.permutation(len(texts))]
        for number, at in enumerate(range(0, len(order), _A_RECORDING)):
            name = f"{lang}/{number:02d}.flac"
            for text, start, end in _recorded(
                order[at : at + _A_RECORDING], lang, espeak, rng, output / "audio" / name
            ):
                meaning = meanings.get((lang, text))
                if meaning is None:  # no translation, but its own text is a true pair, too
                    meaning = f"{lang}: {text}"
                    rows.append({"meaning_id": meaning, "lang": lang, "modality": "text",
                                 "text": text})  # fmt: skip
                rows.append({"meaning_id": meaning, "lang": lang, "modality": "speech",
                             "source_uri": name, "start_s": start, "end_s": end})  # fmt: skip
        print(lang, len(order), "sentences", flush=True)
    spoken = pa.Table.from_pylist(rows, schema=gold.schema)
    pq.write_table(pa.concat_tables([gold, spoken]), output / "gold.parquet")


def _recorded(
    texts: list[str], lang: str, espeak: Espeak, rng: np.random.Generator, path: Path
) -> list[tuple[str, float, float]]:
    """Write one recording of one voice; where its sentences are, in seconds."""
    voice = f"{rng.choice(ESPEAK[lang])}+{rng.choice(VARIANTS)}"
    pieces, places, at = [], [], 0
    for text in texts:
        speaker = Speaker(
            voice=voice, rate=int(rng.integers(130, 195)), pitch=int(rng.integers(30, 75))
        )
        said = soxr.resample(espeak.say(text, speaker), espeak.rate_hz, RATE_HZ)
        clip = degraded(said, RATE_HZ, rng)  # one by one: it changes their length
        pause = np.zeros(round(rng.uniform(*_PAUSE_S) * RATE_HZ), np.float32)
        at += len(pause)
        places.append((text, at / RATE_HZ, (at + len(clip)) / RATE_HZ))
        at += len(clip)
        pieces += [pause, clip]
    sound = np.concatenate(pieces)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(sound, -0.999, 0.999), RATE_HZ)
    return places


if __name__ == "__main__":
    main()
