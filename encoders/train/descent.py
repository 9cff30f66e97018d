"""AdamW over the parts of a model that a config names, and its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from encoders.dual.model import DualEncoder
from encoders.train.config import Optimiser, Training
from mining.contract.errors import ConfigError

_LARGEST_SCALE = 100.0  # Radford et al. 2021, section 2.5
_AUDIO_PARTS = ("audio", "projection")


class LogitScale(nn.Module):
    """The scale of the softmax, learned as its logarithm.

    Args:
        start: 1 / temperature.
    """

    def __init__(self, start: float, device: str) -> None:
        super().__init__()
        self._limit = math.log(max(start, _LARGEST_SCALE))
        self.log = nn.Parameter(torch.tensor(math.log(start), device=device))

    def forward(self) -> torch.Tensor:
        """The scale, a scalar."""
        return self.log.exp()

    def keep_within_limit(self) -> None:
        """Called after each update."""
        with torch.no_grad():
            self.log.clamp_(max=self._limit)


def trained_parameters(model: DualEncoder, config: Training) -> dict[str, list[nn.Parameter]]:
    """The parameters of each part that is trained; all others are frozen.

    Raises:
        ConfigError: the model has none of the parts.
    """
    parts = model.parts()
    wanted: tuple[str, ...] = config.model.train
    chosen = {name: parts[name] for name in wanted if parts.get(name)}
    if not chosen:
        raise ConfigError(
            f"model.train: must name a part that the model has, but has only "
            f"{', '.join(name for name in parts if parts[name])}"
        )
    model.requires_grad_(False)
    for parameters in chosen.values():
        for parameter in parameters:
            parameter.requires_grad_(True)
    return chosen


def make_optimiser(
    parts: dict[str, list[nn.Parameter]], scale: LogitScale, config: Training
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) with one or two groups a part: with decay and without."""
    told = config.optimiser
    groups = []
    for name, parameters in parts.items():
        own = told.audio_rate if name in _AUDIO_PARTS else None
        rate = told.rate if own is None else own
        matrices = [p for p in parameters if p.ndim >= 2]
        vectors = [p for p in parameters if p.ndim < 2]
        groups.append({"params": matrices, "peak": rate, "weight_decay": told.decay})
        groups.append({"params": vectors, "peak": rate, "weight_decay": 0.0})
    scale.requires_grad_(config.loss.learn_scale)
    if config.loss.learn_scale:
        groups.append({"params": [scale.log], "peak": told.rate, "weight_decay": 0.0})
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=told.rate)


def rate_factor(step: int, settings: Optimiser) -> float:
    """Share of the highest rate that a step takes: a linear rise, then a linear fall.

    Args:
        step: 0-based; the first has a rate above 0, and so has the last.
        settings: ``steps`` and ``warm_up``.
    """
    rise = (step + 1) / settings.warm_up if settings.warm_up else 1.0
    fall = (settings.steps - step) / max(1, settings.steps - settings.warm_up)
    return min(1.0, rise, fall)


def set_rate(optimiser: torch.optim.Optimizer, step: int, settings: Optimiser) -> None:
    """Give every group its rate for a step."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * rate_factor(step, settings)
