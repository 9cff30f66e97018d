"""A state is there as a whole or not at all, and only for the run that it is of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from encoders.train.state import State, flat, load_state, save_state
from mining.contract.errors import CapacityError, CheckpointError

IDENTITY = flat({"loss": {"margin": 0.2, "teacher": None}, "seed": 1, "data": {"texts": {}}})


def state(step: int) -> State:
    generator = torch.Generator().manual_seed(step)
    tensors = {"a": torch.rand(3, 4, generator=generator), "b": torch.tensor(float(step))}
    return State(step=step, tensors=tensors, facts={"audio_h": step / 7})


def test_it_comes_back_to_the_bit_and_two_are_kept(tmp_path: Path) -> None:
    assert load_state(tmp_path / "none", IDENTITY) is None
    for step in (9, 10, 100):
        save_state(tmp_path, state(step), IDENTITY)
    found = load_state(tmp_path, IDENTITY)
    assert found is not None
    assert (found.step, found.facts) == (100, {"audio_h": 100 / 7})
    assert torch.equal(found.tensors["a"], state(100).tensors["a"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_00000010", "step_00000100"]


@pytest.mark.parametrize(
    ("name", "bytes_left"),
    [("tensors.safetensors", 0), ("tensors.safetensors", 90), ("tensors.safetensors", -1),
     ("state.json", 0), ("state.json", 40)],
)  # fmt: skip
def test_a_cut_state_falls_back_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, bytes_left: int
) -> None:
    save_state(tmp_path, state(1), IDENTITY)
    save_state(tmp_path, state(2), IDENTITY)
    file = tmp_path / "step_00000002" / name
    file.write_bytes(file.read_bytes()[:bytes_left])
    found = load_state(tmp_path, IDENTITY)
    assert found is not None
    assert found.step == 1
    (warning,) = caplog.records
    assert "step_00000002: the state is damaged" in warning.getMessage()
    save_state(tmp_path, state(2), IDENTITY)  # done again: in the place of the damaged one
    assert load_state(tmp_path, IDENTITY).step == 2


def test_one_flipped_bit_and_a_missing_file_are_damage(tmp_path: Path) -> None:
    save_state(tmp_path, state(1), IDENTITY)
    save_state(tmp_path, state(2), IDENTITY)
    file = tmp_path / "step_00000002" / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert load_state(tmp_path, IDENTITY).step == 1
    file.unlink()
    assert load_state(tmp_path, IDENTITY).step == 1
    (tmp_path / "step_00000001" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="all 2 are damaged; remove the folder"):
        load_state(tmp_path, IDENTITY)


def test_another_config_is_refused_by_its_keys(tmp_path: Path) -> None:
    save_state(tmp_path, state(1), IDENTITY)
    with pytest.raises(CheckpointError) as caught:
        load_state(tmp_path, {**IDENTITY, "loss.margin": 0.3, "seed": 2, "new": True})
    message = str(caught.value)
    for part in ("loss.margin was 0.2, is 0.3", "seed was 1, is 2", "new was None, is True"):
        assert part in message
    assert "loss.teacher" not in message
    assert "\n" not in message


def test_what_a_killed_writer_left_is_no_state(tmp_path: Path) -> None:
    save_state(tmp_path, state(1), IDENTITY)
    partial = tmp_path / ".step_00000002.partial"
    partial.mkdir()
    (partial / "tensors.safetensors").write_bytes(b"x")
    assert load_state(tmp_path, IDENTITY).step == 1
    save_state(tmp_path, state(2), IDENTITY)
    assert load_state(tmp_path, IDENTITY).step == 2


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CapacityError, match="the state must be written, but cannot be") as caught:
        save_state(tmp_path / "file", state(1), IDENTITY)
    assert "\n" not in str(caught.value)


def test_flat_keys() -> None:
    nested = {"a": {"b": 1, "c": {"d": [1, 2], "e": {}}}, "f": None}
    assert flat(nested) == {"a.b": 1, "a.c.d": [1, 2], "a.c.e": {}, "f": None}
