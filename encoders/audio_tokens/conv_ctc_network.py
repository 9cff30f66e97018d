"""A small recogniser of letters, all of it convolutions: the ears of ``builtin``.

It reads log-mel spectra, or the states of a pretrained speech encoder. Of spectra it hears a few seconds
to each side and no more, so the letters of a stretch do not depend on what the rest of the recording is
like. Residual blocks after Liu et al. 2022 ("A ConvNet for the 2020s", section 2.6) along time; letters
by CTC (Graves et al. 2006).

B clips, F frames of the input (spectra 100 a second, states 50), C network frames (25 a second), O
output frames (50 a second), M mel bands or width of a state, W width, S symbols.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel

from encoders.audio_tokens.logmel import BANDS

OUTPUTS = 2  # output frames a network frame
RATE_HZ = 50.0  # of output frames
_SPECTRA_HZ, _STATES_HZ, _NETWORK_HZ = 100, 50, 25
BLANK = 0
SYMBOLS = ("", " ", *"abcdefghijklmnopqrstuvwxyz")
_LEVEL_FRAMES = 301  # 3 s: over this the mean of each band is taken out


class ConvCtcConfig(PretrainedConfig):  # type: ignore[misc]
    """Sizes.

    Attributes:
        width: W, of a frame.
        blocks: residual blocks.
        kernel: frames that a block looks at, odd.
        expand: inner width of a block over W.
        symbols: S, blank included.
        languages: ISO 639-3 codes that it is told apart by: how a sound is spelled is a matter of
            language. Others, and speech of unknown language, it spells as it can.
        states: width of the encoder's states that it reads; 0: it reads spectra.
    """

    model_type = "conv_ctc"

    def __init__(
        self,
        width: int = 256,
        blocks: int = 16,
        kernel: int = 9,
        expand: int = 4,
        symbols: int = len(SYMBOLS),
        languages: Sequence[str] = (),
        states: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.blocks = blocks
        self.kernel = kernel
        self.expand = expand
        self.symbols = symbols
        self.languages = list(languages)
        self.states = states

    @property
    def bands(self) -> int:
        """M, numbers of an input frame."""
        return self.states or BANDS

    @property
    def input_hz(self) -> int:
        """Input frames a second."""
        return _STATES_HZ if self.states else _SPECTRA_HZ

    @property
    def stride(self) -> int:
        """Input frames a network frame."""
        return self.input_hz // _NETWORK_HZ

    def output_frames(self, frames: torch.Tensor) -> torch.Tensor:
        """Output frames of clips of so many input frames."""
        strides = torch.div(frames + self.stride - 1, self.stride, rounding_mode="floor")
        return strides * OUTPUTS


class Block(nn.Module):
    """x + the network of x; frames of no clip stay zero."""

    def __init__(self, config: ConvCtcConfig) -> None:
        super().__init__()
        width = config.width
        self.mix = nn.Conv1d(width, width, config.kernel, padding="same", groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, config.expand * width)
        self.narrow = nn.Linear(config.expand * width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[B, C, W] to the same; ``mask`` is float [B, C, 1]."""
        mixed = self.mix(x.transpose(1, 2)).transpose(1, 2)
        found = self.narrow(functional.gelu(self.wide(self.norm(mixed))))
        summed: torch.Tensor = x + found * mask
        return summed


class ConvCtcModel(PreTrainedModel):  # type: ignore[misc]
    """Spectra, or states, to letters."""

    config_class = ConvCtcConfig
    base_model_prefix = "conv_ctc"

    def __init__(self, config: ConvCtcConfig) -> None:
        super().__init__(config)
        self.front = nn.Linear(2 * config.stride * config.bands, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, OUTPUTS * config.symbols)
        self.language = nn.Embedding(1 + len(config.languages), config.width)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """As torch draws them, but residual blocks begin near the identity."""
        if isinstance(module, Block):
            nn.init.normal_(module.narrow.weight, std=0.1 / module.narrow.in_features**0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.zeros_(module.weight)

    def numbers_of(self, langs: Sequence[str]) -> torch.Tensor:
        """Numbers of languages, int64 [B]; 0: unknown."""
        known = {lang: number for number, lang in enumerate(self.config.languages, start=1)}
        return torch.tensor([known.get(lang, 0) for lang in langs])

    def forward(
        self,
        spectra: torch.Tensor,
        frames: torch.Tensor,
        langs: torch.Tensor,
        taps: tuple[int, ...] = (),
    ) -> list[torch.Tensor]:
        """Logits [B, O, S] after the blocks in ``taps`` and after the last one.

        Args:
            spectra: log-mel, or states [B, F, M]; beyond a clip's end anything.
            frames: int64 [B], input frames of each clip.
            langs: int64 [B], see :meth:`numbers_of`.
            taps: numbers of blocks whose output is read, too.
        """
        stride = self.config.stride
        spectra = functional.pad(spectra, (0, 0, 0, -spectra.shape[1] % stride))
        places = torch.arange(spectra.shape[1], device=spectra.device)
        heard = (places < frames[:, None]).unsqueeze(2).to(spectra.dtype)
        spectra = spectra * heard if self.config.states else levelled(spectra, heard)
        # each network frame sees its own input frames and half of both neighbours'
        padded = functional.pad(spectra, (0, 0, stride // 2, stride // 2))
        windows = padded.unfold(1, 2 * stride, stride).flatten(2)
        mask = heard[:, ::stride]
        x = (self.front(windows) + self.language(langs).unsqueeze(1)) * mask
        found = []
        for number, block in enumerate(self.blocks):
            x = block(x, mask)
            if number in taps:
                found.append(self._read(x))
        return [*found, self._read(x)]

    def _read(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(x))
        return logits.reshape(len(x), -1, self.config.symbols)


def levelled(spectra: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """Spectra without the mean of each band over 3 s around: no matter how loud, or how dull.

    Args:
        spectra: [B, F, M].
        heard: 1.0 where a frame is of the clip, [B, F, 1].
    """
    side = _LEVEL_FRAMES // 2
    mean = _around(spectra * heard, side) / _around(heard, side).clamp_min(1.0)
    return (spectra - mean) * heard


def _around(rows: torch.Tensor, side: int) -> torch.Tensor:
    """Sums over up to ``side`` rows before and behind each row: [B, F, M] to the same.

    In float64: a difference of long sums, which must not depend on how much was summed before.
    """
    frames = rows.shape[1]
    sums = functional.pad(rows.double().cumsum(1), (0, 0, 1, 0))
    places = torch.arange(frames, device=rows.device)
    ends, starts = (places + side + 1).clamp_max(frames), (places - side).clamp_min(0)
    return (sums[:, ends] - sums[:, starts]).to(rows.dtype)


def context_s(config: ConvCtcConfig) -> float:
    """How far to each side a letter depends on the sound, seconds; with states on all of the clip."""
    if config.states:
        return math.inf
    reach = config.blocks * (config.kernel // 2) * config.stride + config.stride
    # half a window, and half an output frame
    return (reach + _LEVEL_FRAMES // 2) / config.input_hz + 0.02
