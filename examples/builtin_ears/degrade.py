"""Synthetic speech as it would sound in a room, over a microphone, in noise.

What is learned from clean synthetic speech is of no use on any other; this is what the dual encoder
hears in training, so that its rows know the letters that the recogniser mistakes.

T samples.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Samples = NDArray[np.float32]


def degraded(sound: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Other tempo and pitch, an echo, a dull or sharp microphone, and noise.

    Args:
        sound: float32 [T], not silent.
        rate_hz: of it.
        rng: draws everything.

    Returns:
        float32 [T'], 0.85 to 1.15 T long.
    """
    pace = rng.uniform(0.87, 1.15)
    found = soxr.resample(sound, rate_hz * pace, rate_hz)
    if rng.random() < 0.6:
        found = _echo(found, rate_hz, rng)
    found = _coloured(found, rng, 5.0)
    if rng.random() < 0.8:
        noise = _coloured(rng.standard_normal(len(found)), rng, 8.0)
        loudness = np.sqrt(np.mean(np.square(found)) / max(np.mean(np.square(noise)), 1e-12))
        found = found + noise * loudness * 10 ** (-rng.uniform(2, 35) / 20)
    peak = np.abs(found).max()
    return (found / max(peak, 1e-9) * 10 ** (-rng.uniform(1, 25) / 20)).astype(np.float32)


def _echo(sound: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Noise that falls by 60 dB in 0.1 to 0.7 s, behind the direct sound."""
    fall_s = rng.uniform(0.1, 0.7)
    times = np.arange(int(fall_s * rate_hz)) / rate_hz
    tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / fall_s)
    tail *= rng.uniform(0.2, 1.2) / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    wet: Samples = fftconvolve(sound, tail)[: len(sound)]
    return wet


def _coloured(sound: Samples, rng: np.random.Generator, spread_db: float) -> Samples:
    """Through a smooth random filter; one in four without what is above 3 to 7 kHz."""
    spectrum = np.fft.rfft(sound)
    places = np.linspace(0, 1, len(spectrum)) ** 0.5  # finer where speech is
    gains_db = np.interp(places, np.linspace(0, 1, 7), rng.normal(0, spread_db, 7))
    if rng.random() < 0.25:
        gains_db[int(len(spectrum) * rng.uniform(0.4, 0.9)) :] -= 50
    filtered: Samples = np.fft.irfft(spectrum * 10 ** (gains_db / 20), len(sound))
    return filtered
