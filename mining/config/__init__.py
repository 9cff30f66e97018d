"""Configuration: YAML in, frozen dataclasses out, every fault named at once."""

from mining.config.execution import Execution
from mining.config.load import load_config, resolved_yaml, stage_hash
from mining.config.model import Config

__all__ = ["Config", "Execution", "load_config", "resolved_yaml", "stage_hash"]
