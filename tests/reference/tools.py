"""What other tools do, restated in NumPy from reading their sources, array by array.

Two things are ours in all, since the tools leave them to chance: scores are float32, and equal
scores go by similarity, then by position. Their known bugs are left out; each function names them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mined = list[tuple[int, int, float]]  # source, target, score; best first


def _neighbors(similarity: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    return np.argsort(-similarity, axis=1, kind="stable")[:, : min(k, similarity.shape[1])]


def _means(similarity: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    found = np.take_along_axis(similarity, _neighbors(similarity, k), axis=1)
    return np.array([sum(row) / len(row) for row in found.astype(float).tolist()])


def _ratio(a: NDArray[np.float32], b: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, a / b, 0.0).astype(np.float32)


def laser(similarity: NDArray[np.float32], k: int = 4, threshold: float = 0.0) -> Mined:
    """LASER ``source/mine_bitexts.py --mode mine --retrieval max --margin ratio``.

    Left out: ``fwd`` and ``bwd`` end in a NameError, ``intersect`` ignores the threshold, a mean
    of zero or less turns the order of the ratio round (scored 0 here).
    """
    fwd, bwd = _neighbors(similarity, k), _neighbors(similarity.T, k)
    x_mean, y_mean = _means(similarity, k), _means(similarity.T, k)
    matrix = _ratio(similarity, (x_mean[:, None] + y_mean[None, :]) / 2)
    pairs = []
    for i, found in enumerate(fwd):
        pairs.append((i, max(found.tolist(), key=lambda j: (matrix[i, j], similarity[i, j], -j))))
    for j, found in enumerate(bwd):
        pairs.append((max(found.tolist(), key=lambda i: (matrix[i, j], similarity[i, j], -i)), j))
    pairs.sort(key=lambda p: (-matrix[p], -similarity[p], p))
    seen_src, seen_trg, mined = set(), set(), []
    for i, j in pairs:
        if i not in seen_src and j not in seen_trg:
            seen_src.add(i)
            seen_trg.add(j)
            if matrix[i, j] > threshold:
                mined.append((i, j, float(matrix[i, j])))
    return mined


def stopes(
    similarity: NDArray[np.float32], k: int = 16, threshold: float = 1.06, score_max: float = 1.25
) -> Mined:
    """stopes ``mine_bitext_indexes_utils.mine`` (ratio, union, k_extract 1, neighbours not sorted).

    Left out: missing neighbours of FAISS (-1) that count as row 0 at distance 2, ``mean_is_last``
    writing into a read-only array, flags that shift when score_max drops rows, float16 distances,
    a mutual pair standing twice, and the ratio to a mean of zero or less (scored 0 here).
    """
    fwd, bwd = _neighbors(similarity, k)[:, 0], _neighbors(similarity.T, k)[:, 0]
    x_mean, y_mean = _means(similarity, k), _means(similarity.T, k)
    n, m = similarity.shape
    # 2 - L2^2 = 2 cos above and below: the factor cancels in a ratio
    src = np.concatenate([np.arange(n), bwd])
    tgt = np.concatenate([fwd, np.arange(m)])
    scores = _ratio(similarity[src, tgt], (x_mean[src] + y_mean[tgt]) / 2)
    window = (threshold <= scores.astype(float)) & (scores.astype(float) <= score_max)
    pairs = {(int(i), int(j)): float(s) for i, j, s in zip(src, tgt, scores, strict=True)}
    kept = {(int(i), int(j)) for i, j in zip(src[window], tgt[window], strict=True)}
    ordered = sorted(kept, key=lambda p: (-pairs[p], -similarity[p], p))
    return [(i, j, pairs[i, j]) for i, j in ordered]


def sentence_transformers(
    similarity: NDArray[np.float32], k: int = 4, min_threshold: float = 1.0
) -> Mined:
    """sentence-transformers' example ``parallel-sentence-mining/bitext_mining.py``, exact search.

    Left out: PCA, IVFFlat, and sentences below 10 and above 200 characters; with fewer than 1,000
    targets the approximate index has no cluster and crashes.
    """
    fwd, bwd = _neighbors(similarity, k), _neighbors(similarity.T, k)
    x_mean, y_mean = _means(similarity, k), _means(similarity.T, k)
    matrix = _ratio(similarity, (x_mean[:, None] + y_mean[None, :]) / 2)
    n, m = similarity.shape
    fwd_best = [max(f.tolist(), key=lambda j: (matrix[i, j], similarity[i, j], -j))
                for i, f in enumerate(fwd)]  # fmt: skip
    bwd_best = [max(f.tolist(), key=lambda i: (matrix[i, j], similarity[i, j], -i))
                for j, f in enumerate(bwd)]  # fmt: skip
    indices = [*zip(range(n), fwd_best, strict=True), *zip(bwd_best, range(m), strict=True)]
    seen_src, seen_trg, written = set(), set(), []
    for i, j in sorted(indices, key=lambda p: (-matrix[p], -similarity[p], p)):
        if matrix[i, j] < min_threshold:
            break
        if i not in seen_src and j not in seen_trg:
            seen_src.add(i)
            seen_trg.add(j)
            written.append((i, j, float(matrix[i, j])))
    return written


def speech_vecalign(similarity: NDArray[np.float32], k: int = 16) -> NDArray[np.float32]:
    """Speech-Vecalign ``svecalign/postprocess/score_align.py``: the ratio of any pair (i, j).

    Left out: averages that come from an approximate index, and numerators in float32.
    """
    x_mean, y_mean = _means(similarity, k), _means(similarity.T, k)
    return _ratio(similarity, (x_mean[:, None] + y_mean[None, :]) / 2)
