"""Where a recogniser runs, and in which number format."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path

from encoders.load import require_device
from mining.contract.errors import CapacityError, CheckpointError, ConfigError
from mining.contract.model_ref import RecogniserRef

_LOG = logging.getLogger(__name__)
_DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how a model runs.

    Attributes:
        device: ``cpu`` or ``cuda``.
        dtype: number format of weights and arithmetic, never ``auto``.
        threads: None: as the library has them.
    """

    device: str
    dtype: str
    threads: int | None = None


def runtime_of(
    kind_is_ctranslate2: bool, ref: RecogniserRef, device: str, threads: int | None
) -> Runtime:
    """The device and number format that a reference and a wish mean on this machine.

    Raises:
        ConfigError: no such device name, or a number format that the kind of model does not have.
        CapacityError: there is no such device, or it cannot compute in the number format.
        CheckpointError: CTranslate2 is needed and not installed.
    """
    if device not in _DEVICES:
        raise ConfigError(f"device: must be one of {', '.join(_DEVICES)}, but is {device!r}")
    if kind_is_ctranslate2:
        return _for_ctranslate2(ref, device, threads)
    if ref.dtype == "int8":
        raise ConfigError(
            f"dtype int8: must be left to faster-whisper models, but {ref.path!r} is a Hugging Face "
            "model; use auto, float32, or on a GPU bfloat16 or float16"
        )
    dtype = "float32" if ref.dtype == "auto" else ref.dtype
    return Runtime(device=require_device(device), dtype=dtype, threads=threads)


def _for_ctranslate2(ref: RecogniserRef, device: str, threads: int | None) -> Runtime:
    if ref.dtype == "bfloat16":  # numpy, through which encoder output passes, has no such type
        raise ConfigError("dtype bfloat16: must be float16, float32 or int8 for faster-whisper")
    if importlib.util.find_spec("faster_whisper") is None:
        raise CheckpointError(
            f"recogniser {ref.path!r}: needs the package faster-whisper, but it is not installed; "
            "install the extra: pip install 'bitext-mining-pipeline[whisper]'"
        )
    import ctranslate2

    has_gpu = ctranslate2.get_cuda_device_count() > 0
    if device == "cuda" and not has_gpu:
        raise CapacityError(
            "device cuda: a GPU must be there for faster-whisper, but CTranslate2 sees none; use "
            "device auto or cpu, or install the GPU's driver"
        )
    if device == "auto":
        device = "cuda" if has_gpu else "cpu"
        if not has_gpu and Path("/proc/driver/nvidia").is_dir():
            _LOG.warning(
                "there is a GPU, but CTranslate2 does NOT see it: %s runs on the CPU, many times "
                "slower; install a CTranslate2 with CUDA, or use a Hugging Face model",
                ref.path,
            )
    dtype: str = ref.dtype
    if dtype == "auto":
        dtype = "float16" if device == "cuda" else "int8"
    if dtype not in ctranslate2.get_supported_compute_types(device):
        raise CapacityError(
            f"dtype {dtype}: must be one that this {device} computes in, but is not; use auto, "
            "float32 or int8"
        )
    return Runtime(device=device, dtype=dtype, threads=threads)
