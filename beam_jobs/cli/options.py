"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mining.config import Config, load_config
from mining.config.yaml_nodes import parse_yaml
from mining.contract.errors import ConfigError
from mining.io.filesystem import Storage

Command = Callable[..., Any]


def config_options(command: Command) -> Command:
    """``--config``, ``--output`` and ``--set``."""
    for option in (
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
                     help="Replace one setting, such as mining.k=8. May be repeated."),
        click.option("--output", metavar="URI", help="Output folder; replaces the config's."),
        click.option("--config", "config_path", required=True, metavar="FILE",
                     help="The run's YAML file."),
    ):  # fmt: skip
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """Options of commands that do work: the config's, the runner's, and Beam's own."""
    return work_options(click.argument("beam_args", nargs=-1, type=click.UNPROCESSED)(command))


def work_options(command: Command) -> Command:
    """The same without Beam's own, for commands that have arguments themselves."""
    for option in (
        click.option("--quiet", is_flag=True, help="No progress on stderr."),
        click.option("--runner", metavar="NAME",
                     help="Beam runner. DirectRunner (the default) is Beam's in-process runner: "
                     "nothing is downloaded. Any Beam option may follow after --."),
    ):  # fmt: skip
        command = option(command)
    return config_options(command)


def read_config(
    config_path: str, overrides: tuple[str, ...], output: str | None, runner: str | None = None
) -> Config:
    """The config as the command line changes it."""
    if runner is not None:
        overrides = (*overrides, f"execution.runner={runner}")
    return load_config(config_path, overrides, output)


def storage_options(text: str) -> Storage:
    """The value of ``--storage``.

    Raises:
        ConfigError: if it is no YAML mapping.
    """
    problems: list[str] = []
    options = parse_yaml(text, "--storage", problems).plain()
    if problems or not isinstance(options, dict):
        raise ConfigError(f"--storage: must be a YAML mapping, but is {text!r}")
    return Storage(options=options)
