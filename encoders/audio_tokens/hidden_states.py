"""Hidden states of one layer of a Hugging Face speech encoder, frame by frame.

F frames, H width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.audio_tokens.framing import WINDOWED, Framing, usable_clips
from encoders.audio_tokens.inputs import NetworkInputs
from encoders.audio_tokens.networks import computing
from mining.contract.errors import CheckpointError
from mining.contract.speech import Samples

_COLUMNS = 2  # of a spectrogram that one output of Whisper's reads


class HiddenStates:
    """Outputs of a layer as they leave it: before the norm that follows the last layer.

    So they are the same whether or not further layers follow.
    """

    def __init__(
        self,
        network: Any,
        inputs: NetworkInputs,
        framing: Framing,
        layer: int,
        device: str,
        *,
        window_s: float | None = None,
    ) -> None:
        """Listen to a layer.

        Args:
            network: an encoder of transformers.
            inputs: what it reads.
            framing: of its outputs.
            layer: 0-based.
            device: that it is moved to.
            window_s: an encoder with windows of fixed length (Whisper) hears each clip in one of the
                fewest multiples of this, seconds, and what lies behind it is left out instead of
                computed; None: in its whole window, as in its training.

        Raises:
            CheckpointError: there is no such layer.
        """
        layers = getattr(getattr(network, "encoder", network), "layers", None)
        if layers is None or layer >= len(layers):
            raise CheckpointError(
                f"{type(network).__name__}: must have a layer {layer} (0-based), but has "
                f"{0 if layers is None else len(layers)} layers; choose another layer"
            )
        self._network = network.to(device)
        self._inputs, self._framing, self.device = inputs, framing, device
        self._heard: torch.Tensor | None = None
        self._windows = None
        if window_s is not None and framing.inputs == WINDOWED:
            self._windows = _Windows(self._network, round(window_s * framing.output_hz))
        layers[layer].register_forward_hook(self._hear)

    def of(self, clips: Sequence[Samples]) -> list[NDArray[np.float32]]:
        """Mean outputs of each clip's frames: float32 [F, H] each.

        A clip that is shorter than half a frame, or has a sample that is not finite, has no frames.

        Args:
            clips: float32 [T] each, at SPEECH_RATE_HZ.

        Raises:
            ConfigError: a clip is longer than ``max_clip_s``.
            CapacityError: a clip does not fit into GPU memory.
        """
        rows = set(usable_clips(clips, self._framing))
        width = int(self._network.config.hidden_size)
        empty = np.empty((0, width), np.float32)
        return [self._of(clip) if row in rows else empty for row, clip in enumerate(clips)]

    def _of(self, clip: Samples) -> NDArray[np.float32]:
        network, tensor = self._network, self._inputs.tensor(clip)
        wanted = self._framing.outputs(len(clip))
        if self._windows is not None:
            network, positions = self._windows.network(wanted)
            tensor = tensor[..., : _COLUMNS * positions]
        with computing(type(network).__name__):
            network(tensor.to(self.device))
        heard, self._heard = self._heard, None
        if heard is None or heard.shape[1] < wanted:
            raise CheckpointError(
                f"{type(self._network).__name__}: must give {wanted} outputs for {len(clip)} samples, "
                f"but gives {0 if heard is None else heard.shape[1]}; its config.json states other "
                "strides than its weights have"
            )
        outputs = heard[0, :wanted].float().cpu().numpy()
        return self._framing.averaged(outputs, len(clip))

    def _hear(self, module: Any, given: Any, result: Any) -> None:
        self._heard = result[0] if isinstance(result, tuple) else result


class _Windows:
    """Whisper's encoder with windows of several lengths, which share all weights.

    Its positions are sinusoids: those of a shorter window are the first of the longer one's.

    Args:
        network: an encoder of transformers.
        step: positions that the lengths are multiples of.
    """

    def __init__(self, network: Any, step: int) -> None:
        self._network, self._step = network, step
        self._narrow: dict[int, Any] = {}

    def network(self, wanted: int) -> tuple[Any, int]:
        """The network with the shortest window for so many positions, and how many it has."""
        longest = int(self._network.config.max_source_positions)
        positions = min(-(-wanted // self._step) * self._step, longest)
        if positions == longest:
            return self._network, longest
        if positions not in self._narrow:
            self._narrow[positions] = _narrowed(self._network, positions)
        return self._narrow[positions], positions


def _narrowed(network: Any, positions: int) -> Any:
    """The same modules, but for the table of positions."""
    twin = copy.copy(network)
    twin._modules = dict(network._modules)
    twin.config = copy.copy(network.config)
    twin.config.max_source_positions = positions
    kept = network.embed_positions.weight[:positions]
    twin.embed_positions = torch.nn.Embedding(positions, kept.shape[1], _weight=kept)
    return twin
