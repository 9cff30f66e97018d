"""Log-mel spectra with fixed settings: what an utterance is like elsewhere changes no frame.

B clips, T samples, F frames, M mel bands.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torchaudio.functional import melscale_fbanks

from mining.contract.speech import SPEECH_RATE_HZ, Samples

BANDS = 64
HOP = 160  # samples: 100 frames a second
_WINDOW = 400  # 25 ms
_FFT = 512
_LOW_HZ, _HIGH_HZ = 20.0, 7600.0
# Power of a frame at which the ear is deaf: about -90 dB of full scale, below the noise of 16 bits.
_FLOOR = 1e-5
LOG_FLOOR = -11.512925  # its logarithm


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Log-mel spectrum.

    Frame f is centred at sample ``HOP`` * (f + 1/2); samples beyond the ends count as silence.

    Args:
        samples: float32 [B, T] at SPEECH_RATE_HZ.

    Returns:
        float32 [B, F, M], natural logarithm of power, F = T // ``HOP``.
    """
    frames = samples.shape[-1] // HOP
    margin = (_FFT - HOP) // 2
    padded = torch.nn.functional.pad(samples, (margin, margin))
    windows = padded.unfold(-1, _FFT, HOP)[:, :frames] * _window(samples.device)
    power = torch.fft.rfft(windows).abs().square()
    found: torch.Tensor = (power @ _filters(samples.device)).clamp_min(_FLOOR).log()
    return found


def spectrum(clip: Samples) -> NDArray[np.float32]:
    """Log-mel spectrum of one clip, float32 [T]: float32 [F, M]."""
    return log_mel(torch.from_numpy(np.ascontiguousarray(clip)).unsqueeze(0))[0].numpy()


@cache
def _window(device: torch.device) -> torch.Tensor:
    window = torch.zeros(_FFT)
    start = (_FFT - _WINDOW) // 2
    window[start : start + _WINDOW] = torch.hann_window(_WINDOW)
    return window.to(device)


@cache
def _filters(device: torch.device) -> torch.Tensor:
    found: torch.Tensor = melscale_fbanks(
        _FFT // 2 + 1, _LOW_HZ, _HIGH_HZ, BANDS, SPEECH_RATE_HZ, norm="slaney", mel_scale="slaney"
    )
    return found.to(device)
