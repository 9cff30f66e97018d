"""Audio tokens as in Gomez et al. 2024: nearest centroids of a speech encoder's hidden states.

F frames, H width, a units.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from encoders.audio_tokens.card import AudioTokenizerCard, KnownByCard
from encoders.audio_tokens.equalise import STATE_DEVIATION, STATE_MEAN, StateScale
from encoders.audio_tokens.framing import Framing
from encoders.audio_tokens.hidden_states import HiddenStates
from encoders.audio_tokens.inputs import SCALE_DEVIATION, SCALE_MEAN, Scale
from encoders.audio_tokens.layer_states import Wish, kept_framing, kept_layer
from encoders.audio_tokens.networks import chosen_device
from encoders.audio_tokens.settings import FIXED, KMEANS, MOST_UNITS, SETTINGS_FILE, read_settings
from encoders.checkpoint import content_digest, embedding_dim, stated_licence
from mining.contract.errors import CheckpointError
from mining.contract.speech import Samples

ENCODER_FOLDER = "encoder"
CENTROIDS_FILE = "centroids.safetensors"
CENTROIDS = "centroids"
_METHOD = 1  # raised when the same files would give other units


class KMeansUnits(KnownByCard):
    """The centroid that is nearest to each frame's hidden state, by L2; ties to the lowest index."""

    def __init__(
        self,
        card: AudioTokenizerCard,
        states: HiddenStates,
        scale: StateScale | None,
        centroids: NDArray[np.float32],
    ) -> None:
        """Put together what :func:`load_kmeans` has loaded.

        Args:
            card: what the tokenizer says of itself.
            states: the encoder.
            scale: of the states; None: they are taken as they are.
            centroids: float32 [a, H], of scaled states.
        """
        self._card, self._states, self._scale = card, states, scale
        # float64: no rounding decides between two centroids, whatever shape the product has.
        self._centroids = torch.from_numpy(centroids).double().to(states.device)
        self._halves = (self._centroids**2).sum(dim=1) / 2

    def frames(
        self, clips: Sequence[Samples], langs: Sequence[str] | None = None
    ) -> list[NDArray[np.int16]]:
        """Units of each clip: int16 [F].

        A clip that is shorter than half a frame, or has a sample that is not finite, has none.

        Args:
            clips: float32 [T] each, at SPEECH_RATE_HZ, none longer than ``max_clip_s``.
            langs: not asked for.

        Raises:
            ConfigError: a clip is longer than ``max_clip_s``.
            CapacityError: a clip does not fit into GPU memory.
        """
        return [self.nearest(states) for states in self._states.of(clips)]

    def nearest(self, states: NDArray[np.float32]) -> NDArray[np.int16]:
        """Unit of each state of one clip, float32 [F, H] from its first frame: int16 [F]."""
        scaled = states if self._scale is None else self._scale.of(states)
        rows = torch.from_numpy(scaled).double().to(self._centroids.device)
        distances = self._halves - rows @ self._centroids.T  # half the square, less |row|^2 / 2
        return distances.argmin(dim=1).cpu().numpy().astype(np.int16)


def load_kmeans(folder: Path, *, device: str = "cpu", threads: int | None = None) -> KMeansUnits:
    """Load a folder that :func:`encoders.audio_tokens.kmeans_fit.fit_kmeans_tokenizer` wrote.

    Args:
        folder: of the tokenizer.
        device: ``cpu``, ``cuda``, or ``auto``.
        threads: of torch; None: as the process has them.

    Raises:
        CheckpointError: the folder is not whole, or its parts do not fit each other.
        ConfigError: there is no such device name.
        CapacityError: there is no such device.
    """
    card, framing, settings = _describe(folder)
    chosen = chosen_device(device, threads)
    home, layer = folder / ENCODER_FOLDER, settings["layer"]
    tensors = _tensors(folder / CENTROIDS_FILE)
    if not all(bool(np.isfinite(tensor).all()) for tensor in tensors.values()):
        raise CheckpointError(
            f"{folder / CENTROIDS_FILE}: numbers must be finite, but are not; copy or fit it again"
        )
    scale = None
    if settings["normalise"] == FIXED:
        scale = Scale(mean=tensors[SCALE_MEAN], deviation=tensors[SCALE_DEVIATION])
    wish = Wish(
        layer=layer,
        rate_hz=settings["rate_hz"],
        normalise=settings["normalise"],
        window_s=settings["window_s"] or None,
    )
    states = kept_layer(home, framing, wish, scale, chosen)
    equal = None
    if settings["equalise"]:
        equal = StateScale(mean=tensors[STATE_MEAN], deviation=tensors[STATE_DEVIATION])
        if not bool((equal.deviation > 0).all()):
            raise CheckpointError(
                f"{folder / CENTROIDS_FILE}: {STATE_DEVIATION} must be above 0, but is not; fit it again"
            )
    return KMeansUnits(card, states, equal, tensors[CENTROIDS])


def describe_kmeans(folder: Path) -> AudioTokenizerCard:
    """What a folder says of itself; reads and hashes its files, but loads no network.

    Raises:
        CheckpointError: the folder is not whole, or its parts do not fit each other.
    """
    return _describe(folder)[0]


def _describe(folder: Path) -> tuple[AudioTokenizerCard, Framing, dict[str, Any]]:
    kind, settings = read_settings(folder)
    if kind != KMEANS:
        raise CheckpointError(f"{folder / SETTINGS_FILE}: kind must be {KMEANS}, but is {kind!r}")
    home = folder / ENCODER_FOLDER
    path = folder / SETTINGS_FILE
    framing = kept_framing(home, settings["layer"], settings["rate_hz"], path)
    _check_shapes(folder, settings, embedding_dim(home), framing.positions)
    decides = f"{KMEANS}\n{_METHOD}\n{content_digest(folder)}"
    card = AudioTokenizerCard(
        name=settings["name"],
        fingerprint=hashlib.sha256(decides.encode()).hexdigest(),
        units=settings["units"],
        blank=None,
        symbols=None,
        rate_hz=framing.rate_hz,
        context_s=math.inf,
        max_clip_s=framing.max_clip_s,
        licence=stated_licence(home) or "unknown",
    )
    return card, framing, settings


def _check_shapes(folder: Path, settings: dict[str, Any], width: int, positions: int) -> None:
    path = folder / CENTROIDS_FILE
    shapes = {name: tensor.shape for name, tensor in _tensors(path).items()}
    wanted: dict[str, tuple[int, ...] | None] = {CENTROIDS: (settings["units"], width)}
    if settings["normalise"] == FIXED:
        channels = shapes.get(SCALE_MEAN)
        wanted |= {SCALE_MEAN: channels, SCALE_DEVIATION: channels}
    if settings["equalise"]:
        wanted |= {STATE_MEAN: (positions, width), STATE_DEVIATION: (width,)}
    for name, shape in wanted.items():
        if shape is None or shapes.get(name) != shape:
            raise CheckpointError(
                f"{path}: {name} must be of shape {shape or 'of the inputs'}, as {SETTINGS_FILE} and "
                f"the encoder say, but is {shapes.get(name, 'missing')}; take all from one place"
            )
    if not 2 <= settings["units"] <= MOST_UNITS:
        raise CheckpointError(
            f"{folder / SETTINGS_FILE}: units must be 2 to {MOST_UNITS}, but are {settings['units']}"
        )


def _tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    if not path.is_file():
        raise CheckpointError(
            f"{path}: must be there, but is not; fit the tokenizer again, or copy its whole folder"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: must be whole safetensors, but is not ({error}); copy it again"
        ) from None
    odd = sorted(name for name, tensor in tensors.items() if tensor.dtype != np.float32)
    if odd:
        raise CheckpointError(
            f"{path}: {odd[0]} must be float32, but is {tensors[odd[0]].dtype}; fit it again"
        )
    return tensors
