"""Low-rank adapters on a backbone (Hu et al. 2022), by peft: added to train, merged to save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mining.contract.errors import ConfigError

_ADAPTER = "default"


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """How large the adapters are, and where they sit.

    Attributes:
        rank: r.
        alpha: the update is scaled by alpha / r.
        dropout: of the adapters' input.
        targets: names of linear layers, or ``all-linear``.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"


def add_adapters(backbone: nn.Module, settings: LoraSettings) -> None:
    """Put adapters beside linear layers, in place. They change nothing before they are trained.

    Their weights are drawn by torch's global generator.

    Raises:
        ConfigError: peft is not installed, there are adapters already, or no layer has such a name.
    """
    if lora_parameters(backbone):
        raise ConfigError("lora: must be added once, but the model has adapters already")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ConfigError(
            "lora: needs peft, which is not installed; install the extra: "
            "pip install 'bitext-mining-pipeline[train]'"
        ) from None
    trained = {name: weight.requires_grad for name, weight in backbone.named_parameters()}
    weights = dict(backbone.named_parameters())
    targets = settings.targets
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # a factor, whatever its annotation
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    try:
        inject_adapter_in_model(config, backbone, adapter_name=_ADAPTER)
    except ValueError as error:
        reason = str(error).split("\n")[0]
        raise ConfigError(
            f"lora.targets: must name linear layers of the backbone, but {targets!r} does not: "
            f"{reason[:200]}"
        ) from None
    for name, weight in weights.items():  # peft freezes all others; that is for the trainer to say
        weight.requires_grad_(trained[name])


def lora_parameters(backbone: nn.Module) -> list[nn.Parameter]:
    """Weights of the adapters; none if there are no adapters."""
    return [weight for name, weight in backbone.named_parameters() if ".lora_" in name]


def merged_state(backbone: nn.Module) -> dict[str, torch.Tensor]:
    """Weights under the names of the backbone's own modules, adapters added in.

    The backbone itself is left as it is: merging in place and taking it back would round twice.
    """
    state: dict[str, torch.Tensor] = {}
    for name, value in backbone.state_dict().items():
        if ".lora_" not in name:
            state[name.replace(".base_layer.", ".")] = value
    with torch.no_grad():
        for name, module in _adapted(backbone):
            key = f"{name}.weight"
            state[key] = state[key] + module.get_delta_weight(_ADAPTER).to(state[key].dtype)
    return state


def _adapted(backbone: nn.Module) -> list[tuple[str, Any]]:
    return [
        (name, module) for name, module in backbone.named_modules()
        if hasattr(module, "base_layer") and hasattr(module, "get_delta_weight")
    ]  # fmt: skip
