"""A run that may only take so long, or cost so much, ends in order and goes on later."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.end_to_end.conftest import Outcome, World
from tests.end_to_end.test_work import receipts

Cli = Callable[..., Outcome]
HOUR_S = 3600.0


class Clock:
    """Every unit takes an hour: whoever looks at the clock before a unit moves it on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("beam_jobs.limit.now", self)

    def __call__(self) -> float:
        self.now += HOUR_S
        return self.now


@pytest.mark.parametrize("arguments", [("run",), ("work", "all")])
def test_nothing_is_begun_after_it_and_the_rest_is_done_later(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    assert mining("run", "--config", world.config).code == 0
    whole, digest = len(receipts(world.output)), world.digest()
    world.change(output=str(world.folder / "other"))
    other = World(world.folder, world.config, world.folder / "other")
    with monkeypatch.context() as patch:
        Clock(patch)
        limited = mining(*arguments, "--config", world.config, "--set", "execution.max_hours=20.5")
    assert limited.code == 5, limited.err
    assert 0 < len(receipts(other.output)) < whole
    line = limited.err.splitlines()[-1]
    assert line.startswith("execution.max_hours 20.5: reached with ")
    assert " units of knn left; what is done stays done; go on with: mining " in line
    assert "Traceback" not in limited.err
    assert not list(other.output.glob("neighbors/*/*/_manifest.json"))
    assert mining(*arguments, "--config", world.config).code == 0
    assert other.digest() == digest
    # a limit that is reached when all is done is none
    done = mining(*arguments, "--config", world.config, "--set", "execution.max_hours=0")
    assert done.code == 0


def test_one_host_whose_clock_goes_ahead_ends_it_for_all(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mining("run", "--config", world.config).code == 0
    other = World(world.folder, world.config, world.folder / "other")
    options = ("--config", world.config, "--output", other.output)
    calls = itertools.count()
    with monkeypatch.context() as patch:  # the first call is the launcher's, the second a unit's
        patch.setattr("beam_jobs.limit.now", lambda: 2 * HOUR_S if next(calls) == 1 else 0.0)
        limited = mining("run", *options, "--set", "execution.max_hours=1")
    assert limited.code == 5, limited.err
    assert "execution.max_hours 1: reached with " in limited.err
    assert {path.parent.name for path in receipts(other.output)} == {"read"}
    assert mining("run", *options).code == 0
    assert other.digest() == world.digest()


def test_cost_is_that_of_the_machine_by_the_hour(world: World, mining: Cli) -> None:
    unpriced = mining("run", "--config", world.config, "--set", "execution.max_cost=1")
    assert unpriced.code == 2
    assert "max_cost needs a price" in unpriced.err
    priced = ("--set", "execution.max_cost=0", "--set", "execution.rates.cpu_hour=0.05")
    stopped = mining("work", "all", "--config", world.config, *priced)
    assert stopped.code == 5
    assert stopped.err.splitlines()[-1].startswith("execution.max_cost 0: reached with 9 units of")
    assert not receipts(world.output)


@pytest.mark.parametrize("arguments", [("run",), ("work", "all")])
def test_what_has_no_price_here_is_not_taken_for_dear(
    world: World, mining: Cli, arguments: tuple[str, ...]
) -> None:
    gpu = ("--set", "execution.max_cost=100", "--set", "execution.rates.gpu_hour=3")
    cpu = ("--set", "execution.device=cpu")
    refused = mining(*arguments, "--config", world.config, *gpu, *cpu)
    assert refused.code == 2
    assert "execution.max_cost: must have a price, but this machine uses no GPU" in refused.err
    assert mining("plan", "--config", world.config, *gpu, *cpu).code == 0
    both = (*gpu, "--set", "execution.rates.cpu_hour=0.05")
    assert mining(*arguments, "--config", world.config, *both, *cpu).code == 0


def test_cost_is_not_counted_of_other_machines(world: World, mining: Cli) -> None:
    priced = ("--set", "execution.max_cost=1", "--set", "execution.rates.cpu_hour=0.05")
    refused = mining("run", "--config", world.config, *priced, "--runner", "FlinkRunner")
    assert refused.code == 2
    assert "max_cost must be left out with runner FlinkRunner" in refused.err
