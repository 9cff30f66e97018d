"""``mining train`` as a user meets it: messages, exit codes, and a model that mining takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from encoders import embed_texts, load_encoder
from encoders.train.config import load_training
from tests.end_to_end.conftest import Outcome
from tests.unit.encoders.train.world import make_world

Mining = Callable[..., Outcome]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("train"))


@pytest.fixture
def config(world: Path, tmp_path: Path) -> Path:
    """A config of the world with an output of its own."""
    told = yaml.safe_load((world / "base.yaml").read_text()) | {"output": str(tmp_path / "out")}
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


def errors(outcome: Outcome) -> list[str]:
    lines = outcome.err.splitlines()
    assert not any("Traceback" in line for line in lines)
    return [line for line in lines if line.startswith("error: ")]


def test_train_then_use_then_nothing_to_do(mining: Mining, config: Path, tmp_path: Path) -> None:
    found = mining("train", "--config", config, "--set", "optimiser.steps=3")
    assert found.code == 0, found.err
    model = tmp_path / "out" / "model"
    assert found.out.splitlines()[0].startswith("step 3: loss ")
    assert "speech-translation   deu-eng         2" in found.out
    assert found.out.splitlines()[-1] == f"model: {model}"
    assert "training text 27,168, audio 384, projection 528 of 28,080 numbers" in found.err
    vectors = embed_texts(load_encoder(str(model), device="cpu"), ["the boat"], "eng")
    assert vectors.shape == (1, 16)

    again = mining("train", "--config", config, "--set", "optimiser.steps=3")
    assert again.code == 0
    assert again.out == found.out
    assert "nothing to do" in again.err

    other = mining("train", "--config", config, "--quiet")
    assert other.code == 3
    (line,) = errors(other)
    assert "optimiser.steps was 3, is 2; give another output" in line


def test_resolved_config_trains_the_same(mining: Mining, config: Path, tmp_path: Path) -> None:
    assert mining("train", "--config", config, "--quiet").code == 0
    resolved = tmp_path / "out" / "config.resolved.yaml"
    assert load_training(str(resolved)) == load_training(str(config))
    assert mining("train", "--config", resolved, "--output", tmp_path / "b", "--quiet").code == 0
    files = [tmp_path / name / "model" / "model.safetensors" for name in ("out", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_quiet_says_nothing_on_stderr(mining: Mining, config: Path) -> None:
    assert mining("train", "--config", config, "--quiet").err == ""


def test_every_fault_of_a_config_is_named_at_once(mining: Mining, config: Path) -> None:
    told = config.read_text().replace("dim: 16", "dimm: 16")
    config.write_text(told + "loss: {margin: 2, teacher: {weight: 1}}\n")
    found = mining("train", "--config", config, "--set", "optimiser.batch=1", "--set", "seed")
    assert found.code == 2
    told_of = "\n".join(errors(found))
    for part in (
        "unknown key 'model.dimm'; did you mean 'dim'?",
        "loss.margin must be between 0.0 and 1.0, but is 2",
        "key 'loss.teacher.path' is missing",
        "--set optimiser.batch=1: optimiser.batch must be at least 2, but is 1",
        "--set seed: must read key=value",
    ):
        assert part in told_of
    assert "train.yaml:" in told_of


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("model.start=/nowhere", 3, "model.start '/nowhere': must be a model folder"),
        ("model.audio_tokenizer=/nowhere", 3, "/nowhere"),
        ("model.audio_tokenizer=null", 2, "need a model with an audio tokenizer"),
        ("model.lora={}", 2, "lora must be given if and only if train names it"),
        ("model.fit={encoder: x}", 2, "only one of audio_tokenizer, fit and fit_letters"),
        ("loss.softmax=0", 2, "softmax must be above 0 where there is no teacher"),
        ("loss.teacher={path: builtin}", 2, "model.dim: must be the teacher's 768"),
        ("data.texts.pairs.uri=/nowhere.tsv", 3, "/nowhere.tsv"),
        ("data.texts={a/b: {uri: x}}", 2, "data.texts.a/b: a name may hold letters"),
        ("output=gs://bucket/x", 2, "output: must be a local folder"),
        ("optimiser.rate=1e30", 3, "must be finite, but is not; its batch is kept in"),
    ],
)
def test_a_fault_is_one_line_and_its_exit_code(
    mining: Mining, config: Path, override: str, code: int, message: str
) -> None:
    more = ("--set", "optimiser.steps=9", "--set", "loss.spread=1") if "1e30" in override else ()
    found = mining("train", "--config", config, "--set", override, *more, "--quiet")
    lines = errors(found)
    assert found.code == code, found.err
    assert len(lines) == 1
    assert message in lines[0]


def test_a_gpu_that_is_not_there(mining: Mining, config: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    found = mining("train", "--config", config, "--set", "work.device=cuda", "--quiet")
    assert found.code == 4
    assert errors(found)[0].startswith("error: device cuda: a GPU must be there")


def test_bad_rows_are_refused_and_counted(
    mining: Mining, config: Path, world: Path, tmp_path: Path
) -> None:
    rows = (world / "clips.tsv").read_text().splitlines()
    (tmp_path / "broken.wav").write_bytes(b"RIFF no sound")
    for name in (path.name for path in world.glob("*.wav")):
        (tmp_path / name).symlink_to(world / name)
    rows += ["broken.wav\tdeu\tDas Boot\tthe boat\tv", "none.wav\tdeu\tDas Boot\tthe boat\tv"]
    (tmp_path / "clips.tsv").write_text("\n".join(rows) + "\n")
    found = mining(
        "train", "--config", config, "--set", f"data.seeds.clips.manifest={tmp_path}/clips.tsv"
    )
    assert found.code == 0, found.err
    report = yaml.safe_load((tmp_path / "out" / "report.json").read_text())
    assert report["data"]["seeds"]["clips"]["rows"] == len(rows) - 1
    assert sum(report["data"]["rejected"].values()) == 2
