"""Speech as spectra: eSpeak NG's, and that of people.

N recordings, F frames of all, M mel bands, T samples.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from corpus import SPOKEN, Sentence, digest
from numpy.typing import NDArray

from encoders.audio_tokens.letters import letters
from encoders.audio_tokens.logmel import BANDS, spectrum
from mining.contract.languages import canonical_language
from mining.contract.speech import SPEECH_RATE_HZ

sys.path.append(str(Path(__file__).parents[1] / "builtin_ears"))
from espeak import Espeak, Speaker
from people import read_table
from synthesise import ESPEAK, VARIANTS

JUDGING_VARIANTS = VARIANTS[::4]  # of eSpeak's voices
LEARNING_VARIANTS = tuple(name for name in VARIANTS if name not in JUDGING_VARIANTS)

_SHORTEST_S, _LONGEST_S = 0.5, 12.0
_LETTERS_A_S = 28.0  # nobody speaks faster: the text is not what is said
_FEWEST_PROMPT_LETTERS = 12

Samples = NDArray[np.float32]
Utterance = tuple[Samples, Sentence]


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Of one language and one kind.

    Attributes:
        spectra: float16 [F, M], mapped from disk.
        offsets: int64 [N + 1], where each recording begins.
        said: what is said in each; ``english`` is "" where that is not known.
    """

    spectra: NDArray[np.float16]
    offsets: NDArray[np.int64]
    said: list[Sentence]

    def spectrum(self, number: int) -> NDArray[np.float32]:
        """Of one recording, float32 [its F, M]."""
        return self.spectra[self.offsets[number] : self.offsets[number + 1]].astype(np.float32)


def save_recordings(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write ``<path>.f16`` and ``<path>.npz``; what is too short, long or fast is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes, said = [0], []
    with path.with_suffix(".f16").open("wb") as file:
        for samples, sentence in utterances:
            seconds = len(samples) / SPEECH_RATE_HZ
            spoken = letters(sentence.text)
            if not _SHORTEST_S <= seconds <= _LONGEST_S:
                continue
            if not 0 < len(spoken) < seconds * _LETTERS_A_S or not np.any(samples):
                continue
            frames = spectrum(samples).astype(np.float16)
            frames.tofile(file)
            sizes.append(len(frames))
            said.append(sentence)
    beside = path.with_suffix(".new.npz")
    np.savez(
        beside,
        offsets=np.cumsum(sizes),
        text=np.array([one.text for one in said]),
        english=np.array([one.english for one in said]),
    )
    beside.rename(path.with_suffix(".npz"))


def load_recordings(path: Path) -> Recordings:
    """What :func:`save_recordings` wrote."""
    index = np.load(path.with_suffix(".npz"), allow_pickle=False)
    offsets = index["offsets"].astype(np.int64)
    return Recordings(
        spectra=np.memmap(path.with_suffix(".f16"), np.float16, "r", shape=(offsets[-1], BANDS)),
        offsets=offsets,
        said=list(map(Sentence, index["text"].tolist(), index["english"].tolist())),
    )


def synthesised(
    lang: str, found: Sequence[Sentence], variants: Sequence[str], seed: int
) -> Iterable[Utterance]:
    """eSpeak NG says each sentence, a voice drawn for each."""
    espeak, rng = _espeak(), np.random.default_rng([seed, *lang.encode()])
    for one in found:
        speaker = Speaker(
            voice=f"{rng.choice(ESPEAK[lang])}+{rng.choice(variants)}",
            rate=int(rng.integers(115, 215)),
            pitch=int(rng.integers(25, 80)),
            pitch_range=int(rng.integers(25, 75)),
        )
        yield resampled(espeak.say(one.text, speaker), espeak.rate_hz), one


@cache
def _espeak() -> Espeak:
    return Espeak()


def common_voice(data: Path, lang: str) -> Iterable[Utterance]:
    """Clips of Common Voice in a language."""
    for row in read_table(data / "commonvoice/index.tsv"):
        if canonical_language(row["lang"]) == lang:
            path = data / "commonvoice" / row["lang"] / "clips" / row["path"]
            english = row["sentence"] if lang == "eng" else row["en_translation"]
            yield decoded(path), Sentence(row["sentence"], english)


def prompts(data: Path, lang: str) -> Iterable[Utterance]:
    """Telephone prompts of a few words, by one voice a language.

    Half of the meanings are for languages to learn from, the others for those without speech.
    """
    rows = read_table(data / "prompts/index.tsv")
    english = {row["prompt_id"]: row["text"] for row in rows if row["lang"] == "eng"}
    seen: set[str] = set()
    for row in rows:
        meaning = english.get(row["prompt_id"], "")
        if row["lang"] != lang or len(letters(row["text"])) < _FEWEST_PROMPT_LETTERS:
            continue
        if meaning and meaning not in seen and digest(meaning) % 2 == (lang in SPOKEN):
            seen.add(meaning)
            yield decoded(data / "prompts" / row["path"]), Sentence(row["text"], meaning)


def decoded(path: Path) -> Samples:
    """A sound file at SPEECH_RATE_HZ, float32 [T]."""
    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return resampled(sound.mean(axis=1), rate_hz)


def resampled(sound: Samples, rate_hz: int) -> Samples:
    """Sound at SPEECH_RATE_HZ, float32 [T]."""
    if rate_hz == SPEECH_RATE_HZ or not len(sound):
        return sound
    found: Samples = soxr.resample(sound, rate_hz, SPEECH_RATE_HZ)
    return found
