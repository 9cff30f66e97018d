"""Which language pairs, blocks and elements a run is cut into; how a worker's error comes home."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from apache_beam.options.pipeline_options import DirectOptions
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.execution.failure import UnitFailedError, unwrap
from beam_jobs.execution.pipeline import deal
from beam_jobs.execution.runners import blame, build_options
from beam_jobs.output import require_output
from beam_jobs.stage import Run, Unit
from beam_jobs.stages.tasks import language_pairs
from mining.config import Execution
from mining.config.model import LangPairs, Task
from mining.contract.errors import CapacityError, ConfigError
from mining.io.dataset import Manifest
from mining.io.parquet import Part


def manifest(name: str, *parts: dict[str, int]) -> Manifest:
    return Manifest(
        kind="embeddings", name=name, hash="h",
        parts=tuple(
            Part(path=f"part-{i:05d}.parquet", rows=sum(langs.values()), sha256="", langs=langs)
            for i, langs in enumerate(parts)
        ),
    )  # fmt: skip


def test_languages_of_one_pool() -> None:
    pool = (manifest("a", {"deu": 1, "eng": 2}, {"cym": 1}),)
    once = Task(source="a", target="a", langs="all_unordered")
    assert language_pairs(once, pool, pool) == (
        (("cym", "deu"), ("cym", "eng"), ("deu", "eng")), (),
    )  # fmt: skip
    both = Task(source="a", target="a", langs="all")
    assert len(language_pairs(both, pool, pool)[0]) == 6


def test_languages_of_two_pools_may_be_the_same() -> None:
    task = Task(source="a", target="b", langs="all")
    left, right = (manifest("a", {"deu": 1}),), (manifest("b", {"deu": 1, "eng": 1}),)
    assert language_pairs(task, left, right)[0] == (("deu", "deu"), ("deu", "eng"))


def test_languages_that_are_not_there_are_named() -> None:
    pool = (manifest("a", {"deu": 1, "eng": 2}),)
    task = Task(source="a", target="a", langs=("de-en", "de-cy", "de-de"))
    held, left_out = language_pairs(task, pool, pool)
    assert held == (("deu", "eng"),)
    assert left_out == (
        "deu-cym: no cym on the target side", "deu-deu: one corpus on both sides",
    )  # fmt: skip
    lists = Task(source="a", target="a", langs=LangPairs(source=("deu",), target=("eng",)))
    assert language_pairs(lists, pool, pool)[0] == (("deu", "eng"),)


@given(st.integers(0, 40), st.integers(1, 50))
def test_dealing_loses_nothing(units: int, shards: int) -> None:
    work = [(0, Unit(key=str(i))) for i in range(units)]
    dealt = list(deal(work, shards))
    assert sorted(int(u.key) for hand in dealt for _, u in hand) == list(range(units))
    assert len(dealt) == min(units, shards)


def test_an_error_survives_a_runner_that_builds_it_anew() -> None:
    wrapped = UnitFailedError.of(CapacityError('disk "full": {x}; do something'))
    again = type(wrapped)(f"{wrapped} [while running 'a step']")
    for error in (wrapped, again, RuntimeError(f"Traceback ...\n  File x\n{again}\n")):
        found = unwrap(error)
        assert isinstance(found, CapacityError)
        assert str(found) == 'disk "full": {x}; do something'
    assert unwrap(RuntimeError("a bug")) is None


def test_runner_options_are_passed_on_and_checked() -> None:
    _, options = build_options("DirectRunner", ["--direct_num_workers=2"])
    assert options.view_as(DirectOptions).direct_num_workers == 2
    with pytest.raises(ConfigError, match="must be one that Beam"):
        build_options("DirectRunner", ["--no_such_thing=1"])
    with pytest.raises(ConfigError, match="drops outputs silently"):
        build_options("DaskRunner", [])
    with pytest.raises(ConfigError, match="cannot be used"):
        build_options("NoSuchRunner", [])


def test_options_that_only_a_job_server_may_know_are_left_to_it() -> None:
    known = SimpleNamespace(options=[SimpleNamespace(name="of_the_server")])
    server = SimpleNamespace(DescribePipelineOptions=lambda request, timeout: known)
    runner, options = build_options("PortableRunner", ["--of_the_server=1"])
    assert runner.create_job_service_handle(server, options).options is options
    runner, options = build_options("PortableRunner", ["--of_the_server=1", "--of_nobody=1"])
    with pytest.raises(ConfigError, match="--of_nobody"):
        runner.create_job_service_handle(server, options)


def told(text: str) -> str:
    return str(blame("SomeRunner", RuntimeError(text)))


def test_one_line_says_what_went_wrong_on_a_cluster() -> None:
    python = "Error received from SDK harness: Traceback (most recent call last):\n  File x\n"
    assert told(f"{python}ModuleNotFoundError: No module named 'x'\n\tat java.y") == (
        "runner SomeRunner: a worker failed: ModuleNotFoundError: No module named 'x'; "
        "its log says more"
    )
    java = (
        "a.b.JobException: Recovery is suppressed\n\tat a.b.C(D.java:1)\n"
        'Caused by: java.io.IOException: Cannot run program "boot": error=2, No such file\n'
        "Caused by: java.io.IOException: error=2, No such file\n"
    )
    assert 'SomeRunner: Cannot run program "boot": error=2, No such file;' in told(java)
    assert "SomeRunner: no such host; its options" in told("no such\n host")
    assert told("") == "runner SomeRunner: RuntimeError"
    lost = "Caused by: a.StatusRuntimeException: a.StatusRuntimeException: CANCELLED: call is over"
    assert isinstance(blame("SomeRunner", RuntimeError(lost)), CapacityError)
    assert "killed for its memory" in told(lost)


def test_a_worker_must_see_the_claimed_output(tmp_path: Path) -> None:
    run = Run(config=SimpleNamespace(output=str(tmp_path), execution=Execution()))
    with pytest.raises(ConfigError, match="storage that every worker sees"):
        require_output(run)
    (tmp_path / "config.resolved.yaml").touch()
    require_output(run)
