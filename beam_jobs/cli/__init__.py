"""The command line: one file a group of commands, errors and exit codes in one place."""

from __future__ import annotations

import logging
import shlex
import sys

import click

from beam_jobs.cli.commands import COMMANDS
from beam_jobs.cli.stopping import exit_code, stopping
from mining.contract.errors import LimitReachedError, MiningError


@click.group(commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bitext-mining-pipeline", prog_name="mining")
def cli() -> None:
    """Mine parallel sentences from unaligned corpora.

    Exit codes: 0 done, 2 config or command line, 3 data, 4 capacity, 5 execution.max_hours or max_cost
    reached with work left, 130 interrupted (Ctrl-C), 143 terminated (SIGTERM); 1 only where
    mining diff --exit-code finds a difference.
    """


def _show_warnings() -> None:
    """Warnings of this project and its libraries, one line each.

    What is logged to no logger in particular is left out: Beam says there, at every start, which
    Google libraries it did not find.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(lambda record: record.name != "root")
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # shows a traceback of every failure that it then raises
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)


def main() -> None:
    """Entry point of the ``mining`` command."""
    _show_warnings()
    try:
        with stopping():
            # click returns the code of a command that ends by itself, instead of raising Exit
            code = cli.main(standalone_mode=False)
        if code:
            sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LimitReachedError as error:
        click.echo(f"{error}; go on with: {_again()}", err=True)
        sys.exit(error.exit_code)
    except MiningError as error:
        for line in str(error).splitlines():
            click.echo(f"error: {line}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as stopped:
        from beam_jobs.stages.attempts import (
            withdraw_all,  # loaded by whatever has something to withdraw
        )

        withdraw_all()
        click.echo(f"stopped; what is done stays done; go on with: {_again()}", err=True)
        sys.exit(exit_code(stopped))


def _again() -> str:
    """The command as it was called."""
    return shlex.join(["mining", *sys.argv[1:]])
