"""What a run begins with: a dual encoder to go on from, or a new one over a backbone."""

from __future__ import annotations

import dataclasses
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from encoders.card import EncoderCard
from encoders.checkpoint import read_json, stated_licence
from encoders.dual.config import (
    AUDIO_TOKENIZER_FOLDER,
    CONFIG_FILE,
    WORDBAG,
    DualEncoderConfig,
    read_config,
    read_units,
)
from encoders.dual.create import create_dual_encoder
from encoders.dual.create_wordbag import over_wordbag
from encoders.dual.load_tower import load_tower
from encoders.dual.lora import LoraSettings
from encoders.dual.model import DualEncoder
from encoders.dual.wording import Wording
from encoders.hub import fetch, is_hub_name, local_folder
from encoders.load import BUILTIN
from encoders.train.config import Model, Training
from mining.contract.errors import CheckpointError, ConfigError

_FILES = ["*.json", "*.txt", "*.model", "README.md", "*.safetensors"]
_DECIDED = ("dim", "tie", "pooling")  # by the weights of a dual encoder that is gone on from
_FREE = ("prefix", "max_tokens", "merge_repeats")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What data and teacher say of the model.

    Attributes:
        languages: of the data, ISO 639-3.
        teacher: card of the teacher; None: there is none.
        device: ``cpu`` or ``cuda``.
    """

    languages: tuple[str, ...]
    teacher: EncoderCard | None
    device: str


def start_folder(model: Model) -> Path:
    """The folder of ``model.start``, fetched from the hub where it is a name there.

    Raises:
        CheckpointError: there is no such folder.
        ConfigError: a revision of a folder.
    """
    folder = local_folder(model.start)
    if model.start == BUILTIN:
        folder = Path(str(importlib.resources.files("encoders"))) / BUILTIN
    if folder.exists() or not is_hub_name(model.start):
        if model.revision is not None:
            raise ConfigError(
                f"model.revision: must be left out for a folder, but is {model.revision!r}; only a "
                "name on the model hub has revisions"
            )
        if not (folder / "config.json").is_file():
            raise CheckpointError(
                f"model.start {model.start!r}: must be a model folder with config.json, builtin, or "
                "org/name on the model hub, but is none; check the path"
            )
        return folder
    return fetch(model.start, model.revision, _FILES)


def goes_on(folder: Path, model: Model) -> bool:
    """Whether the start is a dual encoder already, which keeps its audio tokenizer.

    A word bag may have its ears replaced, since its text part is all that they are made from.
    """
    if not (folder / CONFIG_FILE).is_file():
        return False
    given = (model.audio_tokenizer, model.fit, model.fit_letters)
    return read_config(folder).tower != WORDBAG or all(one is None for one in given)


def own_tokenizer(folder: Path, model: Model) -> Path | None:
    """The audio tokenizer that the start brings along; None if it has none.

    Raises:
        ConfigError: the config names one for a start that is a dual encoder.
    """
    if not goes_on(folder, model):
        return None
    for name in ("audio_tokenizer", "fit", "fit_letters"):
        if getattr(model, name) is not None:
            raise ConfigError(
                f"model.{name}: must be left out where start is a dual encoder, whose vocabulary is "
                f"made; to change it, start from its backbone"
            )
    home = folder / AUDIO_TOKENIZER_FOLDER
    return home if home.is_dir() else None


def start_model(
    config: Training, folder: Path, tokenizer: Path | None, around: Surroundings
) -> DualEncoder:
    """The model that is trained, with adapters where there are some.

    Args:
        config: of the run.
        folder: from :func:`start_folder`.
        tokenizer: folder of the audio tokenizer of a new model.
        around: see :class:`Surroundings`.

    Raises:
        CheckpointError: the start cannot be used.
        ConfigError: settings do not go with it.
    """
    told, teacher = config.model, around.teacher
    space = told.space or (teacher.space if teacher is not None else None)
    if goes_on(folder, told):
        model = _gone_on(folder, told, around)
        languages = tuple(sorted({*model.config.languages, *around.languages}))
        model.named(name=told.name, space=space, languages=languages)
    else:
        settings = DualEncoderConfig(
            name=told.name,
            dim=told.dim,
            space=space,
            languages=around.languages,
            licence=stated_licence(folder) or "unknown",
            **_given(told, ("tie", "pooling", *_FREE)),
        )
        if (folder / CONFIG_FILE).is_file():
            stated = read_config(folder)
            settings = dataclasses.replace(
                settings,
                space=space or (None if _spells(folder, told) else stated.space),
                licence=stated.licence,
                languages=tuple(sorted({*stated.languages, *around.languages})),
            )
        if told.orthography is None:
            model = create_dual_encoder(
                folder, tokenizer, settings, seed=config.seed, device=around.device
            )
        else:
            model = _spelling_wordbag(folder, tokenizer, settings, config)
    if teacher is not None and model.dim != teacher.dim:
        raise ConfigError(
            f"model.dim: must be the teacher's {teacher.dim}, but vectors are {model.dim} wide; set "
            f"model.dim to {teacher.dim}"
        )
    torch.manual_seed(config.seed)  # adapters are drawn by the global generator, and so is dropout
    if told.lora is not None:
        model.add_lora(LoraSettings(**dataclasses.asdict(told.lora)))
    return model


def _spelling_wordbag(
    folder: Path, tokenizer: Path | None, settings: DualEncoderConfig, config: Training
) -> DualEncoder:
    """A word bag with new ears and a new orthography."""
    given = dataclasses.asdict(config.model.orthography)  # type: ignore[arg-type]
    return over_wordbag(
        folder, tokenizer, settings, config.seed, orthography=given.pop("width"), **given
    )


def _gone_on(folder: Path, told: Model, around: Surroundings) -> DualEncoder:
    """A dual encoder with those settings changed that its weights leave free."""
    stated = read_config(folder)
    for name, value in _given(told, _DECIDED).items():
        if value != getattr(stated, name):
            raise ConfigError(
                f"model.{name}: must be {getattr(stated, name)!r} as of the dual encoder in {folder}, "
                f"but is {value!r}; leave it out, or start from a backbone"
            )
    config = dataclasses.replace(stated, **_given(told, _FREE))
    units = read_units(folder, config)
    home = None if units is None else folder / AUDIO_TOKENIZER_FOLDER
    tower = load_tower(folder, config, Wording(config, units, home), "float32")
    return DualEncoder(config, units, home, tower).to(around.device)


def require_orthography_fits(folder: Path, model: Model) -> None:
    """Refuse an orthography that the start cannot have.

    Args:
        folder: from :func:`start_folder`.
        model: the user's settings.

    Raises:
        ConfigError: the start is no word bag, or gets no ears.
    """
    if model.orthography is None:
        return
    is_wordbag = read_json(folder / "config.json").get("model_type") == WORDBAG
    ears = (model.audio_tokenizer, model.fit, model.fit_letters)
    if not is_wordbag or all(one is None for one in ears):
        raise ConfigError(
            "model.orthography: must be left out unless start is a word bag, such as builtin, that "
            "gets a new audio tokenizer"
        )


def _spells(folder: Path, told: Model) -> bool:
    """Whether vectors of text change with the ears, since how a text is spelled is learned with them."""
    return told.orthography is not None or bool(
        read_json(folder / "config.json").get("orthography")
    )


def _given(model: Model, names: Sequence[str]) -> dict[str, Any]:
    """Those settings that are not null."""
    values = {name: getattr(model, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
