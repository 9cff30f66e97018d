"""Spectra as other throats, rooms, microphones and moods would make them; less can be done to states.

Everything happens to log-mel spectra, which costs a hundredth of doing it to sound. Ranges were set
by hand, once.

F frames, M mel bands, H width of a state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from encoders.audio_tokens.logmel import BANDS, LOG_FLOOR

Spectrum = NDArray[np.float32]
_DECIBEL = np.log(10) / 10  # natural logarithm of power


def augmented(
    spectrum: Spectrum, other: Spectrum, strength: float, rng: np.random.Generator
) -> Spectrum:
    """A spectrum [F', M] that says the same in F' frames, 0.75 to 1.35 F.

    Args:
        spectrum: float32 [F, M].
        other: of someone else, who may be heard in the background.
        strength: 0 to 1: how likely, and how far from the original.
        rng: draws everything.
    """
    found = _throat(_tempo(spectrum, strength, rng), rng)
    if rng.random() < 0.5 * strength:
        found = _room(found, strength, rng)
    found = _microphone(found, rng)
    if rng.random() < 0.2 + 0.4 * strength:
        found = _noise(found, strength, rng)
    if rng.random() < 0.15 * strength:
        found = _background(found, other, rng)
    return _masked(np.maximum(found, LOG_FLOOR), rng).astype(np.float32)


def augmented_states(states: Spectrum, strength: float, rng: np.random.Generator) -> Spectrum:
    """States [F', H] of an encoder that say the same in F' frames, 0.75 to 1.35 F.

    What a voice or a room does to them is not known; tempo and gaps are. The pace changes half as often
    as that of spectra, which have twice as many frames.

    Args:
        states: float32 [F, H], mean 0.
        strength: 0 to 1: how uneven, and how many numbers of all frames are wiped out (a fifth at 1).
        rng: draws everything.
    """
    found = _tempo(states, strength, rng)
    found[:, rng.random(found.shape[1]) < 0.2 * strength] = 0.0
    return _gaps(found, 0.0, 2, rng).astype(np.float32)


def _tempo(spectrum: Spectrum, strength: float, rng: np.random.Generator) -> Spectrum:
    """Faster or slower as a whole, and uneven: synthesisers keep time too well."""
    frames = len(spectrum)
    knots = max(2, frames // 25)
    pace = rng.uniform(0.82, 1.22) * np.exp(
        rng.uniform(0, 0.3 * strength) * rng.standard_normal(knots)
    )
    steps = np.interp(np.linspace(0, knots - 1, frames), np.arange(knots), pace)
    times = np.concatenate([[0.0], np.cumsum(steps.clip(0.5, 2.0))])
    wanted = np.arange(max(8, int(np.clip(times[-1], 0.75 * frames, 1.35 * frames))))
    places = np.interp(wanted, times * (len(wanted) / times[-1]), np.arange(frames + 1))
    low = np.clip(places.astype(int), 0, frames - 1)
    high = np.minimum(low + 1, frames - 1)
    part = (places - low).clip(0, 1)[:, None].astype(np.float32)
    mixed: Spectrum = spectrum[low] * (1 - part) + spectrum[high] * part
    return mixed


def _throat(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """Longer or shorter: bands move (vocal tract length, Jaitly and Hinton 2013)."""
    bands = np.arange(BANDS)
    shift = rng.uniform(-2.5, 2.5)
    places = np.clip(bands * rng.uniform(0.9, 1.1) + shift, 0, BANDS - 1)
    low = np.minimum(places.astype(int), BANDS - 2)
    part = (places - low).astype(np.float32)
    mixed: Spectrum = spectrum[:, low] * (1 - part) + spectrum[:, low + 1] * part
    return mixed


def _room(spectrum: Spectrum, strength: float, rng: np.random.Generator) -> Spectrum:
    """Echoes that fall by 60 dB in 0.1 to 0.8 s."""
    keep = 10 ** (-6 / (rng.uniform(0.1, 0.8) * 100))
    gain = rng.uniform(0.05, 0.05 + 0.55 * strength) * (1 - keep)
    power = np.exp(spectrum)
    echoes = lfilter([0.0, 1.0], [1.0, -keep], power, axis=0)
    logs: Spectrum = np.log(power + gain * echoes)
    return logs


def _microphone(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """A smooth curve over the bands, louder or softer, and sometimes a narrow band."""
    curve = np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 7), rng.normal(0, 4, 7))
    level = rng.uniform(-25, 6) + rng.uniform(-8, 8) * np.linspace(-1, 1, BANDS)
    found: Spectrum = spectrum + ((curve + level) * _DECIBEL).astype(np.float32)
    if rng.random() < 0.25:
        found[:, rng.integers(BANDS * 3 // 4, BANDS) :] = LOG_FLOOR
    if rng.random() < 0.15:
        found[:, : rng.integers(1, 6)] = LOG_FLOOR
    return found


def _noise(spectrum: Spectrum, strength: float, rng: np.random.Generator) -> Spectrum:
    """Steady noise of some colour, 3 to 40 dB below the speech."""
    colour = np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 5), rng.normal(0, 6, 5))
    loud = np.log(np.exp(spectrum).mean(axis=1).max() + 1e-9)
    level = loud - rng.uniform(20 - 17 * strength, 40) * _DECIBEL
    wander = np.interp(
        np.arange(len(spectrum)), np.linspace(0, len(spectrum), 6), rng.normal(0, 3, 6)
    )
    grain = np.log(rng.exponential(1.0, spectrum.shape) * 0.5 + 0.5)
    noise = level + (colour[None] + wander[:, None]) * _DECIBEL + grain
    found: Spectrum = np.logaddexp(spectrum, noise)
    return found


def _background(spectrum: Spectrum, other: Spectrum, rng: np.random.Generator) -> Spectrum:
    """Someone else, 8 to 25 dB softer."""
    at = rng.integers(0, len(other))
    looped = np.take(other, np.arange(at, at + len(spectrum)), axis=0, mode="wrap")
    gap = spectrum.max() - looped.max() - rng.uniform(8, 25) * _DECIBEL
    found: Spectrum = np.logaddexp(spectrum, looped + gap)
    return found


def _masked(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """Stretches and bands are wiped out (SpecAugment, Park et al. 2019)."""
    mean = float(spectrum.mean())
    for _ in range(rng.integers(0, 3)):
        width = int(rng.integers(0, 9))
        at = int(rng.integers(0, BANDS - width))
        spectrum[:, at : at + width] = mean
    return _gaps(spectrum, mean, 1, rng)


def _gaps(frames: Spectrum, filled: float, merged: int, rng: np.random.Generator) -> Spectrum:
    """Up to 16 hundredths of a second wiped out, once in 1.5 s or less; ``merged`` of them a frame."""
    for _ in range(int(rng.integers(0, 1 + len(frames) * merged // 150 + 1))):
        width = int(rng.integers(0, 16)) // merged
        at = int(rng.integers(0, max(1, len(frames) - width)))
        frames[at : at + width] = filled
    return frames
