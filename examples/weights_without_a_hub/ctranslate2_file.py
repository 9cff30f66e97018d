"""A CTranslate2 Whisper as a Hugging Face folder.

``model.bin`` (binary version 6, ctranslate2/specs/model_spec.py) is a flat list: version, name and
revision of the specification, then for each variable its name, shape, number format and raw bytes,
then aliases. Little-endian; texts are a uint16 length and bytes that end in a zero byte.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_FORMATS = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_VERSION = 6
_HEAD_WIDTH = 64
_SAMPLING = {"sampling_rate": 16000, "hop_length": 160, "n_fft": 400, "chunk_length": 30}


def variables(path: Path) -> dict[str, NDArray[Any]]:
    """Every variable by its name."""
    with path.open("rb") as stream:
        version = _number(stream, "<I")
        name = _text(stream)
        _number(stream, "<I")  # revision of the specification
        if version != _VERSION or name != "WhisperSpec":
            raise SystemExit(
                f"{path}: must be WhisperSpec in version {_VERSION}, but is {name} in {version}"
            )
        return dict(_variable(stream) for _ in range(_number(stream, "<I")))


def _variable(stream: BinaryIO) -> tuple[str, NDArray[Any]]:
    name = _text(stream)
    shape = [_number(stream, "<I") for _ in range(_number(stream, "<B"))]
    number_format = _FORMATS[_number(stream, "<B")]
    content = stream.read(_number(stream, "<I"))
    return name, np.frombuffer(content, dtype=number_format).reshape(shape)


def _number(stream: BinaryIO, layout: str) -> int:
    return int(struct.unpack(layout, stream.read(struct.calcsize(layout)))[0])


def _text(stream: BinaryIO) -> str:
    return stream.read(_number(stream, "<H")).rstrip(b"\0").decode()


def state(found: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Tensors of WhisperForConditionalGeneration, float32."""
    tensors = {"model.decoder.embed_tokens.weight": found["decoder/embeddings/weight"]}
    for side in ("encoder", "decoder"):
        to = f"model.{side}"
        tensors[f"{to}.embed_positions.weight"] = found[f"{side}/position_encodings/encodings"]
        tensors.update(_norm(found, f"{side}/layer_norm", f"{to}.layer_norm"))
        for layer in range(_layers(found, side)):
            tensors.update(_layer(found, f"{side}/layer_{layer}", f"{to}.layers.{layer}"))
    for name in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            tensors[f"model.encoder.{name}.{part}"] = found[f"encoder/{name}/{part}"]
    return {name: np.ascontiguousarray(x, dtype=np.float32) for name, x in tensors.items()}


def _layers(found: dict[str, NDArray[Any]], side: str) -> int:
    return len(
        {name.split("/")[1] for name in found if name.startswith(f"{side}/layer_")} - {"layer_norm"}
    )


def _layer(
    found: dict[str, NDArray[Any]], source: str, to: str
) -> Iterator[tuple[str, NDArray[Any]]]:
    yield from _attention(found, f"{source}/self_attention", f"{to}.self_attn", ("qkv", "out"))
    if f"{source}/attention/linear_0/weight" in found:
        yield from _attention(
            found, f"{source}/attention", f"{to}.encoder_attn", ("q", "kv", "out")
        )
    yield from _norm(found, f"{source}/ffn/layer_norm", f"{to}.final_layer_norm")
    for number in (0, 1):
        for part in ("weight", "bias"):
            yield f"{to}.fc{number + 1}.{part}", found[f"{source}/ffn/linear_{number}/{part}"]


def _attention(
    found: dict[str, NDArray[Any]], source: str, to: str, linears: tuple[str, ...]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Projections that CTranslate2 keeps stacked, taken apart; Whisper's keys have no bias."""
    yield from _norm(found, f"{source}/layer_norm", f"{to}_layer_norm")
    for number, held in enumerate(linears):
        names = ["out"] if held == "out" else list(held)
        for part in ("weight", "bias"):
            stacked = found[f"{source}/linear_{number}/{part}"]
            for name, tensor in zip(names, np.split(stacked, len(names)), strict=True):
                if (name, part) != ("k", "bias"):
                    yield f"{to}.{name}_proj.{part}", tensor


def _norm(
    found: dict[str, NDArray[Any]], source: str, to: str
) -> Iterator[tuple[str, NDArray[Any]]]:
    yield f"{to}.weight", found[f"{source}/gamma"]
    yield f"{to}.bias", found[f"{source}/beta"]


def to_transformers(source: Path, target: Path) -> None:
    """Write config, tokenizer, feature settings and ``model.safetensors`` of the same weights."""
    from safetensors.numpy import save_file

    found = variables(source / "model.bin")
    stated = json.loads((source / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    target.mkdir()
    save_file(state(found), target / "model.safetensors", metadata={"format": "pt"})
    (target / "model.safetensors").chmod(0o644)
    _write(target / "config.json", _config(found, special))
    _write(target / "generation_config.json", _generation(stated, special))
    mels = found["encoder/conv1/weight"].shape[1]
    _write(
        target / "preprocessor_config.json",
        {
            "feature_extractor_type": "WhisperFeatureExtractor",
            "feature_size": mels,
            "padding_value": 0.0,
            "return_attention_mask": False,
            **_SAMPLING,
        },
    )
    _write(target / "tokenizer_config.json", {"tokenizer_class": "WhisperTokenizer"})
    (target / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())


def _config(found: dict[str, NDArray[Any]], special: dict[str, int]) -> dict[str, Any]:
    rows, width = found["decoder/embeddings/weight"].shape
    feed_forward = found["encoder/layer_0/ffn/linear_0/weight"].shape[0]
    end = special["<|endoftext|>"]
    config: dict[str, Any] = {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "vocab_size": rows,
        "d_model": width,
        "num_mel_bins": found["encoder/conv1/weight"].shape[1],
        "max_source_positions": found["encoder/position_encodings/encodings"].shape[0],
        "max_target_positions": found["decoder/position_encodings/encodings"].shape[0],
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": special["<|startoftranscript|>"],
        "tie_word_embeddings": True,
    }
    for side in ("encoder", "decoder"):
        config[f"{side}_layers"] = _layers(found, side)
        config[f"{side}_attention_heads"] = width // _HEAD_WIDTH
        config[f"{side}_ffn_dim"] = feed_forward
    return config


def _generation(stated: dict[str, Any], special: dict[str, int]) -> dict[str, Any]:
    end = special["<|endoftext|>"]
    names = {number: token for token, number in special.items()}
    return {
        "alignment_heads": stated["alignment_heads"],
        "begin_suppress_tokens": stated["suppress_ids_begin"],
        "bos_token_id": end,
        "decoder_start_token_id": special["<|startoftranscript|>"],
        "eos_token_id": end,
        "is_multilingual": True,
        "lang_to_id": {names[number]: number for number in stated["lang_ids"]},
        "max_length": 448,
        "no_timestamps_token_id": special["<|notimestamps|>"],
        "pad_token_id": end,
        "prev_sot_token_id": special["<|startofprev|>"],
        "suppress_tokens": stated["suppress_ids"],
        "task_to_id": {task: special[f"<|{task}|>"] for task in ("transcribe", "translate")},
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
