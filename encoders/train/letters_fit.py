"""A recogniser of letters, trained on a run's own speech, as its audio tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from encoders.audio_tokens.conv_ctc import save_conv_ctc
from encoders.audio_tokens.conv_ctc_network import SYMBOLS, ConvCtcConfig
from encoders.audio_tokens.encoder_layer import load_encoder_layer, save_encoder_layer
from encoders.audio_tokens.layer_states import WINDOW_S
from encoders.audio_tokens.lexicon import Confusions, read_speller
from encoders.audio_tokens.writing import model_folder
from encoders.checkpoint import content_digest
from encoders.train.config import FitLetters, Training
from encoders.train.ctc.confusions import measured
from encoders.train.ctc.corpus import Clip, Clips, Front, build_clips
from encoders.train.ctc.loop import Draws, Schedule, train_ctc
from encoders.train.data.config import Seed
from encoders.train.data.fitting import heard, shuffled_clips, usable_rows
from encoders.train.data.rows import clip_numbers
from encoders.train.data.screen import Screen
from mining.config import stage_hash
from mining.contract.errors import ConfigError, InputError
from mining.io.local import file_digest

_JUDGED_BATCHES = 30  # by which it is told what is taken for what

Say = Callable[[str], None]


def fitted_letters(config: Training, states: Path, device: str, say: Say) -> Path:
    """The folder of a recogniser as ``model.fit_letters`` says, trained unless an earlier run did it.

    A run that is killed goes on where it was.

    Args:
        config: of the run; ``model.fit_letters`` is given.
        states: folder that the tokenizer's is in.
        device: of an encoder, ``cpu`` or ``cuda``.
        say: takes lines of progress.

    Raises:
        ConfigError: there is no speech to learn from, or a share of an unknown seed.
        CheckpointError: the lexicon or the encoder cannot be used.
        InputError: no clip has a transcript, or none has a chance to be drawn.
        MiningError: the loss is no longer finite.
    """
    fit, seeds = config.model.fit_letters, config.data.seeds
    if fit is None or not seeds:
        raise ConfigError("model.fit_letters: must have speech to learn, but data.seeds is empty")
    if config.data.held_out:
        raise ConfigError(
            f"data.held_out: must be 0 with model.fit_letters, which would learn those clips, but is "
            f"{config.data.held_out}; leave them out of the manifest, or fit the letters in a run of "
            "their own and name model.audio_tokenizer"
        )
    for name in fit.shares:
        if name not in seeds:
            raise ConfigError(f"model.fit_letters.shares: there is no seed {name!r}")
    lexicon = _lexicon(fit.lexicon)
    source = (
        None if fit.encoder is None else content_digest(model_folder(fit.encoder, fit.revision))
    )
    decided = {
        "fit": fit,
        "encoder": [source, WINDOW_S],
        "seeds in order": list(seeds),
        "lexicon": None if lexicon is None else file_digest(lexicon),
        "seeds": seeds,
        "contamination": config.contamination,
        "seed": config.seed,
    }
    key = stage_hash("letters", decided)
    folder = states / f"letters-{key}"
    if folder.is_dir():
        return folder
    clips, encoder = _heard(config, fit, source, states, device, say)
    if not clips.langs:
        raise InputError(
            "data.seeds: must hold clips with transcripts to learn letters, but hold none that is "
            f"neither too long nor too short for its transcript ({clips.refused} are)"
        )
    say(
        f"learning letters from {len(clips.langs)} clips, {clips.hours:.1f} h ({clips.refused} unusable)"
    )
    schedule = Schedule(
        steps=fit.steps,
        batch_s=fit.batch_s,
        rate=fit.rate,
        warm_up=fit.warm_up,
        shares=tuple(fit.shares.get(name, 0.0) if fit.shares else 1.0 for name in seeds),
        language_power=fit.language_power,
        strength=fit.strength,
    )
    languages = sorted(set(clips.langs))
    sizes = ConvCtcConfig(
        width=fit.width, blocks=fit.blocks, languages=languages, states=clips.states
    )
    draws = Draws(clips, schedule, config.seed)
    model = train_ctc(
        draws,
        sizes,
        states / f"letters-state-{key}",
        say,
        save_every=config.work.checkpoint_every,
    )
    confusions = measured(model, draws, first=fit.steps, batches=_JUDGED_BATCHES)
    save_conv_ctc(model, folder, config.model.name, confusions, lexicon, encoder)
    return folder


def _heard(
    config: Training, fit: FitLetters, source: str | None, states: Path, device: str, say: Say
) -> tuple[Clips, Path | None]:
    """The seeds' clips, and the layer that they are heard with, if there is one: kept for other fits."""
    seeds, screen = config.data.seeds, Screen(config.contamination)
    decided = {
        "layer": [source, fit.layer, WINDOW_S],
        "seeds": seeds,
        "seeds in order": list(seeds),  # groups are known by their place
        "contamination": config.contamination,
        "seed": config.seed,
    }
    key = stage_hash("spectra", decided)
    encoder = None if fit.encoder is None else states / f"encoder-{key}"
    if fit.encoder is not None and encoder is not None and not encoder.is_dir():
        say(f"taking a layer of {fit.encoder}")
        with closing(shuffled_clips(seeds, screen, config.seed)) as clips:
            save_encoder_layer(
                fit.encoder, fit.layer, clips, encoder, revision=fit.revision, device=device
            )
    groups = [_clips(name, seed, screen) for name, seed in seeds.items()]
    cache = states / f"spectra-{key}"
    return build_clips(groups, cache, lambda: _front(encoder, device)), encoder


def _front(encoder: Path | None, device: str) -> Front:
    """What is read of a clip."""
    if encoder is None:
        return Front()
    layer = load_encoder_layer(encoder, device=device)
    return Front(of=layer.of, states=layer.width, longest_s=layer.max_clip_s)


def _lexicon(path: str | None) -> Path | None:
    """The lexicon, if there is one; read before anything is learned.

    Raises:
        CheckpointError: it cannot be used.
    """
    if path is None:
        return None
    lexicon = Path(path).expanduser()
    read_speller(lexicon, SYMBOLS, Confusions.guessed(len(SYMBOLS)))
    return lexicon


def _clips(name: str, seed: Seed, screen: Screen) -> Iterator[Clip]:
    """Clips of a seed that have a transcript; of several rows of a clip the first one counts."""
    rows = usable_rows(name, seed, screen)
    clips, numbers = clip_numbers(rows)
    said: dict[int, str] = {}
    columns = (rows["reading"].to_pylist(), rows["transcript"].to_pylist())
    for number, reading, transcript in zip(numbers.tolist(), *columns, strict=True):
        said.setdefault(number, reading or transcript)
    langs = clips["lang"].to_pylist()
    for number, samples in heard(clips, seed.max_s):
        if said[number]:
            yield Clip(samples=samples, text=said[number], lang=langs[number])
