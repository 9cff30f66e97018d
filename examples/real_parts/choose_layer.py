"""Which layer of a speech encoder has units that tell letters? Asked of training clips only.

    python examples/real_parts/choose_layer.py MANIFEST ENCODER OUT.tsv [--clips 400] [--units 256]

Of every layer: k-means units of half of the clips, aligned with their letters; then the bits that they
save a letter of the other half (speakers of one half are not in the other).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from encoders.audio_tokens.collapse import collapsed
from encoders.audio_tokens.framing import at_rate, framing_of
from encoders.audio_tokens.hidden_states import HiddenStates
from encoders.audio_tokens.inputs import NetworkInputs
from encoders.audio_tokens.kmeans_fit import fit_kmeans
from encoders.audio_tokens.layer_states import WINDOW_S
from encoders.audio_tokens.letters import letters
from encoders.audio_tokens.networks import load_config, load_encoder_network, load_extractor
from encoders.audio_tokens.settings import NONE
from encoders.dual.align_rows import Transcribed, align
from encoders.train.data.sound import sounds
from mining.contract.speech import SPEECH_RATE_HZ

_RATE_HZ = 25.0
_SEED = 0

Rows = list[dict[str, str]]
States = list[NDArray[np.float32]]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path, help="people.tsv: columns audio, transcript, ...")
    parser.add_argument("encoder", type=Path, help="a Hugging Face folder")
    parser.add_argument("output", type=Path)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--units", type=int, default=256)
    told = parser.parse_args()
    torch.set_num_threads(1)
    rows = drawn(read_table(told.manifest), told.clips)
    lines = ["layer\tbits\tunits"]
    for layer, saved in bits_of_layers(rows, told.encoder, told.units).items():
        lines.append(f"{layer}\t{saved:.4f}\t{told.units}")
        print(lines[-1], flush=True)
    told.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def best_layer(path: Path) -> int:
    """The layer of a table with the most bits."""
    return int(max(read_table(path), key=lambda row: float(row["bits"]))["layer"])


def bits_of_layers(rows: Rows, encoder: Path, units: int) -> dict[int, float]:
    """Bits a letter that the units of each layer save, of clips that they were not aligned on."""
    numbers, layers = _states(rows, encoder)
    rows = [rows[number] for number in numbers]
    said = [np.frombuffer(_spelled(row).encode(), np.uint8).astype(np.int64) for row in rows]
    halves = np.array([_half(row["speaker"] or row["audio"]) for row in rows])
    found = {}
    for layer, states in enumerate(layers):
        scale = np.concatenate(states)
        states = [(one - scale.mean(0)) / scale.std(0) for one in states]
        clusters = fit_kmeans(
            [one for one, half in zip(states, halves, strict=True) if half == 0],
            units,
            seed=_SEED,
            threads=1,
        )
        clips = [
            Transcribed(units=_units(one, clusters.centroids), ids=ids)
            for one, ids in zip(states, said, strict=True)
        ]
        sides = [[clips[i] for i in np.flatnonzero(halves == half)] for half in (0, 1)]
        found[layer] = align(sides[0], units).bits(sides[1])
    return found


def drawn(rows: Rows, count: int) -> Rows:
    """Clips of all languages alike: those with the lowest hashes, longer ones cut to one window."""
    usable = [row for row in rows if len(_spelled(row)) >= 8]
    ranked: dict[str, Rows] = {}
    for row in sorted(usable, key=lambda one: _digest(one["audio"] + one["start_s"])):
        ranked.setdefault(row["lang"], []).append(row)
    rounds = (of[i] for i in range(count) for of in ranked.values() if i < len(of))
    return [row for row, _ in zip(rounds, range(count), strict=False)]


def read_table(path: Path) -> Rows:
    """A TSV file without quoting."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _states(rows: Rows, encoder: Path) -> tuple[list[int], list[States]]:
    """Which rows could be heard, and of every layer the states of each: float32 [F, H]."""
    config = load_config(encoder)
    framing = at_rate(framing_of(config.to_dict(), str(encoder)), _RATE_HZ, str(encoder))
    network = load_encoder_network(encoder, int(config.num_hidden_layers))
    inputs = NetworkInputs(load_extractor(encoder), framing, NONE, None)
    heard = [
        HiddenStates(network, inputs, framing, layer, "cpu", window_s=WINDOW_S)
        for layer in range(len(network.layers))
    ]
    table = pa.table(
        {
            "audio": [row["audio"] for row in rows],
            "start_s": [float(row["start_s"] or 0) for row in rows],
            "end_s": pa.array(
                [float(row["end_s"]) if row["end_s"] else None for row in rows], pa.float64()
            ),
        }
    )
    numbers: list[int] = []
    layers: list[States] = [[] for _ in network.layers]
    for sound in sounds(table, int(framing.max_clip_s * SPEECH_RATE_HZ), lambda clip_id: False):
        if sound.samples is None or not framing.frames(len(sound.samples)):
            continue
        numbers.append(sound.number)
        for states, layer in zip(layers, heard, strict=True):
            states += layer.of([sound.samples])
    return numbers, layers


def _units(states: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    distances = (centroids**2).sum(1) / 2 - states @ centroids.T
    return collapsed(distances.argmin(1).astype(np.int16), None, merge_repeats=True)


def _spelled(row: dict[str, str]) -> str:
    return letters(row.get("reading") or row["transcript"]).replace(" ", "")


def _half(speaker: str) -> int:
    return _digest(speaker)[0] % 2


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


if __name__ == "__main__":
    main()
