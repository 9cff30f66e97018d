"""States of one layer of a speech encoder: cut out of a whole model, or by the part that was kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from encoders.audio_tokens.framing import Framing, at_rate, framing_of
from encoders.audio_tokens.hidden_states import HiddenStates
from encoders.audio_tokens.inputs import NetworkInputs, Scale, measured_scale, normalises
from encoders.audio_tokens.networks import (
    load_config,
    load_encoder_network,
    load_extractor,
    require_weights,
    save_network,
)
from encoders.audio_tokens.settings import FIXED, NONE
from encoders.checkpoint import read_json
from mining.contract.errors import CheckpointError, ConfigError
from mining.contract.speech import Samples

# A clip of 4 s in Whisper's window of 30 s costs eight times as much. Letters and units are learned from
# what is heard this way, so silence behind a clip, as in the encoder's training, is not missed.
WINDOW_S = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """A layer, and how its input is scaled.

    Attributes:
        states: of clips.
        framing: of its outputs.
        normalise: ``none``, ``fixed`` or ``utterance``.
        scale: of ``fixed``.
        clips: again from the first.
    """

    states: HiddenStates
    framing: Framing
    normalise: str
    scale: Scale | None
    clips: Iterator[Samples]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Which states are wanted.

    Attributes:
        layer: 0-based.
        rate_hz: that outputs are averaged down to.
        normalise: of an encoder whose extractor scales every clip by itself: ``fixed`` or ``utterance``.
        window_s: see :class:`HiddenStates`.
    """

    layer: int
    rate_hz: float
    normalise: str = FIXED
    window_s: float | None = None


def layer_count(source: Path) -> int:
    """Layers of an encoder.

    Raises:
        CheckpointError: its config does not say.
    """
    layers = getattr(load_config(source), "num_hidden_layers", None)
    if not isinstance(layers, int):
        raise CheckpointError(
            f"{source}: config.json must say how many layers a speech encoder has, but does not; give "
            "another model"
        )
    return layers


def layer_framing(source: Path, where: str, rate_hz: float) -> Framing:
    """Framing of the layers of a whole model.

    Raises:
        CheckpointError: a kind of network that is not known.
        ConfigError: its outputs cannot be averaged to the rate.
    """
    config = {**load_config(source).to_dict(), "add_adapter": False}  # which is behind the layers
    return at_rate(framing_of(config, where), rate_hz, where)


def cut_layer(
    source: Path, where: str, wish: Wish, clips: Iterator[Samples], folder: Path, device: str
) -> Cut:
    """Keep an encoder up to a layer.

    Args:
        source: folder of the whole model.
        where: names it in messages.
        wish: which states.
        clips: that a fixed scale is measured on, float32 [T] each.
        folder: that the kept part is written to.
        device: of torch.

    Raises:
        CheckpointError: the model cannot be loaded, or is of a kind that is not known.
        ConfigError: its outputs cannot be averaged to the wanted rate.
        InputError: a scale is needed, and no clip has sound in it.
    """
    framing = layer_framing(source, where, wish.rate_hz)
    network = load_encoder_network(source, wish.layer + 1)
    extractor = load_extractor(source)
    save_network(network, extractor, folder)
    normalise, scale = NONE, None
    if normalises(extractor, framing):
        normalise = wish.normalise
    if normalise == FIXED:
        scale, clips = measured_scale(extractor, framing, clips)
    inputs = NetworkInputs(extractor, framing, normalise, scale)
    states = HiddenStates(network, inputs, framing, wish.layer, device, window_s=wish.window_s)
    return Cut(states=states, framing=framing, normalise=normalise, scale=scale, clips=clips)


def kept_layer(
    folder: Path, framing: Framing, wish: Wish, scale: Scale | None, device: str
) -> HiddenStates:
    """States by the part that :func:`cut_layer` wrote.

    Raises:
        CheckpointError: its files do not fit each other.
    """
    inputs = NetworkInputs(load_extractor(folder), framing, wish.normalise, scale)
    network = load_encoder_network(folder, wish.layer + 1)
    return HiddenStates(network, inputs, framing, wish.layer, device, window_s=wish.window_s)


def kept_framing(folder: Path, layer: int, rate_hz: float, where: Path) -> Framing:
    """Framing of the kept part; loads no network.

    Args:
        folder: of the part.
        layer: that is wanted of it.
        rate_hz: of the frames.
        where: file that says so.

    Raises:
        CheckpointError: the part is not whole, or has no such layer or rate.
    """
    require_weights(folder)
    config = read_json(folder / "config.json")
    framing = framing_of(config, str(folder))
    try:
        framing = at_rate(framing, rate_hz, str(where))
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    layers = config.get("num_hidden_layers", config.get("encoder_layers"))
    if not isinstance(layers, int) or not 0 <= layer < layers:
        raise CheckpointError(
            f"{where}: layer must be one of the {layers} layers of {folder}, 0-based, but is {layer}; "
            "take both from one place"
        )
    return framing
