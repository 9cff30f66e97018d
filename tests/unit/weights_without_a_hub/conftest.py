"""The example's modules, and a writer of TensorFlow checkpoints that knows nothing of the reader."""

import os
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "examples" / "weights_without_a_hub"
BLOCK_ENTRIES = 3


@pytest.fixture
def example(example_in):
    """Import a module of the example by its name."""
    return example_in(EXAMPLE)


@pytest.fixture(scope="session")
def models() -> Path:
    given = os.environ.get("MINING_WEIGHTS")
    return Path(given) if given else REPOSITORY / "models"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(shape, offset: int, length: int, dtype: int = 1) -> bytes:
    sides = b"".join(field(2, field(1, side)) for side in shape)
    checksum = varint(6 << 3 | 5) + b"\1\2\3\4"
    return field(1, dtype) + field(2, sides) + field(4, offset) + field(5, length) + checksum


def block(pairs) -> bytes:
    out, last = b"", b""
    for key, value in pairs:
        shared = next(
            (i for i, pair in enumerate(zip(key, last, strict=False)) if len(set(pair)) > 1),
            len(last),
        )
        out += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        last = key
    return out + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")


def crc32c(content: bytes) -> int:
    """As the LevelDB documents say it, bit by bit from the polynomial's other end."""
    crc = 0xFFFFFFFF
    for byte in content:
        for place in range(8):
            out = (crc ^ byte >> place) & 1
            crc >>= 1
            if out:
                crc ^= 0x82F63B78
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32)


def table(pairs, kind: int = 0) -> bytes:
    out = b""

    def put(content: bytes) -> bytes:
        nonlocal out
        handle = varint(len(out)) + varint(len(content))
        kept = content + bytes([kind])
        out += kept + crc32c(kept).to_bytes(4, "little")
        return handle

    index = []
    for start in range(0, len(pairs), BLOCK_ENTRIES):
        part = pairs[start : start + BLOCK_ENTRIES]
        index.append((part[-1][0], put(block(part))))
    handles = put(block([])) + put(block(index))
    return out + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


HEADER = field(1, 1) + field(3, field(1, 1))


@pytest.fixture
def write_checkpoint():
    def write(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
        content, pairs = b"", [(b"", HEADER)]
        for name in sorted(tensors):
            part = tensors[name].astype("<f4").tobytes()
            pairs.append((name.encode(), entry(tensors[name].shape, len(content), len(part))))
            content += part
        folder.mkdir(exist_ok=True)
        (folder / "index").write_bytes(table(pairs))
        (folder / "data").write_bytes(content)
        return folder

    return write


@pytest.fixture
def write_index():
    """An index of one tensor, of the parts given."""

    def write(folder: Path, header: bytes = HEADER, placed: bytes | None = None, kind: int = 0):
        placed = entry((2, 3), 0, 24) if placed is None else placed
        (folder / "index").write_bytes(table([(b"", header), (b"x", placed)], kind))
        (folder / "data").write_bytes(bytes(24))
        return folder / "index", folder / "data"

    return write


@pytest.fixture
def parts_of_an_index():
    return field, entry
