from __future__ import annotations

import pytest

from mining.contract.errors import ConfigError
from mining.knn import BACKENDS, available, choose_backend
from mining.knn.backends import nominator


@pytest.mark.parametrize(
    ("size", "cuda", "backend"),
    [
        ((100, 100, 768), True, "exact"),
        ((100_000, 100_000, 768), True, "exact-cuda"),
        ((100_000, 100_000, 768), False, "exact-prefix"),
        ((100_000, 500, 768), False, "exact"),
        ((100_000, 100_000, 64), False, "exact"),
    ],
)
def test_size_and_device_choose_the_backend_and_a_reason_is_given(size, cuda, backend):
    choice = choose_backend(*size, cuda=cuda)
    assert choice.backend == backend
    assert choice.backend in BACKENDS
    assert choice.reason


def test_what_this_machine_can_run_is_built_and_what_is_unknown_refused():
    assert {"exact", "exact-prefix", "faiss-flat"} <= set(available()) <= set(BACKENDS)
    for name in ("auto", *available()):
        assert nominator(name, None, 10, 10, 8)
    with pytest.raises(ConfigError, match=r"one of .* or auto, but is 'best'"):
        nominator("best", None, 10, 10, 8)
