"""Sentences to sound: synthesisers, trimming, noise, and what becomes of them in a recording.

Sound is mono float32, full scale 1.0, [T] samples at the rate that stands beside it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SPEECH_RMS = 0.07  # of every sentence, -23 dBFS, before the recording's own level
TONES_S = 4.0
LEAD_S = 0.6  # before the first sentence and after the last pause
_FRAME_S = 0.010
_SOUNDING_DB = -38.0  # below a sentence's loudest frame; breath and hiss lie lower
_MARGIN_S = 0.05  # kept around the sounding part, so that no onset is cut
_TALKERS = 6  # of babble


class SpeakError(Exception):
    """What the person at the keyboard can mend."""


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A voice as ``voices.tsv`` names it.

    Attributes:
        name: what ``audio.tsv`` calls it.
        lang: ISO 639-3 code.
        synthesiser: ``espeak-ng``, ``flite`` or ``festival``.
        voice: the synthesiser's own name for it.
        rate_percent: pace; 100 is the synthesiser's normal one.
        pitch: 0 to 99, 50 is normal; espeak-ng only.
    """

    name: str
    lang: str
    synthesiser: str
    voice: str
    rate_percent: int
    pitch: int


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording as ``recordings.tsv`` describes it.

    Attributes:
        name: path below ``audio/``.
        lang: ISO 639-3 code.
        rate_hz: sampling rate, one that Opus knows.
        channels: 1 or 2.
        noise: ``none``, ``white``, ``pink``, ``hum`` or ``babble``.
        snr_db: speech over noise; without meaning where there is none.
        level_db: of the whole, over the usual level.
        tones_after: sentences before a few seconds of tones; -1: no tones.
    """

    name: str
    lang: str
    rate_hz: int
    channels: int
    noise: str
    snr_db: float
    level_db: float
    tones_after: int


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One sentence to be spoken, and the silence after it."""

    voice: Voice
    text: str
    pause_ms: int


def require(voices: Sequence[Voice]) -> None:
    """Raise SpeakError unless every voice is installed.

    flite speaks with another voice, and espeak-ng leaves a variant out, rather than complain.
    """
    known = {"espeak-ng": _espeak_voices, "flite": _flite_voices, "festival": _festival_voices}
    for voice in voices:
        if voice.synthesiser not in known:
            raise SpeakError(
                f"voices.tsv: {voice.name}: synthesiser must be one of {sorted(known)}, but is "
                f"{voice.synthesiser!r}"
            )
        missing = set(voice.voice.split("+")) - known[voice.synthesiser]()
        if missing:
            raise SpeakError(
                f"voices.tsv: {voice.name}: {voice.synthesiser} must have {sorted(missing)}, but has "
                "not; install the packages that README.md names"
            )


@cache
def _espeak_voices() -> frozenset[str]:
    """File names of voices and variants. Behind an alias (``fr-fr``) a variant has no effect."""
    listed = _run(["espeak-ng", "--voices"]) + _run(["espeak-ng", "--voices=variant"])
    files = re.findall(r" (?:!v|\w+)/(\S+)", listed.decode())
    return frozenset(files) | frozenset(name.lower() for name in files)


@cache
def _flite_voices() -> frozenset[str]:
    return frozenset(_run(["flite", "-lv"]).decode().split(":", 1)[1].split())


@cache
def _festival_voices() -> frozenset[str]:
    listed = _run(["festival", "-b", "(print (voice.list))"]).decode()
    return frozenset(listed.strip().strip("()").split())


def synthesise(voice: Voice, text: str) -> tuple[Samples, int]:
    """Speak one sentence: mono sound and its rate in Hz, with the synthesiser's own silences."""
    pace = voice.rate_percent / 100
    with tempfile.TemporaryDirectory() as folder:
        out, script = f"{folder}/out.wav", Path(folder, "text")
        script.write_text(text + "\n", encoding="utf-8")
        if voice.synthesiser == "espeak-ng":
            settings = ["-s", str(round(175 * pace)), "-p", str(voice.pitch)]
            _run(["espeak-ng", "-v", voice.voice, *settings, "-w", out, "--stdin"], text.encode())
        elif voice.synthesiser == "flite":
            stretch = f"duration_stretch={1 / pace:.3f}"
            _run(["flite", "-voice", voice.voice, "--setf", stretch, "-f", str(script), "-o", out])
        else:
            stretch = f"(Parameter.set 'Duration_Stretch {1 / pace:.3f})"
            chosen = ["-eval", f"(voice_{voice.voice})", "-eval", stretch]
            latin = text.replace("’", "'").encode("latin-1")  # all that its voices read
            _run(["text2wave", *chosen, "-o", out, "-"], latin)
        sound, rate_hz = soundfile.read(out, dtype="float32")
    if not np.any(sound):
        raise SpeakError(f"voices.tsv: {voice.name}: must speak {text!r}, but is silent")
    return sound, int(rate_hz)


def sounding(sound: Samples, rate_hz: int) -> tuple[int, int]:
    """First sample that sounds and the one after the last, by the energy of frames of 10 ms."""
    frame = round(rate_hz * _FRAME_S)
    energy = np.square(sound[: len(sound) // frame * frame]).reshape(-1, frame).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (_SOUNDING_DB / 10))
    return int(loud[0]) * frame, (int(loud[-1]) + 1) * frame


def assemble(
    recording: Recording, utterances: Sequence[Utterance], chatter: Sequence[Utterance]
) -> tuple[Samples, list[tuple[float, float]]]:
    """Speak a recording.

    Args:
        recording: how it sounds.
        utterances: U sentences in order; a pause lasts from one sounding part to the next.
        chatter: what is heard in babble.

    Returns:
        float32 [T, channels] at ``recording.rate_hz`` and U times: start and end of the sounding
        part of each sentence, in seconds.
    """
    rate_hz = recording.rate_hz
    rng = np.random.default_rng(int.from_bytes(blake2b(recording.name.encode()).digest()[:8]))
    placed: list[tuple[int, Samples]] = []
    times = []
    at = round(LEAD_S * rate_hz)
    for number, utterance in enumerate(utterances):
        if number == recording.tones_after:
            placed.append((at, tones(rate_hz)))
            at += round((TONES_S + 0.5) * rate_hz)
        piece, start, end = _spoken(utterance, rate_hz)
        placed.append((at - start, piece))
        times.append((at / rate_hz, (at + end - start) / rate_hz))
        at += end - start + round(utterance.pause_ms / 1000 * rate_hz)
    mixed = np.zeros((at + round(LEAD_S * rate_hz), recording.channels), dtype=np.float64)
    for offset, piece in placed:
        mixed[offset : offset + len(piece)] += piece[:, None]
    mixed *= np.array([1.0, 0.6])[: recording.channels]  # a talker left of the middle
    if recording.noise != "none":
        loudness = SPEECH_RMS * 10 ** (-recording.snr_db / 20)
        for channel in range(recording.channels):
            noise = _noise(recording, len(mixed), rng, chatter)
            mixed[:, channel] += noise * (loudness / np.sqrt(np.mean(np.square(noise))))
    mixed *= 10 ** (recording.level_db / 20)
    return np.clip(mixed, -0.99, 0.99).astype(np.float32), times


def tones(rate_hz: int) -> Samples:
    """Four seconds of something like music: a scale of plucked chords."""
    notes_hz = np.array([262, 330, 392, 523, 440, 349, 392, 262]) * 1.0
    length = round(TONES_S * rate_hz / len(notes_hz))
    clock = np.arange(length) / rate_hz
    decay = np.exp(-4 * clock) * np.minimum(1, clock / 0.005)
    chords = [
        decay * sum(np.sin(2 * np.pi * note * ratio * clock) / ratio for ratio in (1, 1.5, 2, 3))
        for note in notes_hz
    ]
    sound = np.concatenate(chords)
    scaled: Samples = (sound * (SPEECH_RMS / np.sqrt(np.mean(sound**2)))).astype(np.float32)
    return scaled


def _spoken(utterance: Utterance, rate_hz: int) -> tuple[Samples, int, int]:
    """A sentence at a rate and the usual loudness; where in it the sounding part lies."""
    raw, raw_rate_hz = synthesise(utterance.voice, utterance.text)
    sound = soxr.resample(raw, raw_rate_hz, rate_hz)
    start, end = sounding(sound, rate_hz)
    loudness = float(np.sqrt(np.mean(np.square(sound[start:end]))))
    margin = round(_MARGIN_S * rate_hz)
    first, last = max(start - margin, 0), min(end + margin, len(sound))
    return sound[first:last] * np.float32(SPEECH_RMS / loudness), start - first, end - first


def _noise(
    recording: Recording, length: int, rng: np.random.Generator, chatter: Sequence[Utterance]
) -> NDArray[np.float64]:
    """Background of any loudness, [length]."""
    rate_hz = recording.rate_hz
    kinds: dict[str, Callable[[], NDArray[np.float64]]] = {
        "white": lambda: rng.standard_normal(length),
        "pink": lambda: _pink(length, rng),
        "hum": lambda: _hum(length, rate_hz, rng),
        "babble": lambda: _babble(length, rate_hz, rng, chatter),
    }
    if recording.noise not in kinds:
        raise SpeakError(
            f"recordings.tsv: {recording.name}: noise must be none or one of {sorted(kinds)}, but is "
            f"{recording.noise!r}"
        )
    return kinds[recording.noise]()


def _pink(length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(rng.standard_normal(length))
    pink: NDArray[np.float64] = np.fft.irfft(
        spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), n=length
    )
    return pink


def _hum(length: int, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mains at 50 Hz with its odd harmonics, and a little hiss."""
    clock = np.arange(length) / rate_hz
    sound = 0.05 * rng.standard_normal(length)
    for harmonic in (1, 3, 5, 7):
        sound += np.sin(2 * np.pi * 50 * harmonic * clock + rng.uniform(0, 6.28)) / harmonic
    return sound


def _babble(
    length: int, rate_hz: int, rng: np.random.Generator, chatter: Sequence[Utterance]
) -> NDArray[np.float64]:
    """Several talkers at once, each saying other sentences over and over."""
    pieces = [_spoken(utterance, rate_hz)[0] for utterance in chatter]
    sound = np.zeros(length)
    for talker in range(_TALKERS):
        own = np.concatenate(pieces[talker::_TALKERS])
        repeated = np.tile(own, length // len(own) + 2)
        offset = int(rng.integers(len(own)))
        sound += repeated[offset : offset + length]
    return sound


def _run(command: Sequence[str], text: bytes = b"") -> bytes:
    """Run a synthesiser; its output."""
    if shutil.which(command[0]) is None:
        raise SpeakError(f"{command[0]}: must be installed, but is not; see README.md")
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise SpeakError(
            f"{' '.join(command)}: must succeed, but ends with {done.returncode}: {last}"
        )
    return done.stdout
