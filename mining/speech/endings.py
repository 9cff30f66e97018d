"""Whether a file of sound is whole, where libsndfile does not say.

It takes the length of an Ogg or WAV file from what is there, and that of an MP3 file from its header
even if more follows.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

_HEAD_BYTES, _TAIL_BYTES = 1 << 16, 1 << 17
# An Ogg page: "OggS", version, flags, position, serial number, sequence, checksum, segments.
_PAGE_BYTES, _FIRST, _LAST = 27, 2, 4
# Libsndfile's log of a WAV or AIFF file: what the header says, and what the file has room for.
_CHUNK = re.compile(r"^\s*(?:data|SSND) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_BYTES = 0x7FFFF000  # what writes to a pipe puts a number at least as high
_XING_FRAMES, _XING_BYTES = 1, 2  # flags: which numbers a Xing header holds
_SURPLUS_BYTES = 1 << 14  # less may be tags, or a header that does not count its own frame


def chunk_ending(log: str) -> str | None:
    """Why a WAV or AIFF file ends too early, from libsndfile's log; None if it is whole."""
    match = _CHUNK.search(log)
    if match is None:
        return None
    promised, found = int(match[1]), int(match[2])
    if not found < promised < _UNKNOWN_BYTES:
        return None
    return f"{found} of the {promised} bytes of sound that its header states"


def ogg_ending(path: Path) -> str | None:
    """Why an Ogg file (Vorbis, Opus, FLAC) is not read to its end; None if it is.

    Its last page must be whole and carry the flag of a last page. Of streams chained one after the
    other libsndfile reads the first; where several run side by side nothing is said.
    """
    head, tail = _head_and_tail(path)
    if head[:4] != b"OggS":
        return None
    second = _page_bytes(head, 0)
    if head[second : second + 4] == b"OggS" and head[second + 5] & _FIRST:
        return None
    at = tail.rfind(b"OggS\0")
    if at < 0 or at + _page_bytes(tail, at) > len(tail):
        return "its last page is cut off"
    if tail[at + 14 : at + 18] != head[14:18]:
        return "several streams follow each other, of which only the first is read"
    return None if tail[at + 5] & _LAST else "it breaks off without a last page"


def _page_bytes(data: bytes, at: int) -> int:
    """Length of the Ogg page at ``at``; beyond the end of ``data`` if its header is cut off."""
    if at + _PAGE_BYTES > len(data):
        return len(data) + 1
    segments = data[at + _PAGE_BYTES : at + _PAGE_BYTES + data[at + 26]]
    return _PAGE_BYTES + data[at + 26] + sum(segments)


def mp3_ending(path: Path) -> str | None:
    """Why an MP3 file goes on after its end: another was appended; None if it does not.

    The Xing header of the first frame states the bytes of the stream that it begins.
    """
    with open(path, "rb") as file:
        start, head = _mp3_start(file)
        frame, at, flags = _xing(head)
        if not flags & _XING_BYTES:
            return None
        field = at + 8 + 4 * (flags & _XING_FRAMES)
        end = start + frame + int.from_bytes(head[field : field + 4], "big")
        surplus = path.stat().st_size - end
        file.seek(end)
        more = file.read(4)
    if surplus < _SURPLUS_BYTES or not (more[:3] == b"ID3" or _is_frame(more)):
        return None
    return f"{surplus} bytes of sound follow the end that its header states"


def mp3_states_length(path: Path) -> bool:
    """Whether the Xing header of an MP3 file's first frame says how many frames follow."""
    with open(path, "rb") as file:
        _, head = _mp3_start(file)
        _, at, flags = _xing(head)
    return bool(flags & _XING_FRAMES and any(head[at + 8 : at + 12]))


def _mp3_start(file: BinaryIO) -> tuple[int, bytes]:
    """Where the first frame is looked for, and what begins there."""
    start = _after_id3(file.read(10))
    file.seek(start)
    return start, file.read(_HEAD_BYTES)


def _xing(head: bytes) -> tuple[int, int, int]:
    """Where the first frame and its Xing header begin, and the header's flags; 0 if it has none."""
    at = max(head.find(b"Xing", 0, 4096), head.find(b"Info", 0, 4096))
    # Behind 4 bytes of header and 9, 17 or 32 of side information.
    frame = next((at - n for n in (13, 21, 36) if at >= n and head[at - n] == 0xFF), -1)
    flags = int.from_bytes(head[at + 4 : at + 8], "big") if frame >= 0 else 0
    return frame, at, flags


def _after_id3(head: bytes) -> int:
    """Where an ID3v2 tag at the start of a file ends: four digits of 7 bits."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum(digit << shift for digit, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _is_frame(data: bytes) -> bool:
    return len(data) == 4 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0


def _head_and_tail(path: Path) -> tuple[bytes, bytes]:
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return head, file.read()
