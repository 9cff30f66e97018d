"""What a stage's job on Dataflow is told; other runners are told nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from beam_jobs.execution.dataflow import check_buckets, flags, hints, require_reachable
from mining.config import Config, Execution
from mining.config.dataflow import Dataflow, StageResources, Stages
from mining.config.model import Contamination, Corpus, DocumentPairs, Task
from mining.contract.errors import ConfigError

L4 = "type:nvidia-l4;count:1;install-nvidia-driver"
EXECUTION = Execution(
    runner="DataflowRunner",
    dataflow=Dataflow(
        project="acme-mining", region="europe-west4", temp="gs://acme/tmp", image="r.dev/x:1"
    ),
    stages=Stages(
        transcribe=StageResources(accelerator="nvidia-l4"),
        embed=StageResources(accelerator="nvidia-l4", min_ram_gib=32, units_at_once=3),
        knn=StageResources(min_ram_gib=64),
    ),
)


def test_only_accelerated_stages_keep_one_process_a_worker() -> None:
    one = "--experiments=no_use_multiple_sdk_containers"
    assert [name for name in ("prepare", "transcribe", "embed", "knn", "pairs")
            if one in flags(EXECUTION, name)] == ["transcribe", "embed"]  # fmt: skip
    assert "--number_of_worker_harness_threads=3" in flags(EXECUTION, "embed")


def test_hints_stand_where_they_are_needed() -> None:
    assert hints(EXECUTION, "embed", "embed") == {"accelerator": L4, "min_ram": "32GiB"}
    assert hints(EXECUTION, "knn", "tiles") == {"min_ram": "64GiB"}
    assert hints(EXECUTION, "transcribe", "recognise") == {"accelerator": L4}
    assert hints(EXECUTION, "transcribe", "join") == {}
    assert hints(EXECUTION, "pairs", "pairs") == {}


def test_other_runners_are_told_nothing() -> None:
    for runner in ("DirectRunner", "FlinkRunner"):
        other = replace(EXECUTION, runner=runner)
        assert flags(other, "embed") == []
        assert hints(other, "embed", "embed") == {}


def test_private_addresses_are_the_default_and_names_differ() -> None:
    assert EXECUTION.dataflow is not None
    assert "--no_use_public_ips" in flags(EXECUTION)
    public = replace(EXECUTION, dataflow=replace(EXECUTION.dataflow, public_ips=True, flexrs=None))
    assert "--use_public_ips" in flags(public)
    names = {flag for _ in range(4) for flag in flags(EXECUTION, "knn") if "job_name" in flag}
    assert len(names) == 4
    assert flags(EXECUTION)[3] == "--staging_location=gs://acme/tmp"


def test_a_bucket_given_to_beam_itself_is_looked_at() -> None:
    good = {"temp_location": "gs://acme/tmp", "staging_location": "gs://acme.example/x/"}
    check_buckets(good)
    with pytest.raises(
        ConfigError, match=r"--temp_location: must be gs://BUCKET/FOLDER.*'gs://A_/x'"
    ):
        check_buckets(good | {"temp_location": "gs://A_/x"})


def test_workers_do_not_see_a_local_disk() -> None:
    corpus = Corpus(uri="gs://acme/t.tsv", lang="deu")
    config = Config(
        schema=1,
        output="s3://acme/out",
        corpora={"t": corpus},
        tasks={"tt": Task(source="t", target="t")},
        execution=EXECUTION,
    )
    require_reachable(config)
    for output in ("out/x", "file:///out/x", "memory://x"):
        with pytest.raises(ConfigError, match=r"output: must be on an object store"):
            require_reachable(replace(config, output=output))
    local = {"t": replace(corpus, uri=("gs://acme/t.tsv", "data/t.tsv"))}
    with pytest.raises(ConfigError, match=r"corpora.t.uri: must be .* data/t.tsv"):
        require_reachable(replace(config, corpora=local))
    paired = Task(source="t", target="t", documents=DocumentPairs(pairs="pairs.tsv"))
    with pytest.raises(ConfigError, match=r"tasks.tt.documents.pairs: must be .* pairs.tsv"):
        require_reachable(replace(config, tasks={"tt": paired}))
    sets = Contamination(sets=("ntrex", "own.txt"))
    with pytest.raises(ConfigError, match=r"contamination.sets: must be .* own.txt"):
        require_reachable(replace(config, contamination=sets))
    require_reachable(replace(config, output="out/x", execution=Execution()))
