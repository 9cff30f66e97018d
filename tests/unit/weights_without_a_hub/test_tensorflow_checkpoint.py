import contextlib

import numpy as np
import pytest
from safetensors.numpy import load_file


def random_tensors():
    draw = np.random.default_rng(0)
    shapes = {
        "a/b/one": (3, 4),
        "a/b/ones": (5,),
        "a/c": (2, 1, 3),
        "b": (7,),
        "b/long" * 40: (300,),
    }
    return {name: draw.standard_normal(shape).astype("f4") for name, shape in shapes.items()}


def test_what_was_written_is_read(example, write_checkpoint, tmp_path):
    written = random_tensors()
    folder = write_checkpoint(tmp_path / "made", written)
    read = example("tensorflow_checkpoint").tensors(folder / "index", folder / "data")
    assert read.keys() == written.keys()
    for name, tensor in written.items():
        np.testing.assert_array_equal(read[name], tensor, strict=True)


def test_no_damaged_byte_of_the_index_goes_unseen(example, write_checkpoint, tmp_path):
    folder = write_checkpoint(tmp_path / "made", random_tensors())
    tensors = example("tensorflow_checkpoint").tensors
    whole = (folder / "index").read_bytes()
    expected = {name: value.tobytes() for name, value in random_tensors().items()}
    unseen = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x15
        (folder / "index").write_bytes(damaged)
        with contextlib.suppress(SystemExit):
            found = tensors(folder / "index", folder / "data")
            assert {name: value.tobytes() for name, value in found.items()} == expected
            unseen += 1
    assert unseen < 70  # the meta block, its handle and the padding of the footer


@pytest.mark.parametrize("length", [0, 7, 47, 48, 100])
def test_a_cut_index_is_refused(example, write_checkpoint, tmp_path, length):
    folder = write_checkpoint(tmp_path / "made", random_tensors())
    content = (folder / "index").read_bytes()
    for cut in (content[:length], content[-length:] if length else b""):
        (folder / "index").write_bytes(cut)
        with pytest.raises(SystemExit, match="must be the index"):
            example("tensorflow_checkpoint").tensors(folder / "index", folder / "data")


def test_other_kinds_are_refused(example, write_index, parts_of_an_index, tmp_path):
    field, entry = parts_of_an_index
    tensors = example("tensorflow_checkpoint").tensors
    assert tensors(*write_index(tmp_path))["x"].shape == (2, 3)
    whole = entry((2, 3), 0, 24)
    for given, reason in (
        ({"kind": 1}, "compressed"),
        ({"header": field(1, 2)}, "one little-endian data file"),
        ({"header": field(1, 1) + field(2, 1)}, "one little-endian data file"),
        ({"placed": entry((2, 3), 0, 24, dtype=9)}, "not of float32"),
        ({"placed": whole + field(3, 1)}, "not of float32"),
        ({"placed": whole + field(7, b"")}, "in slices"),
        ({"placed": entry((2, 3), 4, 24)}, "shape does not go"),
        ({"placed": entry((2, 4), 0, 24)}, "shape does not go"),
        ({"placed": entry((1 << 62, 1 << 62), 0, 24)}, "shape does not go"),
        ({"placed": whole[:-2]}, "cut off"),
    ):
        with pytest.raises(SystemExit, match=reason):
            tensors(*write_index(tmp_path, **given))


def test_checksum(example):
    crc = 0xE3069283  # of these nine digits, RFC 3720
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32)
    assert example("tensorflow_checkpoint").masked_crc32c(b"123456789") == masked


def test_written_tensors_are_read_by_safetensors(example, tmp_path):
    written = random_tensors()
    written["turned"] = np.arange(6, dtype="f4").reshape(2, 3).T
    example("safetensors_file").write_float32(tmp_path / "x.safetensors", written)
    read = load_file(tmp_path / "x.safetensors")
    assert read.keys() == written.keys()
    for name, tensor in written.items():
        np.testing.assert_array_equal(read[name], tensor, strict=True)
