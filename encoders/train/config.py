"""What a training run is told: every field, its unit, range, and where its default comes from.

:class:`Training` holds what decides the weights; :class:`Work` what does not. Only the first is
hashed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from encoders.train.data.config import Data
from mining.config.binding import setting
from mining.config.load import load_as, name_fault, to_plain
from mining.config.model import Contamination
from mining.config.yaml_nodes import Node


@dataclass(frozen=True, kw_only=True)
class FitUnits:
    """k-means units over a layer of a Hugging Face speech encoder.

    Attributes:
        encoder: folder, or ``org/name`` on the model hub.
        revision: commit, tag or branch; for a hub name only.
        layer: whose output is clustered, 0-based; -1: the middle one (Gomez et al. 2024).
        units: clusters (1,024 in Gomez et al. 2024).
        rate_hz: frames are averaged down to this rate (25 Hz in Gomez et al. 2024).
        hours: of speech, drawn at random, that the clusters are fitted on.
    """

    encoder: str
    revision: str | None = None
    layer: int = setting(default=-1, low=-1)
    units: int = setting(default=1024, low=2, high=32767)
    rate_hz: float = setting(default=25.0, low=1.0)
    hours: float = setting(default=10.0, low=0.001)


@dataclass(frozen=True, kw_only=True)
class FitLetters:
    """A small convolutional recogniser of Latin letters, trained on the seeds' transcripts.

    Its letters are the audio tokens. Scripts other than Latin are romanised. It is trained on the CPU,
    with products in bfloat16.

    Attributes:
        encoder: of speech, folder or ``org/name`` on the model hub, whose states are read, computed once
            and not trained; null: spectra are read.
        revision: commit, tag or branch; for a hub name only.
        layer: of the encoder, 0-based; null: the last one.
        width: of a frame.
        blocks: residual blocks; each adds 2 x 4 x ``width`` squared weights.
        steps: of training.
        batch_s: seconds of speech in a step.
        rate: highest learning rate; it falls along half a cosine.
        warm_up: steps.
        shares: how often each seed is drawn; not given: all alike.
        language_power: within a seed, a language of n clips is drawn with n to this power.
        strength: of augmentation: tempo, and of spectra voice, room, microphone, noise; 0 to 1.
        lexicon: words of languages (``lexicon.parquet``) that misheard letters are taken for; null:
            letters stay letters.
    """

    encoder: str | None = None
    revision: str | None = None
    layer: int | None = setting(default=None, low=0)
    width: int = setting(default=256, low=8)
    blocks: int = setting(default=12, low=1)
    steps: int = setting(default=4500, low=1)
    batch_s: float = setting(default=100.0, low=1.0)
    rate: float = setting(default=1.5e-3, low=0.0)
    warm_up: int = setting(default=300, low=1)
    shares: Mapping[str, float] = setting(default={})
    language_power: float = setting(default=0.5, low=0.0, high=1.0)
    strength: float = setting(default=0.4, low=0.0, high=1.0)
    lexicon: str | None = None

    def __post_init__(self) -> None:
        if self.encoder is None and (self.layer is not None or self.revision is not None):
            raise ValueError("layer and revision must be left out where no encoder is given")


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters on the backbone (Hu et al. 2022).

    Attributes:
        rank: r.
        alpha: the update is scaled by alpha / r.
        dropout: of the adapters' input.
        targets: names of linear layers, or ``all-linear``.
    """

    rank: int = setting(default=16, low=1)
    alpha: float = setting(default=32.0, low=0.0)
    dropout: float = setting(default=0.0, low=0.0, high=0.9)
    targets: str | tuple[str, ...] = "all-linear"


@dataclass(frozen=True, kw_only=True)
class Orthography:
    """How an item is spelled, as a part of its vector: a word bag's way to hear words it does not know.

    It is drawn, and learns with the part ``audio``.

    Attributes:
        width: of the part.
        written_share: of it in the squared length of a text's vector, whose meaning has the rest.
        heard_share: the same of speech, whose words are less certain than its letters.
    """

    width: int = setting(default=256, low=1)
    written_share: float = setting(default=0.2, low=0.0, high=1.0)
    heard_share: float = setting(default=0.8, low=0.0, high=1.0)


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is trained.

    Settings that are null are the start's own where ``start`` is a dual encoder; of a new one they
    are what is named here.

    Attributes:
        start: a dual encoder's folder, or ``builtin``, to go on from; or any Hugging Face backbone,
            a folder or ``org/name``.
        revision: commit, tag or branch; for a hub name only.
        name: of the result.
        audio_tokenizer: folder of one that is fitted.
        fit: fit one on the seeds' speech, see :class:`FitUnits`.
        fit_letters: train one on the seeds' speech, see :class:`FitLetters`.
        orthography: of a word bag that gets ears, see :class:`Orthography`; null: the start's own, or
            none.
        tie: ``own``: audio tokens are new rows of the vocabulary, as in the paper; ``spelling``: CTC
            symbols are read as text by the text's own rows. New: ``own``.
        merge_repeats: neighbouring equal units are one token; CTC always does. New: true.
        pooling: how token vectors become one. New: ``mean``.
        dim: D, width of the projection. New: none, as wide as the backbone.
        prefix: before every input, with {language} and {modality}; it improves retrieval (Gomez et
            al. 2024). New: ``[{language} {modality}] ``, e.g. ``[English Speech] ``.
        space: name of the space; null: the teacher's where ``loss.teacher`` is given, or a name that
            no other settings have.
        max_tokens: longer inputs are cut. New: 512.
        train: which parts change: ``text`` (the backbone with its rows), ``audio`` (the new rows),
            ``projection``, ``lora``.
        lora: adapters; null: none.
    """

    start: str
    revision: str | None = None
    name: str = "dual-encoder"
    audio_tokenizer: str | None = None
    fit: FitUnits | None = None
    fit_letters: FitLetters | None = None
    orthography: Orthography | None = None
    tie: Literal["own", "spelling"] | None = None
    merge_repeats: bool | None = None
    pooling: Literal["mean", "cls", "last_token"] | None = None
    dim: int | None = setting(default=None, low=1)
    prefix: str | None = None
    space: str | None = None
    max_tokens: int | None = setting(default=None, low=8)
    train: tuple[Literal["text", "audio", "projection", "lora"], ...] = (
        "text",
        "audio",
        "projection",
    )
    lora: Lora | None = None

    def __post_init__(self) -> None:
        given = [self.audio_tokenizer, self.fit, self.fit_letters]
        if sum(one is not None for one in given) > 1:
            raise ValueError("only one of audio_tokenizer, fit and fit_letters may be given")
        if (self.lora is not None) != ("lora" in self.train):
            raise ValueError("lora must be given if and only if train names it")
        if not self.train:
            raise ValueError("train must name at least one part")


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A text encoder whose space is learned: every item moves to the vector of its text.

    Attributes:
        path: ``builtin``, ``use-multilingual``, a folder or ``org/name``.
        weight: of 1 - cosine to the teacher's vector of the target text, beside the softmax.
    """

    path: str
    weight: float = setting(default=1.0, low=0.0)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """In-batch softmax in both directions, and what is added to it.

    Attributes:
        margin: taken from the true pair's similarity (additive margin, Yang et al. 2019; 0.2 to 0.3
            are usual).
        scale: logit scale at the start, 1 / temperature.
        learn_scale: whether the scale is trained; it is kept below 100 (Radford et al. 2021), or
            below ``scale`` where that is more.
        spread: weight of the spread-out term sqrt(sum over i != j of (x_i . x_j)^2) of both sides
            (Zhang et al. 2017, as in Gomez et al. 2024).
        softmax: weight of the softmax; 0: only the teacher teaches.
        mask_same: pairs of a batch that share a sentence are no negatives of each other.
        teacher: see :class:`Teacher`; null: none.
    """

    margin: float = setting(default=0.2, low=0.0, high=1.0)
    scale: float = setting(default=20.0, low=0.1, high=1000.0)
    learn_scale: bool = True
    spread: float = setting(default=0.0, low=0.0)
    softmax: float = setting(default=1.0, low=0.0)
    mask_same: bool = True
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        taught = self.teacher is not None and self.teacher.weight > 0
        if not self.softmax and not taught:
            raise ValueError("softmax must be above 0 where there is no teacher with a weight")


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """AdamW with a linear warm-up and a linear fall to zero.

    Attributes:
        steps: of training.
        batch: B, pairs of a step; all are each other's negatives.
        chunk: pairs embedded at once: what must fit in memory. Smaller than ``batch``: GradCache (Gao
            et al. 2021), with the gradient of the whole batch. It decides the last bits of the
            weights, and which values dropout leaves out.
        rate: highest learning rate.
        audio_rate: of the new rows and the projection; null: as ``rate``.
        warm_up: steps.
        decay: weight decay of matrices; vectors (biases, norms) and the scale have none.
        clip: longest gradient, over all parameters; 0: no limit.
        precision: ``bfloat16``: products in bfloat16 by autocast, on a GPU or a CPU that has them;
            ``auto``: on a GPU that has them.
    """

    steps: int = setting(default=1000, low=1)
    batch: int = setting(default=64, low=2)
    chunk: int = setting(default=64, low=1)
    rate: float = setting(default=2e-4, low=0.0)
    audio_rate: float | None = setting(default=None, low=0.0)
    warm_up: int = setting(default=100, low=0)
    decay: float = setting(default=0.01, low=0.0)
    clip: float = setting(default=1.0, low=0.0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Work:
    """How the work is done. Nothing here changes the weights, so nothing here is hashed.

    Attributes:
        device: ``auto`` takes a GPU if there is one.
        threads: of torch; null: as the process has them.
        checkpoint_every: steps between states that a killed run goes on from.
        minutes: after which the run keeps its state and ends, for a machine that is lent; the same
            command goes on. Loading data counts, too. null: no limit.
        evaluate_every: steps between judgements on the held-out clips; 0: at the end only.
        tensorboard: whether to write TensorBoard's files, too (extra ``train``).
        cache: folder of tokenised speech, which runs may share; null: in the output.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = setting(default=None, low=1)
    checkpoint_every: int = setting(default=100, low=1)
    minutes: float | None = setting(default=None, low=0.0)
    evaluate_every: int = setting(default=0, low=0)
    tensorboard: bool = True
    cache: str | None = None


@dataclass(frozen=True, kw_only=True)
class Training:
    """A whole training run.

    Attributes:
        schema: version of this format.
        output: folder for the model, the checkpoints and the figures.
        seed: of weights, draws and batches.
    """

    schema: Literal[1]
    output: str
    model: Model
    data: Data
    loss: Loss = field(default_factory=Loss)
    optimiser: Optimiser = field(default_factory=Optimiser)
    contamination: Contamination = field(default_factory=Contamination)
    seed: int = 0
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        if not self.output:
            raise ValueError("output must name a folder, but is empty")
        if not self.data.seeds and not self.data.texts:
            raise ValueError("data must name at least one of seeds and texts")


def load_training(path: str, overrides: Sequence[str] = (), output: str | None = None) -> Training:
    """Read, override and check a training run's config.

    Args:
        path: a YAML file.
        overrides: ``a.b=c`` settings; c is read as YAML.
        output: replaces the config's ``output``.

    Raises:
        ConfigError: naming every fault with its file, line and key.
    """
    return load_as(Training, path, overrides, output, _check_names)


def _check_names(config: Training, root: Node, problems: list[str]) -> None:
    for section, names in (("seeds", config.data.seeds), ("texts", config.data.texts)):
        for name in names:
            if fault := name_fault(name):
                node = root.value["data"].value[section].value[name]
                problems.append(f"{node.where}: data.{section}.{name}: {fault}")


def decisive(config: Training) -> dict[str, Any]:
    """The settings that decide the weights, as plain values: all but the output and the work."""
    plain: dict[str, Any] = to_plain(config)
    return {key: value for key, value in plain.items() if key not in ("output", "work")}
