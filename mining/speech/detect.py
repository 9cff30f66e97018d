"""Where there is speech: the network of Silero VAD, many windows a call.

Silero VAD hears windows of 512 samples, each with the 64 samples before it, and carries a recurrent
state from one to the next. The package's own loop calls the network once a window. Only the
recurrence needs that order: here the spectrum and the convolutions of all windows of a block are one
batch, and the recurrent layer runs over the block as one sequence.

W windows of a block, F = 129 frequencies, H = 128 hidden values.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mining.contract.errors import AudioError, CheckpointError
from mining.contract.speech import SPEECH_RATE_HZ, Samples
from mining.threads import torch_threads

if TYPE_CHECKING:
    import torch

WINDOW_SAMPLES = 512
_CONTEXT_SAMPLES = 64  # of the window before, heard again
_PACKAGE = "silero-vad==6.2.3"
_SHA256 = "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720"
_BLOCK_WINDOWS = 1024  # 33 s; the fastest of 64, 256, 1024 and 4096, some 10 MB of spectra
_REVISION = 1  # of the arithmetic below: raise it when a probability may change
_FREQUENCIES, _HIDDEN, _HOP_SAMPLES = 129, 128, 128
_STRIDES = (1, 2, 2, 1)  # of the convolutions: they stand in the weights' code, not in a tensor


class SileroDetector:
    """Silero VAD at 16 kHz, from the weights that its package brings.

    The probabilities are those of the package's loop but for rounding: sums are taken in another
    order, which moved none by more than 3.1e-5 on 48 minutes of speech in 22 languages. The state
    belongs to a call, so one detector may serve several recordings in turn or at once.

    Args:
        threads: threads of torch during a call; torch's own setting is put back afterwards. More
            than one is slower on a busy machine: the steps of the recurrence are too small to share.
        weights: the package's ``silero_vad.jit``; not given: that of the installed package.

    Raises:
        CheckpointError: if the weights are missing, or are not the pinned ones.
    """

    def __init__(self, threads: int = 1, weights: str | Path | None = None) -> None:
        path = Path(weights) if weights is not None else _installed_weights()
        self._network = _Network(_verified(path))
        self._threads = threads

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights and of how they are computed."""
        decides = f"silero {_SHA256} {_BLOCK_WINDOWS} {_REVISION}"
        return hashlib.sha256(decides.encode()).hexdigest()

    @property
    def window_samples(self) -> int:
        """512 samples (32 ms) at 16 kHz."""
        return WINDOW_SAMPLES

    def probabilities(self, blocks: Iterable[Samples]) -> NDArray[np.float32]:
        """Speech probability of every window of one recording.

        Args:
            blocks: the recording in order, float32 [T] each, 16 kHz, read once. They are cut anew
                into blocks of a fixed size, so that the result has the same bits however they come.

        Returns:
            float32 [ceil(total / 512)]; the last window is filled up with zeros, as the package does.

        Raises:
            AudioError: if the sound holds values that are not finite, or beyond all measure.
        """
        state = self._network.silence()
        found = [np.empty(0, dtype=np.float32)]
        for sound in _reblocked(blocks):
            with torch_threads(self._threads):
                probability, state = self._network(sound, state)
            # What is not finite stays in the state: the last value tells of the whole block.
            if not np.isfinite(probability[-1]):
                window = sum(map(len, found)) + int(np.argmin(np.isfinite(probability)))
                raise AudioError(
                    f"speech detector: samples must be finite and about -1 to 1, but are not at "
                    f"{window * WINDOW_SAMPLES / SPEECH_RATE_HZ:.1f} s; decode the recording again"
                )
            found.append(probability)
        return np.concatenate(found)


def _reblocked(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Blocks of _BLOCK_WINDOWS windows with the context before them; the last is shorter.

    Yields:
        float32 [64 + 512 W], valid until the next one is asked for.
    """
    buffer = np.zeros(_CONTEXT_SAMPLES + _BLOCK_WINDOWS * WINDOW_SAMPLES, dtype=np.float32)
    filled = _CONTEXT_SAMPLES  # a recording begins with silence behind it
    for block in blocks:
        taken = 0
        while taken < len(block):
            part = block[taken : taken + len(buffer) - filled]
            buffer[filled : filled + len(part)] = part
            taken += len(part)
            filled += len(part)
            if filled == len(buffer):
                yield buffer
                buffer[:_CONTEXT_SAMPLES] = buffer[-_CONTEXT_SAMPLES:]
                filled = _CONTEXT_SAMPLES
    windows = -(-(filled - _CONTEXT_SAMPLES) // WINDOW_SAMPLES)
    if windows:
        buffer[filled:] = 0.0
        yield buffer[: _CONTEXT_SAMPLES + windows * WINDOW_SAMPLES]


class _Network:
    """The 16 kHz network of the weights, taken apart so that many windows go through at once."""

    def __init__(self, weights: bytes) -> None:
        import torch

        loaded: Any = torch.jit.load(io.BytesIO(weights), map_location="cpu")  # type: ignore[no-untyped-call]
        state: dict[str, torch.Tensor] = loaded._model.state_dict()
        self._basis = state["stft.forward_basis_buffer"]
        self._convolutions = [
            (
                state[f"encoder.{layer}.reparam_conv.weight"],
                state[f"encoder.{layer}.reparam_conv.bias"],
                stride,
            )
            for layer, stride in enumerate(_STRIDES)
        ]
        with torch.device("meta"):  # drawing initial weights would move the caller's random state
            self._recurrent = torch.nn.LSTM(_HIDDEN, _HIDDEN)
        cell = {
            f"{name}_l0": state[f"decoder.rnn.{name}"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        self._recurrent.load_state_dict(cell, assign=True)
        self._out_weight = state["decoder.decoder.2.weight"].reshape(_HIDDEN)
        self._out_bias = state["decoder.decoder.2.bias"]

    def silence(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The recurrent state at the start of a recording: hidden and cell, [1, 1, H] each."""
        import torch

        return torch.zeros(1, 1, _HIDDEN), torch.zeros(1, 1, _HIDDEN)

    def __call__(
        self, sound: Samples, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[NDArray[np.float32], tuple[torch.Tensor, torch.Tensor]]:
        """Probabilities float32 [W] of sound float32 [64 + 512 W], and the state after it."""
        import torch
        from torch.nn.functional import conv1d, pad

        with torch.inference_mode():
            heard = _CONTEXT_SAMPLES + WINDOW_SAMPLES
            windows = torch.from_numpy(sound).unfold(0, heard, WINDOW_SAMPLES)  # [W, 576]
            windows = pad(windows, (0, _CONTEXT_SAMPLES), "reflect")[:, None]  # [W, 1, 640]
            parts = conv1d(windows, self._basis, stride=_HOP_SAMPLES)  # [W, 2 F, 4]
            real, imaginary = parts[:, :_FREQUENCIES], parts[:, _FREQUENCIES:]
            features = (real**2 + imaginary**2).sqrt()
            for weight, bias, stride in self._convolutions:
                features = conv1d(features, weight, bias, stride=stride, padding=1).relu()
            # the strides have left one step of the four: [W, H, 1] is a sequence of batch one
            hidden, state = self._recurrent(features.permute(0, 2, 1), state)
            logit = hidden[:, 0].relu() @ self._out_weight + self._out_bias
            probability: NDArray[np.float32] = logit.sigmoid().numpy()
        return probability, state


def _installed_weights() -> Path:
    # Found without importing it: the package's import sets torch to one thread for good.
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            f"silero_vad: the package must be installed, but is not; pip install {_PACKAGE}"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit"


def _verified(path: Path) -> bytes:
    """The bytes of the weights, which are executable code: none but the pinned ones are loaded."""
    contents = path.read_bytes() if path.is_file() else None
    digest = "absent" if contents is None else hashlib.sha256(contents).hexdigest()
    if contents is None or digest != _SHA256:
        raise CheckpointError(
            f"{path}: sha256 must be {_SHA256}, but is {digest}; pip install {_PACKAGE}"
        )
    return contents
