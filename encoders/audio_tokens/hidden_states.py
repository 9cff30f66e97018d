"""Hidden states of one layer of a Hugging Face speech encoder, frame by frame.

F frames, H width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.audio_tokens.framing import Framing, usable_clips
from encoders.audio_tokens.inputs import NetworkInputs
from encoders.audio_tokens.networks import computing
from mining.contract.errors import CheckpointError
from mining.contract.speech import Samples


class HiddenStates:
    """Outputs of a layer as they leave it: before the norm that follows the last layer.

    So they are the same whether or not further layers follow.
    """

    def __init__(
        self, network: Any, inputs: NetworkInputs, framing: Framing, layer: int, device: str
    ) -> None:
        """Listen to a layer.

        Args:
            network: an encoder of transformers.
            inputs: what it reads.
            framing: of its outputs.
            layer: 0-based.
            device: that it is moved to.

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
        with computing(type(self._network).__name__):
            self._network(self._inputs.tensor(clip).to(self.device))
        heard, self._heard = self._heard, None
        wanted = self._framing.outputs(len(clip))
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
