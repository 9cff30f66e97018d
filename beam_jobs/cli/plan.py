"""``mining plan``."""

from __future__ import annotations

import dataclasses
import difflib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from beam_jobs.cli.options import config_options, read_config
from beam_jobs.progress import Progress
from mining.config import Config
from mining.config.execution import Rates
from mining.contract.errors import ConfigError, InputError
from mining.contract.languages import canonical_language
from mining.contract.schemas import SPEECH, TEXT


@click.command("plan")
@config_options
@click.option("--rows", metavar="deu=10e6,eng=2e8",
              help="Rows of text by language, instead of counting the files. With several text corpora: "
              "corpus.deu=10e6.")  # fmt: skip
@click.option("--audio-hours", metavar="deu=1000", help="The same for hours of speech.")
@click.option("--pilot", metavar="1%", help="Run the stages on this share of every corpus, at two "
              "sizes, and extrapolate.")  # fmt: skip
@click.option("--pilot-output", metavar="DIR", help="New or empty folder that keeps what the pilot "
              "wrote; otherwise it is removed.")  # fmt: skip
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 100_000),
              help="Also hours on so many workers like this machine.")  # fmt: skip
@click.option("--simulate", is_flag=True, help="Also play the search for neighbours on --workers: who "
              "is lost, who is slow, what is read again.")  # fmt: skip
@click.option("--preemptions", default=0.0, show_default=True, type=click.FloatRange(0.0, 3600.0),
              help="With --simulate: how often a worker is lost in an hour.")  # fmt: skip
@click.option("--stragglers", metavar="5%:2", help="With --simulate: which share of the workers takes "
              "how many times as long.")  # fmt: skip
@click.option("--rate", "rates", multiple=True, metavar="KIND=PRICE",
              help="cpu_hour, gpu_hour or disk_gib_month, over execution.rates. May be "
              "repeated.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON: seconds and bytes.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def plan_command(
    config_path: str,
    overrides: tuple[str, ...],
    output: str | None,
    rows: str | None,
    audio_hours: str | None,
    pilot: str | None,
    pilot_output: str | None,
    workers: int,
    simulate: bool,
    preemptions: float,
    stragglers: str | None,
    rates: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what a run will cost before it is made: time, memory, disk and price.

    Counts the corpora, or takes --rows and --audio-hours in place of what they hold. With --pilot
    every stage is measured on a sample and extrapolated by its own law: fixed cost and rows, audio or
    neighbours; the search for neighbours also by the product of both sides' rows, whose speed here is
    measured.
    """
    config = read_config(config_path, (*overrides, *_rate_settings(rates)), output)
    fraction = None if pilot is None else _fraction("--pilot", pilot)
    slow, slowdown = _stragglers(stragglers)
    if not simulate and (preemptions or slow):
        raise ConfigError(
            "--preemptions, --stragglers: must come with --simulate, but it is not given"
        )
    given = {
        name: _by_corpus(config, option, text, modality)
        for name, option, text, modality in (
            ("rows", "--rows", rows, TEXT), ("audio_hours", "--audio-hours", audio_hours, SPEECH),
        )
    }  # fmt: skip
    from beam_jobs.forecast.forecast import forecast
    from beam_jobs.forecast.work import Asked
    from beam_jobs.plan import Plan
    from mining.forecast import Fleet, render
    from mining.forecast.render import to_json

    seconds = {
        name: {lang: 3600.0 * hours for lang, hours in langs.items()}
        for name, langs in given["audio_hours"].items()
    }

    fleet = Fleet(workers=workers, preemptions=preemptions, stragglers=slow, slowdown=slowdown)

    def run(folder: Path) -> None:
        asked = Asked(
            rows=given["rows"], audio_s=seconds, fraction=fraction, workers=workers, folder=folder,
            fleet=fleet if simulate else None,
        )  # fmt: skip
        found = forecast(Plan(config, Progress(quiet=quiet)), asked)
        click.echo(to_json(found) if as_json else render(found))

    _in_folder(pilot_output, run)


def _in_folder(output: str | None, run: Callable[[Path], None]) -> None:
    """Call with an empty folder, the user's own or one that is removed afterwards."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="mining-pilot-") as folder:
            run(Path(folder))
        return
    home = Path(output)
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise InputError(
            f"--pilot-output {output}: must be a new or empty folder, but holds something; name another"
        )
    run(home)


def _fraction(option: str, text: str) -> float:
    """``1%`` or ``0.01``."""
    try:
        value = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1.0:
        raise ConfigError(f"{option}: must be a share such as 1% or 0.01, but is {text!r}")
    return value


def _stragglers(text: str | None) -> tuple[float, float]:
    """``5%:2`` as share and factor."""
    if text is None:
        return 0.0, 1.0
    share, _, factor = text.partition(":")
    slowdown = _number(factor)
    if slowdown is None or slowdown < 1.0:
        raise ConfigError(
            f"--stragglers: must be a share and a factor of 1 or more such as 5%:2, but is {text!r}"
        )
    return _fraction("--stragglers", share), slowdown


def _rate_settings(rates: tuple[str, ...]) -> tuple[str, ...]:
    """``--rate`` as settings of the config."""
    kinds = [one.name for one in dataclasses.fields(Rates)]
    settings = []
    for rate in rates:
        kind, equals, price = rate.partition("=")
        if kind not in kinds:
            close = difflib.get_close_matches(kind, kinds, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"--rate {rate}: must be of {', '.join(kinds)}, but is {kind!r}{hint}"
            )
        if not equals or _number(price) is None:
            raise ConfigError(f"--rate {rate}: must read {kind}=PRICE, such as {kind}=0.05")
        settings.append(f"execution.rates.{kind}={_number(price)!r}")
    return tuple(settings)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 <= value < float("inf") else None


def _by_corpus(
    config: Config, option: str, text: str | None, modality: str
) -> Mapping[str, Mapping[str, float]]:
    """``deu=10e6`` or ``corpus.deu=10e6``, several with commas, by corpus and language."""
    found: dict[str, dict[str, float]] = {}
    if text is None:
        return found
    used = {name for task in config.tasks.values() for name in (*task.sources, *task.targets)}
    corpora = [
        n for n, corpus in config.corpora.items() if n in used and corpus.modality == modality
    ]
    for item in text.split(","):
        name, _, amount = item.strip().partition("=")
        corpus, dot, code = name.rpartition(".")
        if not dot and len(corpora) == 1:
            corpus = corpora[0]
        if corpus not in corpora:
            raise ConfigError(
                f"{option} {item}: must name a {modality} corpus of the tasks as corpus.language, of "
                f"{', '.join(corpora) or 'which there are none'}, but names {corpus!r}"
            )
        lang, value = canonical_language(code), _number(amount)
        if lang is None:
            raise ConfigError(
                f"{option} {item}: must name a language code such as deu, but names {code!r}"
            )
        if not value:
            raise ConfigError(f"{option} {item}: must be a number above 0, but is {amount!r}")
        found.setdefault(corpus, {})[lang] = value
    return found
