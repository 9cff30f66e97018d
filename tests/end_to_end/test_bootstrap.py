"""``mining bootstrap`` as a user meets it: rounds of a tiny model over a tiny spoken world."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_jobs.bootstrap.config import load_bootstrap
from beam_jobs.bootstrap.rounds import bootstrap
from beam_jobs.progress import Progress
from tests.end_to_end.bootstrap_world import GOLD, Rounds, make_rounds
from tests.end_to_end.conftest import Outcome
from tests.end_to_end.speech_world import SpeechWorld, make_speech_world
from tests.end_to_end.test_run import command
from tests.unit.encoders.train.world import make_world

Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("seed"))


@pytest.fixture
def rounds(speech: SpeechWorld, seed: Path) -> Rounds:
    return make_rounds(speech, seed)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, recordings: Path, tiny_ctc: Path, seed: Path
) -> Rounds:
    """Two rounds, done with Beam; for tests that only look."""
    folder = tmp_path_factory.mktemp("finished")
    made = make_rounds(make_speech_world(folder, recordings, tiny_ctc), seed)
    bootstrap(load_bootstrap(str(made.config), ["rounds=2"]), Progress(quiet=True))
    return made


def bootstrapped(rounds: Rounds, mining: Cli, *more: str | Path) -> Outcome:
    done = mining("bootstrap", "--config", rounds.config, *more)
    assert done.code == 0, done.err
    return done


def errors(outcome: Outcome) -> list[str]:
    lines = outcome.err.splitlines()
    assert not any("Traceback" in line for line in lines)
    return [line for line in lines if line.startswith("error: ")]


def results(output: Path) -> dict[str, str]:
    """Digests of what a run is there for: models, figures, rows; not of how long it took."""
    files = [*output.glob("model/**/*"), *output.glob("round-*/train/model/**/*")]
    files += [*output.glob("round-*/rows/**/*.parquet"), *output.glob("round-*/*.json")]
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (*files, output / "report.json")
        if path.is_file()
    }


# Two rounds


def test_two_rounds_and_nothing_is_done_again(finished: Rounds, mining: Cli) -> None:
    report = finished.report()
    assert [one["round"] for one in report["rounds"]] == [0, 1, 2]
    assert report["over"] == "all 2 rounds are done"
    values = [one["figure"]["value"] for one in report["rounds"]]
    assert report["best"] == max(range(3), key=lambda number: (values[number], -number))
    before = results(finished.output)
    again = bootstrapped(finished, mining, "--set", "rounds=2")
    assert "nothing to do" in again.err
    lines = again.out.splitlines()
    assert lines[0].split()[:3] == ["round", "mined", "kept"]
    assert len(lines) == 6
    assert lines[-1] == f"model: {finished.output / 'model'}"
    assert results(finished.output) == before
    best = finished.output / f"round-{report['best']}" / "train" / "model"
    weights = sorted(best.rglob("*.safetensors"))
    assert weights
    for path in weights:
        copy = finished.output / "model" / path.relative_to(best)
        assert copy.read_bytes() == path.read_bytes()


def test_every_mined_pair_is_learned_from_or_refused(finished: Rounds) -> None:
    for number in (1, 2):
        for task, told in finished.report()["rounds"][number]["learned"].items():
            assert told["mined"] == told["kept"] + sum(told["rejected"].values())
            assert told["kept"] == len(finished.rows(number, task)) > 0
            assert sum(told["rejected"].values()) == len(finished.rejects(number, task))
    assert finished.rows(1, "st") != finished.rows(2, "st")


def test_recordings_are_cut_and_heard_once(finished: Rounds) -> None:
    mined = finished.output / "mined"
    assert len(list((mined / "segments/talks").iterdir())) == 1
    assert len(list((mined / "audio_frames/talks").iterdir())) == 1
    assert len(list((mined / "embeddings/talks").iterdir())) == 3


def test_the_gold_is_never_learned_from(finished: Rounds) -> None:
    gold = [line.split("\t") for line in _lines(finished.world.folder / "gold.tsv")]
    sentences = {row[2] for row in gold if row[2]}
    spans = [(row[4], float(row[5]), float(row[6])) for row in gold if row[4]]
    assert sentences
    assert {row[0] for row in spans} == set(GOLD)
    for number in (1, 2):
        learned = finished.rows(number, "st").to_pylist()
        for row in learned:
            for name, start_s, end_s in spans:
                if row["audio"].endswith(name):
                    assert row["end_s"] <= start_s or row["start_s"] >= end_s, row
        texts = {row[name] for row in learned for name in ("transcript", "translation")}
        both = finished.rows(number, "tt").to_pylist()
        texts |= {row[name] for row in both for name in ("source", "target")}
        assert len(texts) > 5
        assert not texts & sentences
        report = json.loads((finished.output / f"round-{number}/train/report.json").read_text())
        trained = report["data"]
        assert trained["seeds"]["mined.st"]["rows"] == len(learned)
        assert trained["texts"]["mined.tt"]["rows"] == len(both)
        assert trained["seeds"]["mined.st"]["kept"] > 0
        assert trained["texts"]["pairs"]["rejected"] == {"benchmark_overlap": 1}
        for told in finished.report()["rounds"][number]["learned"].values():
            assert told["rejected"]["benchmark_overlap"] > 0


def test_mined_rows_say_what_was_said_where(finished: Rounds) -> None:
    learned = finished.rows(1, "st").to_pylist()
    own = [row for row in learned if row["transcript"]]
    other = [row for row in learned if row["translation"]]
    assert own
    assert other
    assert len(own) + len(other) == len(learned)
    assert all(row["lang"] == row["translation_lang"] for row in own)
    assert all(row["lang"] != row["translation_lang"] for row in other)
    for row in learned:
        assert Path(row["audio"]).is_file()
        assert row["audio"].split("/")[-2] == row["lang"]
        assert 0 <= row["start_s"] < row["end_s"]


def test_other_settings_need_another_output(finished: Rounds, mining: Cli) -> None:
    other = mining("bootstrap", "--config", finished.config, "--set", "filter.max_pairs=3")
    (line,) = errors(other)
    assert "filter.max_pairs was 20, is 3; give another output" in line
    gold = finished.world.folder / "gold.tsv"
    text = gold.read_text()
    gold.write_text("\n".join(text.splitlines()[:-1]) + "\n")
    (line,) = errors(mining("bootstrap", "--config", finished.config))
    gold.write_text(text)
    assert "gold was" in line


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


# What a round starts from, and when there is no more


@pytest.mark.usefixtures("no_beam")
def test_going_on_from_the_newest_until_the_rule_says_stop(rounds: Rounds, mining: Cli) -> None:
    changes = {"learn_from": "newest", "seed_copies": 2, "rounds": 3}
    rounds.change(rounds.config, **changes)
    done = bootstrapped(rounds, mining, "--set", "stop.min_gain=1.0", "--set", "stop.patience=1")
    told = yaml.safe_load((rounds.output / "round-1/train/config.resolved.yaml").read_text())
    assert told["model"]["start"] == str(rounds.output / "round-0/train/model")
    assert told["model"]["audio_tokenizer"] is None
    assert set(told["data"]["seeds"]) == {"clips", "clips.2", "mined.st"}
    assert set(told["data"]["texts"]) == {"pairs", "pairs.2", "mined.tt"}
    report = rounds.report()
    assert len(report["rounds"]) == 2
    assert report["over"] == "recall_at_5 of st has not risen by 1 since round 0"
    assert report["over"] in done.out


@pytest.mark.usefixtures("no_beam")
def test_units_are_fitted_once(rounds: Rounds, seed: Path, mining: Cli) -> None:
    told = yaml.safe_load(rounds.training.read_text())
    del told["model"]["audio_tokenizer"]
    told["model"]["fit"] = {"encoder": str(seed / "units-encoder"), "units": 8, "layer": 0}
    rounds.training.write_text(yaml.safe_dump(told))
    bootstrapped(rounds, mining)
    told = yaml.safe_load((rounds.output / "round-1/train/config.resolved.yaml").read_text())
    assert told["model"]["fit"] is None
    assert len(list((rounds.output / "mined/audio_frames/talks").iterdir())) == 1
    assert len(list((rounds.output / "mined/embeddings/talks").iterdir())) == 2


@pytest.mark.usefixtures("no_beam")
def test_round_0_may_be_a_model_that_is_there(rounds: Rounds, mining: Cli) -> None:
    config = ("--config", rounds.training, "--output", rounds.world.folder / "start")
    assert mining("train", *config, "--quiet").code == 0
    start = rounds.world.folder / "start" / "model"
    rounds.change(rounds.training, model={"start": str(start), "name": "small"})
    bootstrapped(rounds, mining, "--set", "first=start")
    assert not (rounds.output / "round-0" / "train").exists()
    report = rounds.report()
    assert len(report["rounds"]) == 2
    best = start if report["best"] == 0 else rounds.output / "round-1/train/model"
    copied = (rounds.output / "model" / "model.safetensors").read_bytes()
    assert copied == (best / "model.safetensors").read_bytes()


@pytest.mark.usefixtures("no_beam")
@pytest.mark.parametrize("rule", ["min_margin: 1000.0", "precision: 0.99"])
def test_nothing_to_learn_from_ends_with_the_best_so_far(
    rounds: Rounds, mining: Cli, rule: str
) -> None:
    told = ("--set", f"filter={{tasks: [st], {rule}}}")
    done = bootstrapped(rounds, mining, *told)
    report = rounds.report()
    assert len(report["rounds"]) == 1
    assert "none of the mined pairs is left to learn from; st: " in report["over"]
    assert "below_threshold" in report["over"]
    assert report["over"] in done.out
    assert (rounds.output / "model" / "dual_encoder.json").is_file()
    assert "nothing to do" in bootstrapped(rounds, mining, *told).err


# Stopped and resumed


@pytest.mark.usefixtures("no_beam")
def test_a_run_that_is_stopped_at_every_step_ends_the_same(
    rounds: Rounds, mining: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    state = rounds.output / "round-0" / "train" / "_state" / "finished.json"
    trained = set()
    for step in ("train", "run", "judge", "write_task", "written_whole"):
        with monkeypatch.context() as stopped:
            stopped.setattr(f"beam_jobs.bootstrap.rounds.{step}", stop)
            assert mining("bootstrap", "--config", rounds.config).code == 130
            if step != "train":
                trained.add(state.stat().st_mtime_ns)
    bootstrapped(rounds, mining)
    assert len(trained) == 1
    assert results(rounds.output)
    stopped_results = results(rounds.output)
    shutil.rmtree(rounds.output)
    bootstrapped(rounds, mining)
    assert results(rounds.output) == stopped_results


def moments(output: Path) -> Iterator[Callable[[], bool]]:
    """When a run is killed: is it there yet?"""
    yield lambda: any(output.glob("round-0/train/_state/step_*"))
    yield lambda: any(output.glob("mined/embeddings/*/*/*.parquet"))
    yield lambda: any(output.glob("round-1/rows/st/*.parquet"))
    yield lambda: (output / "round-1/train/_state/finished.json").is_file()
    yield lambda: (output / "round-1/judged.json").is_file()


@pytest.mark.usefixtures("no_beam")  # but not in the processes that are killed
@pytest.mark.slow
def test_kill_9_at_five_moments(rounds: Rounds, mining: Cli) -> None:
    bootstrapped(rounds, mining)
    wanted = results(rounds.output)
    shutil.rmtree(rounds.output)
    killed = [_killed(rounds, is_there) for is_there in moments(rounds.output)]
    assert killed.count(-signal.SIGKILL) >= 4
    bootstrapped(rounds, mining)
    assert results(rounds.output) == wanted


def _killed(rounds: Rounds, is_there: Callable[[], bool]) -> int:
    process = subprocess.Popen(
        command("bootstrap", "--config", rounds.config),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    while not is_there() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    return process.wait()


# What goes wrong: said before anything is done


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"evaluate": None}, 2, "evaluate.gold: must name held-out gold"),
        ({"evaluate": {"gold": "/nowhere.tsv"}}, 3, "/nowhere.tsv"),
        ({"recogniser": {"path": "x"}}, 2, "corpora.talks: must have no recogniser"),
        ({"mining": {}}, 2, "mining.threshold: must be a number or none"),
        ({"tasks": {"ss": {"source": "talks", "target": "talks"}}}, 2, "stop.task: must be a task"),
        ({"task": 1}, 2, "unknown key 'task'"),
    ],
)
def test_a_fault_of_the_mining_config(
    rounds: Rounds, mining: Cli, change: dict[str, Any], code: int, message: str
) -> None:
    rounds.world.change(**change)
    found = mining("bootstrap", "--config", rounds.config, "--set", "filter={}")
    assert found.code == code, found.err
    assert any(message in line for line in errors(found)), found.err
    assert not rounds.output.joinpath("round-0").exists()


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("stop.task=nothing", 2, "stop.task: must be a task of"),
        ("filter.tasks=[ss]", 2, "ss is speech against speech"),
        ("filter.tasks=[xx]", 2, "'xx' is none"),
        ("filter={min_margin: 1.0, precision: 0.9}", 2, "must not both be given"),
        ("stop.figure=xsim", 2, "stop.figure must be one of"),
        ("first=start", 2, "model.start: must be a dual encoder to go on from"),
        ("output=gs://bucket/x", 2, "output must be a local folder"),
        ("mining=/nowhere.yaml", 2, "/nowhere.yaml"),
        ("rounds=0", 2, "rounds must be at least 1"),
    ],
)
def test_a_fault_is_one_line_and_its_exit_code(
    rounds: Rounds, mining: Cli, override: str, code: int, message: str
) -> None:
    found = mining("bootstrap", "--config", rounds.config, "--set", override)
    (line,) = errors(found)
    assert message in line
    assert found.code == code
    assert not rounds.output.joinpath("round-0").exists()


def test_each_corpus_is_embedded_by_the_model_that_is_trained(rounds: Rounds, mining: Cli) -> None:
    rounds.world.change_corpus("texts", model={"path": "builtin"})
    rounds.world.change_corpus("talks", speech={"channel": "each"})
    found = mining("bootstrap", "--config", rounds.config)
    told = "\n".join(errors(found))
    assert found.code == 2
    assert "corpora.texts.model: must be left out" in told
    assert "corpora.talks.speech.channel: must be mix" in told


def test_a_model_that_does_not_hear(rounds: Rounds, mining: Cli) -> None:
    told = yaml.safe_load(rounds.training.read_text())
    del told["model"]["audio_tokenizer"]
    rounds.training.write_text(yaml.safe_dump(told))
    (line,) = errors(mining("bootstrap", "--config", rounds.config))
    assert "must hear for task st" in line


def test_gold_without_a_place(rounds: Rounds, mining: Cli) -> None:
    gold = rounds.world.folder / "gold.tsv"
    gold.write_text("meaning_id\tlang\tmodality\tsegment_id\nm1\teng\tspeech\tabc\n")
    (line,) = errors(mining("bootstrap", "--config", rounds.config))
    assert "speech must be named by source_uri" in line
    gold.write_text(gold.read_text() + "m1\tdeu\tspeech\tdef\n")
    # mended gold is no other gold, as long as nothing was done
    (line,) = errors(mining("bootstrap", "--config", rounds.config))
    assert "speech must be named by source_uri" in line


def test_another_folder_is_left_alone(rounds: Rounds, mining: Cli) -> None:
    rounds.output.mkdir()
    (rounds.output / "thesis.txt").write_text("years of work")
    (line,) = errors(mining("bootstrap", "--config", rounds.config))
    assert "must be empty or an output of this program" in line
    assert [path.name for path in rounds.output.iterdir()] == ["thesis.txt"]
