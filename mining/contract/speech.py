"""What is said of speech between the stages: words with times, recognisers, detectors.

Sound inside the pipeline is mono float32 at :data:`SPEECH_RATE_HZ`, full scale 1.0; places in a
recording are integer samples at the recording's own rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

SPEECH_RATE_HZ = 16000  # what Silero VAD, Whisper and the wav2vec 2.0 family take

Samples = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Word:
    """A recognised word, or whatever the recogniser times as one.

    Attributes:
        text: as it is joined with the others: with the space before it, where there is one.
        start_s: in the clip, seconds.
        end_s: in the clip, seconds; not before ``start_s``.
        logprob: sum of the log-probabilities of its tokens, natural logarithm.
        tokens: how many tokens it was made of.
    """

    text: str
    start_s: float
    end_s: float
    logprob: float
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What was recognised in one clip.

    Attributes:
        words: in order; empty if nothing was recognised.
        lang: ISO 639-3 code that was given, or was recognised.
        lang_probability: of a recognised language; None where it was given.
        no_speech_probability: that the clip holds no speech; None where the recogniser does not say.
        repetition_cut: whether a loop of repeated words was cut off.
    """

    words: tuple[Word, ...]
    lang: str
    lang_probability: float | None = None
    no_speech_probability: float | None = None
    repetition_cut: bool = False


@runtime_checkable
class Recogniser(Protocol):
    """Speech to text. Greedy, so that one clip always gives one transcript."""

    @property
    def name(self) -> str:
        """Short name for people."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides a transcript: weights, vocabulary, settings."""

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-3 codes that it knows; empty if that is not known."""

    @property
    def times_words(self) -> bool:
        """Whether words carry times. If not, each clip is one word from its start to its end."""

    @property
    def max_clip_s(self) -> float:
        """Longest clip that it takes, seconds."""

    def language_of(self, clips: Sequence[Samples]) -> tuple[str, float]:
        """The one language of some clips of a recording, ISO 639-3, and its mean probability.

        Raises:
            ConfigError: if it cannot tell languages.
        """

    def transcribe(self, clips: Sequence[Samples], lang: str) -> list[Transcript]:
        """Transcribe clips of one language, computed together.

        Args:
            clips: float32 [T] each, at SPEECH_RATE_HZ, none longer than ``max_clip_s``.
            lang: ISO 639-3 code.

        Raises:
            ConfigError: if the recogniser does not know the language.
        """


@runtime_checkable
class AudioTokenizer(Protocol):
    """Speech to discrete units, one for each frame; what a dual encoder has in its vocabulary.

    Frame f of a clip is centred at (f + 0.5) / ``rate_hz`` seconds. Frames are stored as they come;
    which of them become tokens (:func:`encoders.audio_tokens.collapsed`) is decided later, so that a
    slice of a recording's frames is as good as the frames of the slice.
    """

    @property
    def name(self) -> str:
        """Short name for people."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides a unit: weights, settings."""

    @property
    def units(self) -> int:
        """a, how many units there are; at most 32,767."""

    @property
    def blank(self) -> int | None:
        """The unit that stands for nothing (CTC); None where every unit counts."""

    @property
    def symbols(self) -> tuple[str, ...] | None:
        """How each unit is spelled, the blank as an empty string; None for clusters."""

    @property
    def rate_hz(self) -> float:
        """Frames a second."""

    @property
    def context_s(self) -> float:
        """How far to each side a unit depends on the samples, seconds; infinite with attention."""

    @property
    def max_clip_s(self) -> float:
        """Longest clip that it takes, seconds."""

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-3 codes that it hears with other ears; empty: it asks for no language."""

    def frames(
        self, clips: Sequence[Samples], langs: Sequence[str] | None = None
    ) -> list[NDArray[np.int16]]:
        """Units of clips that are computed together: int16 [F] each, in 0 ... ``units`` - 1.

        A clip's units do not depend on the others.

        Args:
            clips: float32 [T] each, at SPEECH_RATE_HZ, none longer than ``max_clip_s``.
            langs: ISO 639-3 code of each; None: they are not known.
        """


@runtime_checkable
class SpeechDetector(Protocol):
    """Says where in a recording there is speech."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides a probability."""

    @property
    def window_samples(self) -> int:
        """Samples at SPEECH_RATE_HZ that one probability stands for."""

    def probabilities(self, blocks: Iterable[Samples]) -> NDArray[np.float32]:
        """Speech probability of every window of one recording: float32 [W].

        Args:
            blocks: the recording in order, float32 [T] each, read once. The
                result does not depend on where it is cut into blocks.
        """
