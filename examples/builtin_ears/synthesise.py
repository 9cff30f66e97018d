"""Speak sentences of 22 languages by voices of two synthesisers, and list real recordings.

    python examples/builtin_ears/synthesise.py DATA OUT [--sentences 1600] [--seed 0] [--degrade]

Writes ``OUT/<synthesiser>/<lang>/<number>.flac``, a few dozen sentences of one voice each, and the
manifest ``OUT/synthetic.tsv``. flite is never used: it is the synthesiser that judges the
result.

DATA is laid out as in ``examples/evaluation/README.md``, its parallel text in ``text/packages``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile
import soxr
from degrade import degraded
from espeak import Espeak, Speaker
from festival import VOICES, say_all
from numpy.typing import NDArray
from sentences import Sentence, sentences

from mining.filter import load_guard

RATE_HZ = 16000
HEADER = (
    "audio", "lang", "transcript", "translation", "reading", "start_s", "end_s", "speaker",
)  # fmt: skip
_A_FILE = 40  # sentences
_GAP_S = 0.3
# Mongolian has no voice: Kazakh reads its letters.
ESPEAK = {
    "ara": ("ar",), "cat": ("ca",), "cym": ("cy",), "deu": ("de",),
    "eng": ("en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-029"), "est": ("et",),
    "fas": ("fa",), "fra": ("fr", "fr-be", "fr-ch"), "ind": ("id",), "ita": ("it",),
    "jpn": ("ja",), "lav": ("lv",), "mon": ("kk",), "nld": ("nl",), "por": ("pt", "pt-br"),
    "rus": ("ru",), "slv": ("sl",), "spa": ("es", "es-419"), "swe": ("sv",), "tam": ("ta",),
    "tur": ("tr",), "zho": ("cmn-latn-pinyin",),
}  # fmt: skip
# Variants that sound like someone; whispering, croaking and robots are left out.
VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2",
    "klatt3", "klatt4", "klatt6", "Alex", "Alicia", "Andrea", "Andy", "Annie", "Antonio", "Auntie",
    "Belinda", "Benjamin", "Boris", "Caleb", "David", "Denis", "Diogo", "Ed", "Gene", "Gene2",
    "Gustave", "Henrique", "Hugo", "Iven", "Iven2", "Iven3", "Jacky", "John", "Lee", "Linda",
    "Marcelo", "Marco", "Mario", "Max", "Michael", "Michel", "Miguel", "Mike", "Nguyen", "Pablo",
    "Paul", "Pedro", "Quincy", "Rob", "Robert", "Steph", "Steph2", "Steph3", "Storm", "Tweaky", "Zac",
    "anika", "edward", "edward2", "grandma", "grandpa", "norbert", "sandro", "shelby", "travis",
    "victor",
)  # fmt: skip

Samples = NDArray[np.float32]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--sentences", type=int, default=1600, help="a language, by eSpeak NG")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--degrade", action="store_true", help="in rooms and noise, see degrade.py")
    arguments = parser.parse_args()
    rows = [HEADER]
    for lang in ESPEAK:
        found = _allowed(
            sentences(arguments.data / "text/packages", lang, arguments.sentences, arguments.seed)
        )
        rows += _write("espeak", lang, _spoken_by_espeak(lang, found, arguments.seed), arguments)
        if lang in VOICES:
            share = found[: len(found) // 3]
            rows += _write("festival", lang, _spoken_by_festival(lang, share), arguments)
        print(lang, len(found), "sentences", flush=True)
    with (arguments.output / "synthetic.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)


def _allowed(found: list[Sentence]) -> list[Sentence]:
    """Sentences that no evaluation set holds."""
    guard = load_guard(("ntrex", "flores200-dev"), {})
    same = guard.matches(pa.chunked_array([[one.text for one in found]], pa.string()))
    return [one for one, match in zip(found, same.to_pylist(), strict=True) if match is None]


def _spoken_by_espeak(
    lang: str, found: Sequence[Sentence], seed: int
) -> Iterator[tuple[str, list[Sentence], list[Samples], int]]:
    espeak, rng = _espeak(), np.random.default_rng([seed, 1, *lang.encode()])
    for at in range(0, len(found), _A_FILE):
        share = list(found[at : at + _A_FILE])
        voice = f"{rng.choice(ESPEAK[lang])}+{rng.choice(VARIANTS)}"
        sounds = [
            espeak.say(
                one.spoken,
                Speaker(
                    voice=voice,
                    rate=int(rng.integers(115, 215)),
                    pitch=int(rng.integers(25, 80)),
                    pitch_range=int(rng.integers(25, 75)),
                ),
            )
            for one in share
        ]
        yield voice, share, sounds, espeak.rate_hz


_LIBRARY: list[Espeak] = []


def _espeak() -> Espeak:
    if not _LIBRARY:
        _LIBRARY.append(Espeak())
    return _LIBRARY[0]


def _spoken_by_festival(
    lang: str, found: Sequence[Sentence]
) -> Iterator[tuple[str, list[Sentence], list[Samples], int]]:
    for number, at in enumerate(range(0, len(found), _A_FILE)):
        voice = VOICES[lang][number % len(VOICES[lang])]
        share = list(found[at : at + _A_FILE])
        stretch = 0.8 + 0.1 * (number % 5)
        sounds, rate_hz = say_all([one.spoken for one in share], voice, stretch)
        yield voice.name, share, sounds, rate_hz


def _write(
    synthesiser: str,
    lang: str,
    spoken: Iterator[tuple[str, list[Sentence], list[Samples], int]],
    arguments: argparse.Namespace,
) -> list[tuple[str, ...]]:
    """Write files of a language; rows of the manifest."""
    rows: list[tuple[str, ...]] = []
    rng = np.random.default_rng([arguments.seed, 2, *lang.encode()])
    for number, (voice, share, sounds, rate_hz) in enumerate(spoken):
        name = f"{synthesiser}/{lang}/{number:04d}.flac"
        gap, at, pieces = np.zeros(round(_GAP_S * RATE_HZ), np.float32), 0, []
        for one, sound in zip(share, sounds, strict=True):
            clip = soxr.resample(sound, rate_hz, RATE_HZ) if len(sound) else sound
            if not np.any(clip):
                continue
            if arguments.degrade:
                clip = degraded(clip, RATE_HZ, rng)
            start, end = at / RATE_HZ, (at + len(clip)) / RATE_HZ
            rows.append((name, lang, one.text, one.translation, one.reading,
                         f"{start:.4f}", f"{end:.4f}", f"{synthesiser}-{voice}"))  # fmt: skip
            pieces += [clip, gap]
            at += len(clip) + len(gap)
        if pieces:
            path = arguments.output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.clip(np.concatenate(pieces), -0.999, 0.999), RATE_HZ)
    return rows


if __name__ == "__main__":
    main()
