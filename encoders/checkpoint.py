"""A model folder as files: what layout it has, what decides its vectors, what it says of itself.

Nothing here imports torch, so that a launcher can check and hash a model before any work starts.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mining.contract.errors import CheckpointError

SENTENCE_TRANSFORMERS = "sentence-transformers"
TRANSFORMERS = "transformers"
DUAL = "dual encoder"

_PICKLES = frozenset({".bin", ".ckpt", ".pkl", ".pt", ".pth"})
# Pickles and other formats that are never opened, and prose: none of them decides a vector.
_IGNORED_SUFFIXES = _PICKLES | {".h5", ".jpg", ".md", ".msgpack", ".onnx", ".ot", ".pdf", ".png"}
_IGNORED_NAMES = frozenset({"calibration.json"})
_IGNORED_FOLDERS = frozenset({"onnx", "openvino", "__pycache__"})
_LICENCE = re.compile(r"\A---\n.*?^license: *['\"]?([^'\"\n]+)", re.DOTALL | re.MULTILINE)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; an absent file is an empty one.

    Raises:
        CheckpointError: the file is no JSON object.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: must be JSON, but is not ({error})") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: must be a JSON object, but is {type(value).__name__}")
    return value


def layout_of(folder: Path) -> str:
    """Which loader a folder needs.

    Raises:
        CheckpointError: it is no model folder.
    """
    if "tower" in read_json(folder / "dual_encoder.json"):
        return DUAL
    if (folder / "modules.json").is_file():
        return SENTENCE_TRANSFORMERS
    if (folder / "config.json").is_file():
        return TRANSFORMERS
    raise CheckpointError(
        f"{folder}: must be a model folder with config.json or modules.json, or hold .npy or "
        ".parquet vectors, but has none of them; give the folder that the model was saved to"
    )


def st_modules(folder: Path) -> list[tuple[str, Path]]:
    """Modules of a sentence-transformers folder: (class name, folder).

    Raises:
        CheckpointError: the list is malformed, leaves the folder, or names code of others.
    """
    path = folder / "modules.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        modules = [(str(entry["type"]), (folder / entry["path"]).resolve()) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: must list modules, but does not ({error!r})") from None
    for name, module in modules:
        if not name.startswith("sentence_transformers."):
            raise CheckpointError(
                f"{path}: modules must come from sentence_transformers, but one is {name!r}; code "
                "out of a model folder is never run"
            )
        if not module.is_relative_to(folder.resolve()):
            raise CheckpointError(f"{path}: module path {module} must lie inside the model folder")
    return [(name.rsplit(".", 1)[-1], module) for name, module in modules]


def require_safetensors(folder: Path) -> None:
    """Refuse weights that only a pickle holds.

    Raises:
        CheckpointError: naming the pickle and how to convert it.
    """
    homes = {folder}
    if (folder / "modules.json").is_file():
        homes |= {module for _, module in st_modules(folder) if module.is_dir()}
    for home in sorted(homes):
        pickles = sorted(p.name for p in home.iterdir() if p.suffix in _PICKLES)
        weights = [name for name in pickles if "model" in name or name.startswith("adapter")]
        if weights and not any(home.glob("*.safetensors")):
            raise CheckpointError(
                f"{home}: weights must be in safetensors, but there is only {weights[0]}, a "
                "pickle, which can run code when opened; where you trust it, load it once and call "
                "save_pretrained(folder), or take a revision that has model.safetensors"
            )


def content_digest(folder: Path) -> str:
    """Hex digest of everything in the folder that may decide a vector.

    A hub snapshot is known by its commit, so that it can be named before its weights are fetched;
    any other folder by the sha256 over names and contents of its files.
    """
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        repository = folder.parent.parent.name
        return hashlib.sha256(f"{repository}@{folder.name}".encode()).hexdigest()
    return files_digest({p.relative_to(folder).as_posix(): p for p in _deciding_files(folder)})


def files_digest(files: Mapping[str, Path]) -> str:
    """Sha256 over names and contents of files, in the order of their names.

    Raises:
        CheckpointError: a file cannot be read.
    """
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()


def _deciding_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in _IGNORED_FOLDERS for part in parts)
        ignored = path.suffix.lower() in _IGNORED_SUFFIXES or path.name in _IGNORED_NAMES
        if path.is_file() and not hidden and not ignored:
            yield path


def embedding_dim(folder: Path) -> int:
    """D of the vectors that a transformers or sentence-transformers folder gives.

    Raises:
        CheckpointError: the configs do not say.
    """
    dim = 0
    modules = [("Transformer", folder)]
    if (folder / "modules.json").is_file():
        modules = st_modules(folder)
    for name, home in modules:
        config = read_json(home / "config.json")
        if name == "Transformer":
            dim = _hidden_size(config)
        elif name == "Pooling":
            dim = _pooled_size(config, dim)
        elif name == "Dense":
            dim = int(config.get("out_features", dim))
        elif name == "StaticEmbedding":
            dim = _matrix_width(home / "model.safetensors", "embedding.weight")
    if dim <= 0:
        raise CheckpointError(f"{folder}: its configs must say the embedding width, but do not")
    return dim


def _hidden_size(config: dict[str, Any]) -> int:
    for part in (config, config.get("text_config") or {}):
        for key in ("hidden_size", "d_model", "dim", "n_embd"):
            if isinstance(part.get(key), int):
                return int(part[key])
    return 0


def _pooled_size(config: dict[str, Any], hidden: int) -> int:
    stated = config.get("embedding_dimension") or config.get("word_embedding_dimension")
    width = int(stated or hidden)
    modes = config.get("pooling_mode")
    if isinstance(modes, list):
        return width * len(modes)
    flags = sum(bool(value) for key, value in config.items() if key.startswith("pooling_mode_"))
    return width * max(1, flags)


def _matrix_width(path: Path, name: str) -> int:
    """Second dimension of a tensor, from the safetensors header (8 bytes of length, then JSON)."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            return int(json.loads(stream.read(min(length, 100_000_000)))[name]["shape"][1])
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        raise CheckpointError(f"{path}: must hold {name!r} as safetensors ({error!r})") from None


def stated_licence(folder: Path) -> str | None:
    """The licence that the model card's front matter states, if there is one."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    match = _LICENCE.search(card.read_text(encoding="utf-8", errors="replace")[:20_000])
    return match.group(1).strip() if match else None


def known_names(folder: Path) -> list[str]:
    """Names under which the model may be known: its folder, its hub repository, its own config."""
    names = [folder.name]
    if folder.parent.name == "snapshots":
        names = [folder.parent.parent.name.rsplit("--", 1)[-1]]
    original = read_json(folder / "config.json").get("_name_or_path")
    if isinstance(original, str) and original:
        names.append(original.rstrip("/").rsplit("/", 1)[-1])
    return names
