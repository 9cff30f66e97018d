"""The GPU's kernels, run by Triton's interpreter where there is no GPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

SCRIPT = """
import torch
from mining.knn.torch_tiles import _plain_tops
from mining.knn.triton_tiles import tops
torch.manual_seed(0)
x = torch.nn.functional.normalize(torch.randn(128, 64), dim=1).half()
y = torch.nn.functional.normalize(torch.randn(256, 64), dim=1).half()
real, count = (100, 201), (3, 1)
for found, plain, rows in zip(
    tops(x, y, real, count), _plain_tops(x.float(), y.float(), real, count), real
):
    assert torch.allclose(found[0][:rows], plain[0][:rows], atol=1e-6), "similarities"
    assert torch.equal(found[1][:rows], plain[1][:rows]), "rows"
print("equal")
"""


@pytest.mark.slow
def test_the_kernels_find_what_the_plain_tiles_find():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False,
        env={**os.environ, "TRITON_INTERPRET": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == "equal", done.stderr
