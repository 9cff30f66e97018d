"""k-means over a stream of frames, and the folder of a tokenizer that uses it.

F frames, H width, a units. The one place of ``encoders`` that imports FAISS.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from encoders.audio_tokens.card import AudioTokenizerCard
from encoders.audio_tokens.equalise import PositionMeans, StateScale, deviation_of
from encoders.audio_tokens.framing import WINDOWED, Framing
from encoders.audio_tokens.hidden_states import HiddenStates
from encoders.audio_tokens.kmeans_units import (
    CENTROIDS,
    CENTROIDS_FILE,
    ENCODER_FOLDER,
    describe_kmeans,
)
from encoders.audio_tokens.layer_states import WINDOW_S, Wish, cut_layer, layer_count
from encoders.audio_tokens.networks import chosen_device
from encoders.audio_tokens.settings import FIXED, KMEANS, MOST_UNITS, UTTERANCE
from encoders.audio_tokens.writing import keep_model_card, model_folder, new_folder, write_settings
from mining.contract.errors import ConfigError, InputError
from mining.contract.speech import SPEECH_RATE_HZ, Samples

_LOG = logging.getLogger(__name__)

_ITERATIONS = 25  # FAISS's own default; the distance falls by little after that
_SAMPLE_BYTES = 1 << 30  # 262,144 frames of width 1,024: 256 a unit, which FAISS takes at most


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """What k-means found.

    Attributes:
        centroids: float32 [a, H].
        frames: that the stream held.
        sampled: frames of them that the clusters were fitted on.
        empty: clusters without any frame of the sample.
        bits: entropy of the units of the sample; log2(a) where all are as frequent.
        distance: mean squared distance of the sample to its centroids.
    """

    centroids: NDArray[np.float32]
    frames: int
    sampled: int
    empty: int
    bits: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class KMeansFit:
    """What is fitted.

    Attributes:
        encoder: folder of a speech encoder, or ``org/name`` on the model hub.
        revision: commit, tag or branch; for a hub name only.
        name: of the tokenizer.
        layer: whose output is clustered, 0-based; -1: the middle one (Gomez et al. 2024).
        units: clusters (1,024 in Gomez et al. 2024).
        rate_hz: outputs are averaged down to this rate (25 Hz in Gomez et al. 2024).
        normalise: of encoders whose extractor scales every clip by itself: ``fixed`` scales all alike,
            ``utterance`` does as the extractor. Others are never scaled.
        equalise: whether every dimension of a state weighs the same; else the states are clustered
            as they are.
        sample_bytes: memory for the frames that are clustered.
    """

    encoder: str
    revision: str | None = None
    name: str = "kmeans"
    layer: int = -1
    units: int = 1024
    rate_hz: float = 25.0
    normalise: str = FIXED
    equalise: bool = True
    sample_bytes: int = _SAMPLE_BYTES


def fit_kmeans(
    features: Iterable[NDArray[np.float32]],
    units: int,
    *,
    seed: int,
    sample_bytes: int = _SAMPLE_BYTES,
    threads: int | None = None,
) -> Clusters:
    """Cluster a uniform sample of a stream of frames (Lloyd's algorithm of FAISS, 25 rounds).

    The sample does not depend on where the stream is cut into arrays. The same frames, seed and
    number of threads give the same centroids on one kind of machine.

    Args:
        features: float32 [F, H] each, read once.
        units: a.
        seed: of the sample and of the first centroids.
        sample_bytes: memory for the sample; the rest of the stream is seen, but not kept.
        threads: of FAISS; None: as the process has them.

    Raises:
        InputError: fewer frames than units.
        ConfigError: the memory does not hold one frame for each unit.
    """
    sample, _, frames = _reservoir(features, units, seed, sample_bytes)
    return _clustered(sample, frames, units, seed, threads)


def _clustered(
    sample: NDArray[np.float32], frames: int, units: int, seed: int, threads: int | None
) -> Clusters:
    import faiss

    if len(sample) < units:
        raise InputError(
            f"k-means: there must be at least {units} frames for {units} units, but there are "
            f"{len(sample)}; give more speech, or fewer units"
        )
    kmeans = faiss.Kmeans(
        sample.shape[1],
        units,
        niter=_ITERATIONS,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(sample),
    )
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(threads or before)
        kmeans.train(sample)
        squares, nearest = kmeans.index.search(sample, 1)
    finally:
        faiss.omp_set_num_threads(before)
    counts = np.bincount(nearest[:, 0], minlength=units)
    shares = counts[counts > 0] / len(sample)
    clusters = Clusters(
        centroids=np.ascontiguousarray(kmeans.centroids, np.float32),
        frames=frames,
        sampled=len(sample),
        empty=int((counts == 0).sum()),
        bits=float(-(shares * np.log2(shares)).sum()),
        distance=float(squares.mean(dtype=np.float64)),
    )
    if clusters.empty:
        _LOG.warning(
            "k-means: %d of %d units stand for no frame; fit on more speech, or fewer units",
            clusters.empty,
            units,
        )
    return clusters


def fit_kmeans_tokenizer(
    fit: KMeansFit,
    clips: Iterable[Samples],
    folder: Path,
    *,
    seed: int,
    device: str = "cpu",
    threads: int | None = None,
) -> AudioTokenizerCard:
    """Fit k-means units and write the tokenizer's folder, which appears only when it is whole.

    The folder holds the encoder up to the layer and needs nothing else.

    Args:
        fit: what is fitted.
        clips: speech, float32 [T] each at SPEECH_RATE_HZ, none longer than the encoder takes; drawn at
            random, for the first ten minutes settle the scale of the input.
        folder: that is written; must not exist yet.
        seed: of k-means.
        device: ``cpu``, ``cuda``, or ``auto``.
        threads: of torch and FAISS; None: as the process has them.

    Raises:
        ConfigError: a setting is wrong for this encoder, the folder exists, or a clip is too long.
        CheckpointError: the encoder cannot be loaded.
        InputError: there are fewer frames than units.
        CapacityError: there is no such device, or a clip does not fit on it.
    """
    _check(fit)
    chosen = chosen_device(device, threads)
    source = model_folder(fit.encoder, fit.revision)
    with new_folder(folder) as made:
        heard, stated, tensors = _listening(fit, source, made, iter(clips), chosen)
        sample, numbers, frames = _reservoir(heard, fit.units, seed, fit.sample_bytes)
        if fit.equalise:
            tensors |= _equalised(sample, heard.positions(numbers), heard.means).tensors()
        clusters = _clustered(sample, frames, fit.units, seed, threads)
        save_file({CENTROIDS: clusters.centroids, **tensors}, made / CENTROIDS_FILE)
        fitted = {
            "seconds": round(heard.seconds, 3),
            "frames": clusters.frames,
            "sampled": clusters.sampled,
            "empty": clusters.empty,
            "bits": round(clusters.bits, 4),
            "seed": seed,
        }
        keep_model_card(source, made / ENCODER_FOLDER)
        write_settings(made, KMEANS, {**stated, "fitted": fitted})
        describe_kmeans(made)
    _LOG.info("%s: %d units of %.0f s of speech", folder, fit.units, heard.seconds)
    return describe_kmeans(folder)


def _listening(
    fit: KMeansFit, source: Path, made: Path, clips: Iterator[Samples], device: str
) -> tuple[_Heard, dict[str, Any], dict[str, NDArray[np.float32]]]:
    """The encoder, saved up to its layer: states of the clips, settings, and tensors to be saved."""
    layer = _layer(fit, layer_count(source))
    wish = Wish(layer=layer, rate_hz=fit.rate_hz, normalise=fit.normalise, window_s=WINDOW_S)
    cut = cut_layer(source, fit.encoder, wish, clips, made / ENCODER_FOLDER, device)
    stated = {
        "name": fit.name,
        "units": fit.units,
        "layer": layer,
        "rate_hz": fit.rate_hz,
        "normalise": cut.normalise,
        "equalise": fit.equalise,
        "window_s": wish.window_s,
    }
    tensors = {} if cut.scale is None else cut.scale.tensors()
    return _Heard(cut.states, cut.framing, cut.clips), stated, tensors


class _Heard:
    """States of clips as they come; of windows, filled with clips end to end."""

    def __init__(self, states: HiddenStates, framing: Framing, clips: Iterator[Samples]) -> None:
        self.seconds = 0.0
        self.means = PositionMeans(framing.positions)
        self._states, self._framing, self._clips = states, framing, clips
        self._starts = [0]  # number of the first frame of each clip

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        if self._framing.inputs == WINDOWED:
            self._clips = _windows(self._clips, int(self._framing.max_clip_s * SPEECH_RATE_HZ))
        for clip in self._clips:
            states = self._states.of([clip])[0]
            if len(states):
                self.seconds += len(clip) / SPEECH_RATE_HZ
                self.means.add(states)
                self._starts.append(self._starts[-1] + len(states))
                yield states

    def positions(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Place in its clip of each frame of the stream."""
        starts = np.array(self._starts)
        return np.asarray(numbers - starts[np.searchsorted(starts, numbers, side="right") - 1])


def _windows(clips: Iterable[Samples], most: int) -> Iterator[Samples]:
    """Clips joined to windows of at most ``most`` samples; those not finite are left out.

    A window costs the same whatever is in it, and every position of it must be met.
    """
    held: list[Samples] = []
    for clip in clips:
        if not np.isfinite(clip).all():
            continue
        if held and sum(map(len, held)) + len(clip) > most:
            yield np.concatenate(held)
            held = []
        held.append(clip)
    if held:
        yield np.concatenate(held)


def _equalised(
    sample: NDArray[np.float32], positions: NDArray[np.int64], means: PositionMeans
) -> StateScale:
    """Scale of the states; the sample is scaled where it lies."""
    if not len(sample):
        return StateScale(mean=np.zeros((1, 0), np.float32), deviation=np.zeros(0, np.float32))
    mean = means.mean()
    rows = np.minimum(positions, len(mean) - 1)
    for low in range(0, len(sample), 4096):
        sample[low : low + 4096] -= mean[rows[low : low + 4096]]
    scale = StateScale(mean=mean, deviation=deviation_of(sample))
    sample /= scale.deviation
    return scale


def _check(fit: KMeansFit) -> None:
    if not 2 <= fit.units <= MOST_UNITS:
        raise ConfigError(f"units: must be 2 to {MOST_UNITS}, but are {fit.units}")
    if fit.normalise not in (FIXED, UTTERANCE):
        raise ConfigError(f"normalise: must be {FIXED} or {UTTERANCE}, but is {fit.normalise!r}")


def _layer(fit: KMeansFit, layers: int) -> int:
    if fit.layer == -1:
        return (layers - 1) // 2
    if not 0 <= fit.layer < layers:
        raise ConfigError(
            f"layer: must be 0 to {layers - 1}, or -1 for the middle one, for {fit.encoder}, but is "
            f"{fit.layer}"
        )
    return fit.layer


def _reservoir(
    features: Iterable[NDArray[np.float32]], units: int, seed: int, sample_bytes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Uniform sample without replacement (Vitter 1985, algorithm R).

    Returns:
        The sample, the number in the stream of each of its frames, and how many the stream held.

    Frame i of the stream replaces place floor(u * (i + 1)) of the sample if there is one, u in
    [0, 1): one draw a frame, wherever the stream is cut.
    """
    draw = np.random.default_rng(seed)
    sample, kept = np.empty((0, 0), np.float32), np.empty(0, np.int64)
    seen = 0
    for frames in features:
        if not len(frames):
            continue
        if not seen:
            width = frames.shape[1]
            sample = np.empty((_places(width, units, sample_bytes), width), np.float32)
            kept = np.empty(len(sample), np.int64)
        numbers = seen + np.arange(len(frames))
        places = np.floor(draw.random(len(frames)) * (numbers + 1)).astype(np.int64)
        places = np.where(numbers < len(sample), numbers, places)
        # The last frame of an array that falls on a place is the one that stays.
        last = len(frames) - 1 - np.unique(places[::-1], return_index=True)[1]
        last = last[places[last] < len(sample)]
        sample[places[last]], kept[places[last]] = frames[last], numbers[last]
        seen += len(frames)
    return sample[:seen], kept[:seen], seen


def _places(width: int, units: int, sample_bytes: int) -> int:
    places = sample_bytes // (4 * width)
    if places < units:
        raise ConfigError(
            f"sample_bytes: must hold a frame for each of {units} units, {4 * width * units} bytes, but "
            f"are {sample_bytes}; allow more memory"
        )
    return places
