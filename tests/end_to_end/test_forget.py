"""What is forgotten is gone from every byte of the output, and the rest is as if it had never been."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from beam_jobs.execution.run import run as run_plan
from beam_jobs.execution.worker import Shard, Worker
from beam_jobs.forget import purge as forget_purge
from beam_jobs.forget.search import Search
from beam_jobs.forgotten import list_of
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.stage import STAGES, Unit
from beam_jobs.stages.knn import Knn
from beam_jobs.stages.pairs import Pairs
from beam_jobs.stages.prepare import Prepare
from mining.config import load_config
from mining.contract.errors import DatasetError, IncompleteError
from mining.io.dataset import Receipt
from mining.io.forgotten import Forgotten, ForgottenList, write_forgotten
from tests.end_to_end.conftest import Outcome, World, pairs_digest
from tests.end_to_end.forgetting import cells, holding
from tests.end_to_end.object_stores import s3_store
from tests.end_to_end.test_run import command

Cli = Callable[..., Outcome]
DOCUMENT, TEXT = "deu-13", "deu sentence 13 about shared things"


def run(world: World, mining: Cli, *more: str | Path) -> Outcome:
    done = mining("run", "--config", world.config, *more)
    assert done.code == 0, done.err
    return done


def forget(world: World, mining: Cli, *names: str | Path) -> Outcome:
    done = mining("forget", *names, "--config", world.config)
    assert done.code == 0, done.err
    assert "nothing of it is left" in done.out
    return done


def without_rows(world: World, *ids: str) -> None:
    """Take rows out of the corpus' own files."""
    for path in world.folder.glob("texts-*.tsv"):
        rows = path.read_text().splitlines()
        kept = [row for row in rows if row.split("\t")[0] not in ids]
        path.write_text("\n".join(kept) + "\n")


def scratch(world: World, mining: Cli) -> str:
    """Digest of the pairs of a run from scratch of the corpora as they are."""
    other = world.folder / "scratch"
    run(world, mining, "--output", other)
    return pairs_digest(other)


@pytest.mark.usefixtures("no_beam")
def test_a_document_is_forgotten_everywhere(world: World, mining: Cli) -> None:
    run(world, mining)
    run(world, mining, "--set", "mining.k=3")  # results of other settings hold it, too
    run(world, mining)
    assert set(holding(world.output, [DOCUMENT, TEXT])) == {DOCUMENT, TEXT}
    done = forget(world, mining, DOCUMENT)
    assert "texts: forgotten: documents 1" in done.out
    assert holding(world.output, [DOCUMENT, TEXT]) == {}
    listed = json.loads((world.output / "_state/forgotten.json").read_text())
    assert listed["pending"] is False

    again = run(world, mining)
    assert "nothing to do" in again.err
    digest = world.digest()
    without_rows(world, DOCUMENT)
    assert scratch(world, mining) == digest


@pytest.mark.usefixtures("no_beam")
def test_a_whole_file_then_a_document_more(world: World, mining: Cli) -> None:
    run(world, mining)
    file = world.folder / "texts-1.tsv"
    gone = [row.split("\t") for row in file.read_text().splitlines()[1:]]
    forget(world, mining, "texts-1.tsv")
    needles = ["texts-1.tsv", *(row[2] for row in gone)]
    assert holding(world.output, needles) == {}
    assert cells(world.output).isdisjoint({cell for row in gone for cell in (row[0], row[2])})
    forget(world, mining, "eng-21")
    assert holding(world.output, [*needles, "eng-21", "eng sentence 21 about"]) == {}
    digest = world.digest()
    file.unlink()
    without_rows(world, "eng-21")
    assert scratch(world, mining) == digest
    assert "nothing of it is left" in forget(world, mining, str(file)).out  # gone from disk, too


@pytest.mark.usefixtures("no_beam")
def test_what_another_document_says_too_stays(world: World, mining: Cli) -> None:
    """The document ``again`` repeats a sentence of another."""
    run(world, mining)
    done = forget(world, mining, "deu-0")
    assert "1 of its segments are other documents'" in done.out
    assert "deu-0" not in cells(world.output)
    digest = world.digest()
    without_rows(world, "deu-0")
    assert scratch(world, mining) == digest


@pytest.mark.usefixtures("no_beam")
def test_a_name_that_stands_for_nothing_changes_nothing(world: World, mining: Cli) -> None:
    run(world, mining)
    before = {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()}
    for arguments in (["deu-99"], [DOCUMENT, "deu-99"], ["nowhere.mp3"]):
        refused = mining("forget", *arguments, "--config", world.config)
        assert (refused.code, refused.out) == (3, "")
        (line,) = [line for line in refused.err.splitlines() if line.startswith("error: ")]
        assert line.endswith("nothing was changed")
        assert arguments[-1] in line
    for arguments in (["--corpus", "other", DOCUMENT], [" "]):
        assert mining("forget", *arguments, "--config", world.config).code == 2
    everything = mining("forget", *(f"texts-{n}.tsv" for n in range(3)), "--config", world.config)
    assert (everything.code, "beside what is to be forgotten" in everything.err) == (3, True)
    assert {p: p.read_bytes() for p in world.output.rglob("*") if p.is_file()} == before


@pytest.mark.usefixtures("no_beam")
def test_before_a_run_and_after_some_stages(world: World, mining: Cli) -> None:
    done = forget(world, mining, DOCUMENT)
    assert "nothing was made of it yet" in done.out
    assert not (world.output / "pairs").exists()
    assert mining("prepare", "--config", world.config).code == 0
    assert holding(world.output, [DOCUMENT, TEXT]) == {}
    forget(world, mining, "eng-21")
    assert not (world.output / "embeddings").exists(), "no stage runs that had not run before"
    digest = (run(world, mining), world.digest())[1]
    without_rows(world, DOCUMENT, "eng-21")
    assert scratch(world, mining) == digest


@pytest.mark.usefixtures("no_beam")
@pytest.mark.parametrize("stops", ["prepare", "knn", "pairs", "purge", "scan"])
def test_who_is_interrupted_goes_on(
    world: World, mining: Cli, stops: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(world, mining)
    with monkeypatch.context() as patch:
        stop_at(stops, patch)
        assert mining("forget", DOCUMENT, "--config", world.config).code == 130
    assert json.loads((world.output / "_state/forgotten.json").read_text())["pending"]
    meanwhile = run(world, mining)
    assert "run mining forget again" in meanwhile.err
    digest = world.digest()
    forget(world, mining, DOCUMENT)
    assert holding(world.output, [DOCUMENT, TEXT]) == {}
    assert not (world.output / "_state/forgetting.parquet").exists()
    assert "mining forget" not in run(world, mining).err
    assert world.digest() == digest
    without_rows(world, DOCUMENT)
    assert scratch(world, mining) == digest


def stop_at(what: str, patch: pytest.MonkeyPatch) -> None:
    """Interrupt the next forgetting in the middle of a stage, while it removes, or while it looks."""
    calls = 0

    def second(known: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: object) -> object:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise KeyboardInterrupt
            return known(*arguments, **more)

        return call

    if what == "purge":
        patch.setattr(forget_purge, "remove_folder", second(forget_purge.remove_folder))
    elif what == "scan":
        patch.setattr(Search, "_found", second(Search._found))
    else:
        stage = {"prepare": Prepare, "knn": Knn, "pairs": Pairs}[what]
        patch.setattr(stage, "process", second(stage.process))


@pytest.mark.usefixtures("no_beam")
@pytest.mark.parametrize("by", ["run", "work"])
def test_who_began_before_a_forgetting_writes_nothing_after_it(
    world: World, mining: Cli, by: str
) -> None:
    run(world, mining)
    plan = Plan(load_config(str(world.config)), Progress(quiet=True))
    plan.prepare()  # knows the corpus as it was
    forget(world, mining, DOCUMENT)
    with pytest.raises(DatasetError, match="more was forgotten since this run began"):
        begun_before(plan, by)
    assert holding(world.output, [DOCUMENT, TEXT]) == {}
    again = Plan(load_config(str(world.config)), Progress(quiet=True))
    forget(world, mining, DOCUMENT)  # nothing new
    begun_before(again, by)


def begun_before(plan: Plan, by: str) -> None:
    if by == "run":
        run_plan(plan, STAGES, [], plan.progress)
    else:
        shard = Shard(index=0, count=1)
        Worker(plan=plan, shard=shard, wait_s=1, progress=plan.progress).work(STAGES)


@pytest.mark.usefixtures("no_beam")
def test_a_unit_during_which_something_was_forgotten_is_not_done(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Prepare.process

    def meanwhile(stage: Prepare, phase: str, unit: Unit) -> Receipt:
        done = process(stage, phase, unit)
        listed = ForgottenList().with_more({"texts": Forgotten.of(ids=[DOCUMENT])})
        write_forgotten(list_of(stage.run), listed, stage.run.storage)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Prepare, "process", meanwhile)
        refused = mining("work", "all", "--config", world.config)
    assert refused.code == 3
    assert "run mining forget again" in refused.err
    assert not list((world.output / "_state/prepare").rglob("read/*.json"))
    forget(world, mining, DOCUMENT)
    assert holding(world.output, [DOCUMENT, TEXT]) == {}


@pytest.mark.usefixtures("no_beam")
def test_other_language_pairs_and_corpora_are_left_alone(world: World, mining: Cli) -> None:
    rows = "id\tlang\ttext\n" + "".join(
        f"{DOCUMENT if n == 5 else f'other-{n}'}\t{lang}\tother {lang} {n} things\n"
        for n in range(12)
        for lang in ("nld", "swe")
    )
    (world.folder / "others.tsv").write_text(rows)
    corpora = yaml.safe_load(world.config.read_text())["corpora"]
    corpora["others"] = corpora["texts"] | {"uri": str(world.folder / "others.tsv")}
    both = ["texts", "others"]
    tasks = {
        "tt": {"source": "texts", "target": "texts"},
        "oo": {"source": "others", "target": "others"},
        "to": {"source": both, "target": both},
    }
    world.change(corpora=corpora, tasks=tasks, model={"path": "spelling"})
    run(world, mining)
    parts = {pair: (world.output / pair / "part-00000.parquet") for pair in
             ("pairs/tt/eng-fra", "pairs/tt/deu-eng", "pairs/oo/nld-swe")}  # fmt: skip
    before = {pair: pq.read_table(path).drop_columns("run_id") for pair, path in parts.items()}
    untouched = {p: p.stat().st_mtime_ns for p in (world.output / "embeddings/others").rglob("*")}
    forget(world, mining, DOCUMENT, "--corpus", "texts")
    assert set(holding(world.output, [TEXT])) == set()
    assert DOCUMENT in cells(world.output), "that of the other corpus is another document"
    for path, changed in untouched.items():
        assert path.stat().st_mtime_ns == changed
    after = {pair: pq.read_table(path).drop_columns("run_id") for pair, path in parts.items()}
    assert after["pairs/oo/nld-swe"] == before["pairs/oo/nld-swe"]
    assert after["pairs/tt/deu-eng"] != before["pairs/tt/deu-eng"]
    forget(world, mining, DOCUMENT)
    assert DOCUMENT not in cells(world.output)
    assert DOCUMENT not in holding(world.output, [DOCUMENT])


@pytest.mark.usefixtures("no_beam")
def test_files_that_the_config_names_one_by_one(world: World, mining: Cli) -> None:
    corpora = yaml.safe_load(world.config.read_text())["corpora"]
    files = [str(world.folder / f"texts-{n}.tsv") for n in range(3)]
    corpora["texts"]["uri"] = files
    world.change(corpora=corpora)
    run(world, mining)
    Path(files[1]).unlink()
    forget(world, mining, files[1])
    assert holding(world.output, ["texts-1.tsv"]) == {}
    digest = world.digest()
    assert "nothing to do" in run(world, mining).err
    corpora["texts"]["uri"] = [files[0], files[2]]
    world.change(corpora=corpora)
    run(world, mining)  # it may be taken out of the config afterwards
    assert scratch(world, mining) == world.digest() == digest


@pytest.mark.usefixtures("no_beam")
@pytest.mark.parametrize("listed", [False, True])
def test_with_documents_and_an_explanation(world: World, mining: Cli, listed: bool) -> None:
    for path in world.folder.glob("texts-*.tsv"):  # deu-7, eng-7 and fra-7 are one document
        path.write_text(re.sub("^(deu|eng|fra)-", "talk-", path.read_text(), flags=re.MULTILINE))
    names = world.folder / "pairs.tsv"  # of the user: goes on naming what was forgotten
    rows = [f"talk-{n}\ttalk-{n}" for n in range(30)]
    names.write_text("\n".join(["src_doc_id\ttgt_doc_id", *rows]) + "\n")
    documents = {"pairs": str(names)} if listed else "same_id"
    tasks = {"tt": {"source": "texts", "target": "texts", "documents": documents}}
    world.change(tasks=tasks, model={"path": "spelling"})
    run(world, mining)
    forget(world, mining, "talk-13")
    texts = [f"{lang} sentence 13 about shared things" for lang in ("deu", "eng", "fra")]
    assert holding(world.output, ["talk-13", *texts]) == {}
    explained = mining("explain", texts[0], texts[1], "--config", world.config)
    assert "not in the corpus" in explained.out
    assert "talk-13" not in explained.out
    by_name = mining("explain", "talk-13", "talk-14", "--config", world.config)
    assert "'talk-13' was forgotten (mining forget)" in by_name.out
    pairs = world.output / "pairs"
    kept = [pq.read_table(p).drop_columns("run_id") for p in sorted(pairs.rglob("*.parquet"))]
    without_rows(world, "talk-13")
    scratch(world, mining)
    other = sorted((world.folder / "scratch/pairs").rglob("*.parquet"))
    assert [pq.read_table(p).drop_columns("run_id") for p in other] == kept


@pytest.mark.usefixtures("no_beam")  # but in the process that is killed
def test_who_is_killed_goes_on(world: World, mining: Cli) -> None:
    run(world, mining)
    process = subprocess.Popen(
        command("forget", DOCUMENT, "--config", world.config),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    folder = world.output / "_state/embed/texts"
    deadline = time.monotonic() + 120
    while (
        time.monotonic() < deadline and process.poll() is None and len(list(folder.iterdir())) < 2
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((world.output / "_state/forgotten.json").read_text())["pending"]
    (world.output / "segments/.left.parquet.0123456789abcdef").write_text(TEXT)
    forget(world, mining, DOCUMENT)
    assert holding(world.output, [DOCUMENT, TEXT]) == {}
    digest = world.digest()
    without_rows(world, DOCUMENT)
    assert scratch(world, mining) == digest


@pytest.mark.usefixtures("no_beam")
def test_a_file_of_somebody_else_is_found(world: World, mining: Cli) -> None:
    run(world, mining)
    notes = world.output / "notes.txt"
    notes.write_text(f"remember: {TEXT}\n")
    refused = mining("forget", DOCUMENT, "--config", world.config)
    assert refused.code == 3
    assert f"error: {notes}: must hold nothing of what was forgotten" in refused.err
    assert TEXT not in refused.err
    notes.unlink()
    forget(world, mining, DOCUMENT)
    assert holding(world.output, [DOCUMENT, TEXT]) == {}


@pytest.mark.usefixtures("no_beam")
def test_on_an_object_store(world: World, mining: Cli) -> None:
    fetched = world.folder / "fetched"
    with s3_store() as store:
        execution = {"storage": store.options}
        world.change(output=f"{store.uri}/out", execution=execution, partitions=1)
        run(world, mining)
        forget(world, mining, DOCUMENT)
        for name, data in store.objects().items():
            path = fetched / name.removeprefix("out/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    assert len(list((fetched / "segments/texts").iterdir())) == 1
    assert holding(fetched, [DOCUMENT, TEXT]) == {}
    without_rows(world, DOCUMENT)
    world.change(output=str(world.output), execution={})
    run(world, mining)
    assert world.digest() == pairs_digest(fetched)


@pytest.mark.usefixtures("no_beam")
def test_files_that_were_left_out_keep_nothing(
    world: World, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(world, mining)

    def lacking(plan: object, stages: object) -> None:
        raise IncompleteError("corpora.texts: must be read whole, but is not")

    monkeypatch.setattr("beam_jobs.execution.complete.require_complete", lacking)
    done = forget(world, mining, DOCUMENT)
    assert "warning: corpora.texts: must be read whole, but is not" in done.err
    assert holding(world.output, [DOCUMENT, TEXT]) == {}
