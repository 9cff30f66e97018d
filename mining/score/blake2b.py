"""BLAKE2b-128 of pairs of ids, compiled by numba (RFC 7693, section 3.2).

P pairs. Imported only where there are very many: numba takes a second to start, and some seconds once
on a machine to compile.
"""

from __future__ import annotations

import numba
import numpy as np

_IV = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
)  # fmt: skip
_SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
_PARAMETERS = np.uint64(0x01010000 ^ 16)  # no key, fanout 1, depth 1, 16 bytes of digest
_SEPARATOR = np.uint8(0x1F)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@numba.njit(cache=True)
def hex_digests(src, src_at, src_rows, tgt, tgt_at, tgt_rows):  # type: ignore[no-untyped-def]
    """Digests of ``source + 0x1f + target`` in hex: uint8 [32 P].

    Args:
        src: uint8, the bytes of all source ids.
        src_at: int32, where each of them begins, and the last ends.
        src_rows: int64 [P], which of them a pair has.
        tgt: the same of the targets, no pair longer than 127 bytes together.
        tgt_at: likewise.
        tgt_rows: likewise.
    """
    out = np.empty(32 * len(src_rows), np.uint8)
    words, state = np.empty(16, np.uint64), np.empty(16, np.uint64)
    letters = words.view(np.uint8)
    for pair in range(len(src_rows)):
        letters[:] = 0
        length = 0
        for at in range(src_at[src_rows[pair]], src_at[src_rows[pair] + 1]):
            letters[length] = src[at]
            length += 1
        letters[length] = _SEPARATOR
        length += 1
        for at in range(tgt_at[tgt_rows[pair]], tgt_at[tgt_rows[pair] + 1]):
            letters[length] = tgt[at]
            length += 1
        _compress(words, length, state)
        for byte in range(16):
            value = (state[byte >> 3] >> np.uint64(8 * (byte & 7))) & np.uint64(255)
            out[32 * pair + 2 * byte] = _HEX[value >> np.uint64(4)]
            out[32 * pair + 2 * byte + 1] = _HEX[value & np.uint64(15)]
    return out


@numba.njit(cache=True)
def _compress(words, length, state):  # type: ignore[no-untyped-def]
    """The function F for a message of one block; the first two of ``state`` become the digest."""
    for i in range(8):
        state[i] = state[i + 8] = _IV[i]
    state[0] ^= _PARAMETERS
    state[12] ^= np.uint64(length)
    state[14] = ~state[14]
    first, second = state[0], state[1]
    for round_ in range(12):
        order = _SIGMA[round_ % 10]
        for i in range(4):
            _mix(state, (i, i + 4, i + 8, i + 12), words[order[2 * i]], words[order[2 * i + 1]])
        for i in range(4):
            places = i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12
            _mix(state, places, words[order[2 * i + 8]], words[order[2 * i + 9]])
    state[0] ^= first ^ state[8]
    state[1] ^= second ^ state[9]


@numba.njit(cache=True)
def _mix(state, places, x, y):  # type: ignore[no-untyped-def]
    """The function G, on four places of the state."""
    a, b, c, d = places
    state[a] += state[b] + x
    state[d] = _rotated(state[d] ^ state[a], 32)
    state[c] += state[d]
    state[b] = _rotated(state[b] ^ state[c], 24)
    state[a] += state[b] + y
    state[d] = _rotated(state[d] ^ state[a], 16)
    state[c] += state[d]
    state[b] = _rotated(state[b] ^ state[c], 63)


@numba.njit(cache=True)
def _rotated(word, bits):  # type: ignore[no-untyped-def]
    """A word rotated right."""
    return (word >> np.uint64(bits)) | (word << np.uint64(64 - bits))
