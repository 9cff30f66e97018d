from __future__ import annotations

import pytest

from mining.contract.errors import ConfigError
from mining.knn import BACKENDS, available, choose_backend
from mining.knn.backends import nominator
from mining.knn.faiss_flat import gpus


@pytest.mark.parametrize(
    ("size", "cuda", "int8", "backend"),
    [
        ((100, 100, 768), True, True, "exact"),
        ((100_000, 100_000, 768), True, True, "exact-cuda"),
        ((100_000, 100_000, 768), False, True, "exact-int8"),
        ((10_000, 10_000, 128), False, True, "exact-int8"),
        ((100_000, 100_000, 768), False, False, "exact-prefix"),
        ((10_000, 10_000, 768), False, False, "exact"),
        ((100_000, 500, 768), False, True, "exact"),
        ((100_000, 100_000, 64), False, True, "exact"),
    ],
)
def test_size_and_device_choose_the_backend_and_a_reason_is_given(size, cuda, int8, backend):
    choice = choose_backend(*size, cuda=cuda, int8=int8)
    assert choice.backend == backend
    assert choice.backend in BACKENDS
    assert "faiss" not in choice.backend  # by name only
    assert choice.reason


def test_what_this_machine_can_run_is_built_and_what_is_unknown_refused():
    assert (
        {"exact", "exact-int8", "exact-prefix", "faiss-flat"} <= set(available()) <= set(BACKENDS)
    )
    assert ("faiss-gpu" in available()) == (gpus() > 0)
    for name in ("auto", *available()):
        assert nominator(name, None, 10, 10, 8)
    with pytest.raises(ConfigError, match=r"one of .* or auto, but is 'best'"):
        nominator("best", None, 10, 10, 8)
