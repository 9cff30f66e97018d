"""A whole run: killed and gone on with, refused, broken, judged."""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from encoders import embed_texts
from encoders.dual.model import DualEncoder
from encoders.dual.token_ids import TokenIds
from encoders.train import learner
from encoders.train.config import load_training
from encoders.train.data.pairs import TrainingPair
from encoders.train.figures import read_figures
from encoders.train.run import Outcome, train
from mining.contract.encoder import Encoder
from mining.contract.errors import CapacityError, CheckpointError, ConfigError, MiningError
from tests.unit.encoders.train.killed import MOMENTS, train_and_die
from tests.unit.encoders.train.world import training

SIX = ("optimiser.steps=6", "work.checkpoint_every=2", "work.evaluate_every=2", "optimiser.chunk=3")


def told(folder: Path, output: Path, *overrides: str) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    return train(training(folder, output, *overrides), lines.append), lines


def figures(output: Path) -> list[dict[str, object]]:
    """All lines without the one figure that is of the machine."""
    lines = read_figures(output)
    return [{k: v for k, v in line.items() if k != "items_per_s"} for line in lines]


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def whole(training_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole")
    told(training_world, output, *SIX)
    return output


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.unit.encoders.train.killed"])
    return context


@pytest.mark.parametrize("moment", sorted(MOMENTS.keys() - {"after the last step"}))
def test_a_killed_run_goes_on_to_the_same_bits(
    training_world: Path,
    tmp_path: Path,
    whole: Path,
    processes: multiprocessing.context.ForkServerContext,
    moment: str,
) -> None:
    child = processes.Process(target=train_and_die, args=(training_world, tmp_path, moment, SIX))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "_state" / "finished.json").exists()
    told(training_world, tmp_path, *SIX)
    assert figures(tmp_path) == figures(whole)
    assert files(tmp_path / "model") == files(whole / "model")
    assert (tmp_path / "report.json").read_bytes() == (whole / "report.json").read_bytes()
    assert not list((tmp_path / "_state").glob("*step*"))


def test_a_run_out_of_time_keeps_its_state_and_goes_on(
    training_world: Path, tmp_path: Path, whole: Path
) -> None:
    for step in (1, 2):
        with pytest.raises(CapacityError, match=rf"6 steps must end within 0, but {step} did"):
            told(training_world, tmp_path, *SIX, "work.minutes=0")
    assert (tmp_path / "_state" / "step_00000002").is_dir()
    told(training_world, tmp_path, *SIX)
    assert figures(tmp_path) == figures(whole)
    assert files(tmp_path / "model") == files(whole / "model")


def test_what_does_not_decide_the_weights_does_not(
    training_world: Path, tmp_path: Path, whole: Path
) -> None:
    told(training_world, tmp_path, *SIX, "work.evaluate_every=0", "work.checkpoint_every=5")
    assert files(tmp_path / "model") == files(whole / "model")


def test_a_finished_run_does_nothing_and_says_so(training_world: Path, whole: Path) -> None:
    before = files(whole)
    outcome, lines = told(training_world, whole, *SIX, "work.evaluate_every=3")
    assert not outcome.fresh
    assert lines == [f"nothing to do: {whole}/model is finished"]
    assert outcome.report["last_step"]["step"] == 6
    assert files(whole) == before
    with pytest.raises(CheckpointError, match=r"loss\.margin was 0\.2, is 0\.1; give another"):
        told(training_world, whole, *SIX, "loss.margin=0.1")


@pytest.fixture(scope="module")
def killed_late(
    training_world: Path,
    tmp_path_factory: pytest.TempPathFactory,
    processes: multiprocessing.context.ForkServerContext,
) -> Path:
    """A run of six steps that was killed after the last, with two states."""
    output = tmp_path_factory.mktemp("killed")
    child = processes.Process(
        target=train_and_die, args=(training_world, output, "after the last step", SIX)
    )
    child.start()
    child.join(60)
    names = sorted(path.name for path in (output / "_state").iterdir())
    assert names == ["step_00000004", "step_00000006"]
    return output


@pytest.fixture
def stopped(killed_late: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(killed_late, tmp_path / "out"))


def test_states_of_other_settings_or_data_are_refused(training_world: Path, stopped: Path) -> None:
    with pytest.raises(CheckpointError, match=r"optimiser\.rate was 0\.001, is 0\.5; seed was 0"):
        told(training_world, stopped, *SIX, "optimiser.rate=0.5", "seed=4")
    table = training_world / "pairs.tsv"
    before = table.read_text()
    try:
        table.write_text("\n".join(before.splitlines()[:-3]) + "\n")
        with pytest.raises(CheckpointError, match="must be of a run on the same data") as caught:
            told(training_world, stopped, *SIX)
        assert "\n" not in str(caught.value)
    finally:
        table.write_text(before)


def test_a_cut_state_falls_back_and_ends_the_same(
    training_world: Path, stopped: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = stopped / "_state" / "step_00000006" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    _, lines = told(training_world, stopped, *SIX)
    assert "going on after step 4" in lines
    assert (stopped / "report.json").read_bytes() == (whole / "report.json").read_bytes()
    assert any("step_00000006: the state is damaged" in r.getMessage() for r in caplog.records)
    assert files(stopped / "model") == files(whole / "model")
    assert figures(stopped) == figures(whole)


def test_a_start_that_changed_since_is_refused(
    training_world: Path, stopped: Path, tmp_path: Path
) -> None:
    backbone, kept = training_world / "backbone", tmp_path / "kept"
    shutil.copytree(backbone, kept)
    from tests.unit.encoders.train.world import save_backbone

    try:
        save_backbone(backbone, width=16)
        with pytest.raises(CheckpointError, match="must hold this model's parameters, but"):
            told(training_world, stopped, *SIX)
    finally:
        shutil.rmtree(backbone)
        shutil.copytree(kept, backbone)


def test_a_loss_that_is_no_number_stops_with_its_batch(
    training_world: Path, tmp_path: Path
) -> None:
    with pytest.raises(MiningError) as caught:
        told(training_world, tmp_path, "optimiser.rate=1e30", "optimiser.steps=9", "loss.spread=1")
    message = str(caught.value)
    assert "must be finite, but is not; its batch is kept in" in message
    assert "\n" not in message
    (folder,) = tmp_path.glob("nan_step_*")
    rows = pq.read_table(folder / "batch.parquet").to_pylist()
    assert len(rows) == 8
    assert all(row["target_text"] for row in rows)
    spoken = [row for row in rows if row["source_units"]]
    assert spoken
    assert all((row["source_text"] is None) == bool(row["source_units"]) for row in rows)
    assert not (tmp_path / "model").exists()


def test_frozen_parts_stay_to_the_bit(training_world: Path, tmp_path: Path) -> None:
    told(training_world, tmp_path / "a", "model.train=[audio, projection]")
    first = load_file(tmp_path / "a" / "model" / "model.safetensors")
    start = load_file(training_world / "backbone" / "model.safetensors")
    table = "embeddings.word_embeddings.weight"
    for name, value in start.items():
        assert np.array_equal(first[name][: len(value)], value), name
    other = ("model.train=[audio, projection]", "optimiser.rate=0.1")
    told(training_world, tmp_path / "b", *other)
    second = load_file(tmp_path / "b" / "model" / "model.safetensors")
    rows = len(start[table])
    assert not np.array_equal(first[table][rows:], second[table][rows:])


def test_going_on_from_a_dual_encoder(training_world: Path, whole: Path, tmp_path: Path) -> None:
    start = [f"model.start={whole}/model", "model.audio_tokenizer=null", "model.dim=null"]
    outcome, _ = told(training_world, tmp_path / "a", *start, "model.prefix='<{language}> '")
    model = DualEncoder.from_pretrained(outcome.model)
    assert (model.dim, model.config.prefix, model.units.units) == (16, "<{language}> ", 12)
    for fault, message in (
        ("model.dim=8", "model.dim: must be 16 as of the dual encoder"),
        (
            f"model.audio_tokenizer={training_world}/units",
            "model.audio_tokenizer: must be left out",
        ),
        ("model.revision=main", "model.revision: must be left out for a folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            told(training_world, tmp_path / "b", *start, fault)


def test_chunks_bound_what_is_embedded_and_keep_the_loss(
    training_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = tmp_path / "quiet"
    shutil.copytree(training_world / "backbone", quiet)
    config = json.loads((quiet / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (quiet / "config.json").write_text(json.dumps(config))
    sizes: list[int] = []
    inner = DualEncoder.forward

    def counted(self: DualEncoder, items: list, tokens: int | None = None) -> torch.Tensor:
        if self.training:
            sizes.append(len(items))
        return inner(self, items, tokens)

    monkeypatch.setattr(DualEncoder, "forward", counted)
    losses = []
    for chunk in (8, 3, 1):
        sizes.clear()
        output = tmp_path / str(chunk)
        told(training_world, output, f"model.start={quiet}", f"optimiser.chunk={chunk}")
        assert max(sizes) <= 2 * chunk
        assert sum(sizes) == 2 * 16 * (1 if chunk == 8 else 2)  # steps, items, passes
        losses.append([(line["loss"], line["gradient"]) for line in figures(output)[:2]])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-4)


def test_text_alone_needs_no_audio_tokenizer(training_world: Path, tmp_path: Path) -> None:
    bare = ("data.seeds={}", "model.audio_tokenizer=null")
    outcome, _ = told(training_world, tmp_path / "a", *bare)
    model = DualEncoder.from_pretrained(outcome.model)
    assert model.units is None
    assert model.config.languages == ("deu", "eng", "fra")
    assert outcome.report["last_step"]["audio_h"] == 0
    with pytest.raises(ConfigError, match="need a model with an audio tokenizer"):
        told(training_world, tmp_path / "b", "model.audio_tokenizer=null")


def test_teacher_must_be_as_wide(training_world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be the teacher's 768.*set model\.dim to 768"):
        told(training_world, tmp_path, "loss.teacher={path: builtin}")


def test_the_teacher_and_the_tokenizer_may_be_asked_for_one_text_at_a_time(
    training_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("loss.teacher={path: builtin}", "model.dim=768", "optimiser.chunk=4")
    told(training_world, tmp_path / "fast", *more)

    def slowly(teacher: Encoder, pairs: Sequence[TrainingPair]) -> NDArray[np.float32]:
        texts = [pair.teacher_text for pair in pairs]
        return np.concatenate([embed_texts(teacher, [one.text], one.lang) for one in texts])

    def one_by_one(self: TokenIds, texts: list[str]) -> list[list[int]]:
        return [self._tokenizer(text)["input_ids"] for text in texts]

    monkeypatch.setattr(learner, "_taught", slowly)
    monkeypatch.setattr(TokenIds, "_tokenized", one_by_one)
    told(training_world, tmp_path / "slow", *more)
    assert files(tmp_path / "fast" / "model") == files(tmp_path / "slow" / "model")


def test_a_space_is_the_teachers_or_a_name_or_new(training_world: Path, tmp_path: Path) -> None:
    def space(*overrides: str) -> object:
        output = tmp_path / str(len(list(tmp_path.iterdir())))
        outcome, _ = told(training_world, output, *overrides)
        config = json.loads((outcome.model / "dual_encoder.json").read_text())
        assert config["name"] == "small"
        return config["space"]

    assert space("loss.teacher={path: builtin}", "model.dim=768") == "builtin"
    assert space("model.space=mine") == "mine"
    assert space() is None  # named after its contents when it is loaded


def test_a_part_that_is_not_there_cannot_be_trained(training_world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.train: must name a part that the model has"):
        told(training_world, tmp_path, "model.train=[projection]", "model.dim=null")


def test_missing_gpu_output_and_start(training_world: Path, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(CapacityError, match="device cuda: a GPU must be there"):
            told(training_world, tmp_path, "work.device=cuda")
    with pytest.raises(CheckpointError, match=r"model\.start .* must be a model folder"):
        told(training_world, tmp_path, "model.start=nowhere/at/all")
    with pytest.raises(ConfigError, match="output: must be a local folder"):
        train(load_training(str(training_world / "base.yaml"), (), "s3://b/x"), lambda line: None)


def test_out_of_memory_is_one_line(
    training_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: DualEncoder, items: list, tokens: int | None = None) -> torch.Tensor:
        return torch.empty(1 << 60)  # more than there is: what torch itself raises

    monkeypatch.setattr(DualEncoder, "forward", full)
    with pytest.raises(CapacityError, match=r"lower optimiser\.chunk \(it is 8\)"):
        told(training_world, tmp_path)


def test_tensorboard_is_written_or_missed_in_one_line(
    training_world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("tensorboard")
    told(training_world, tmp_path / "a", "work.tensorboard=true")
    assert list((tmp_path / "a" / "tensorboard").glob("events.*"))
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.WARNING):
        told(training_world, tmp_path / "b", "work.tensorboard=true")
    assert [r.getMessage() for r in caplog.records if "tensorboard" in r.getMessage()] == [
        "tensorboard is not installed (extra train): its files are left out; metrics.jsonl has all "
        "figures"
    ]
    assert len(figures(tmp_path / "b")) == 3


def test_the_loss_falls_and_held_out_speech_is_judged(training_world: Path, tmp_path: Path) -> None:
    """The loss falls, and R@1 in the log is the report's."""
    outcome, lines = told(
        training_world, tmp_path, "optimiser.steps=40", "optimiser.rate=3e-3", "optimiser.batch=12",
        "optimiser.chunk=12", "work.evaluate_every=20",
    )  # fmt: skip
    steps = [line for line in figures(tmp_path) if line["kind"] == "step"]
    losses = [line["loss"] for line in steps]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
    judged = [line for line in figures(tmp_path) if line["kind"] == "judge"]
    assert [line["step"] for line in judged] == [20, 40]
    for one in outcome.report["judged"]:
        key = f"{one['task']}/{one['lang']}-{one['target_lang']}"
        assert judged[-1][f"{key}/recall"] == one["recall"]
        assert judged[-1][f"{key}/by_length"] == one["by_length"]
    means = [
        one["recall"] for one in outcome.report["judged"] if one["task"] == "speech-transcript"
    ]
    assert any(f"R@1 speech-transcript {np.mean(means):.3f}," in line for line in lines)


def test_training_leaves_the_number_of_threads_as_it_was(training_world, tmp_path):
    before = torch.get_num_threads()
    told(training_world, tmp_path / "out", "optimiser.steps=1", f"work.threads={before + 1}")
    assert torch.get_num_threads() == before
