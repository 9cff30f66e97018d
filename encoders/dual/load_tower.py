"""Which network a model folder holds."""

from __future__ import annotations

from pathlib import Path

from encoders.dual.config import CONFIG_FILE, TRANSFORMER, WORDBAG, DualEncoderConfig
from encoders.dual.tower import Tower
from encoders.dual.wording import Wording
from mining.contract.errors import CheckpointError


def load_tower(folder: Path, config: DualEncoderConfig, wording: Wording, dtype: str) -> Tower:
    """Open the network of a model folder, on the CPU.

    Raises:
        CheckpointError: a file is missing or damaged, or the parts do not match.
    """
    if config.tower == TRANSFORMER:
        from encoders.dual.transformer_tower import load_transformer_tower

        return load_transformer_tower(folder, config, wording, dtype)
    if config.tower == WORDBAG:
        from encoders.dual.wordbag_tower import load_wordbag_tower

        return load_wordbag_tower(folder, config, wording)
    raise CheckpointError(
        f"{folder / CONFIG_FILE}: tower must be {TRANSFORMER} or {WORDBAG}, but is "
        f"{config.tower!r}; the model is of another version"
    )
