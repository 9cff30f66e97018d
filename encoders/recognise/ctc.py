"""Greedy CTC recognisers of Hugging Face transformers: wav2vec 2.0, HuBERT, WavLM, w2v-BERT, MMS."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.checkpoint import read_json
from encoders.recognise.card import KnownByCard, RecogniserCard
from encoders.recognise.clips import slices, usable_clips
from encoders.recognise.networks import computing, filled, load_extractor, load_network
from encoders.recognise.repetition import cut_repetitions
from encoders.recognise.runtime import Runtime
from encoders.recognise.vocabulary import NO_SPACES
from mining.contract.errors import CheckpointError, ConfigError
from mining.contract.model_ref import RecogniserRef
from mining.contract.speech import SPEECH_RATE_HZ, Samples, Transcript, Word

_SENTENCEPIECE_SPACE = "▁"
_PADDED_TO_SAMPLES = SPEECH_RATE_HZ  # batches are padded to whole seconds
_SHORTEST_SAMPLES = 800  # 50 ms; less than one frame of the network's receptive field is silence


@dataclass(frozen=True, kw_only=True)
class _Emitted:
    """A token that greedy decoding gave: frames ``[start, end)`` and their log-probabilities."""

    text: str
    start: int
    end: int
    logprob: float


class CtcRecogniser(KnownByCard):
    """Best token of each frame, repeats and blanks dropped.

    A word ends at the tokenizer's delimiter; in languages without spaces, or where the vocabulary
    has no delimiter, every token is one word. ``logprob`` sums the frames' log-probabilities over
    the frames in which the word's tokens were best. The model knows no languages of its own: any is
    accepted and written down.
    """

    times_words = True

    def __init__(
        self, folder: Path, ref: RecogniserRef, card: RecogniserCard, runs: Runtime
    ) -> None:
        """Load the weights.

        Raises:
            CheckpointError: the folder cannot be loaded.
            CapacityError: it does not fit on the device.
        """
        self._card, self._ref, self._device = card, ref, runs.device
        config = read_json(folder / "config.json")
        self._tokens, self._delimiter = _vocabulary(folder, int(config.get("vocab_size", 32)))
        self._network = load_network(folder, str(config["architectures"][0]), runs, "sdpa")
        self._extract = load_extractor(folder)
        # Group norm over time sees the padding: such a model's clips are computed one by one.
        self._alone = config.get("feat_extract_norm") == "group"
        self._blank = int(self._network.config.pad_token_id or 0)

    def language_of(self, clips: Sequence[Samples]) -> tuple[str, float]:
        """Not to be had.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{self.name}: must be a Whisper model to tell languages, but is a CTC model; give the "
            "language in the config"
        )

    def transcribe(self, clips: Sequence[Samples], lang: str) -> list[Transcript]:
        """Transcribe clips of one language, at most ``batch_clips`` at a time.

        Clips that are empty, not finite or shorter than 50 ms have no words.

        Raises:
            ConfigError: a clip is longer than ``max_clip_s``.
            CapacityError: a batch does not fit into GPU memory.
        """
        found = [Transcript(words=(), lang=lang) for _ in clips]
        rows = usable_clips(clips, self.max_clip_s)
        rows = [row for row in rows if len(clips[row]) >= _SHORTEST_SAMPLES]
        for batch in slices(rows, 1 if self._alone else self._ref.batch_clips):
            with computing(self.name):
                decoded = self._decode([clips[row] for row in filled(batch)])
            for row, (best, logprobs) in zip(batch, decoded, strict=False):
                duration_s = len(clips[row]) / SPEECH_RATE_HZ
                words = self._words(best, logprobs, duration_s, lang)
                kept, cut = cut_repetitions(words)
                found[row] = Transcript(words=kept, lang=lang, repetition_cut=cut)
        return found

    def _decode(
        self, clips: Sequence[Samples]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Best token and its log-probability of every frame of each clip: [frames] both."""
        padding = {} if self._alone else {"pad_to_multiple_of": self._multiple()}
        inputs = self._extract(
            list(clips),
            sampling_rate=SPEECH_RATE_HZ,
            padding=True,
            return_attention_mask=not self._alone,
            return_tensors="pt",
            **padding,
        ).to(self._device)
        name = self._network.main_input_name
        values = inputs[name].to(self._network.dtype)
        mask = inputs.get("attention_mask")
        logits = self._network(**{name: values, "attention_mask": mask}).logits
        logprobs, best = logits.float().log_softmax(-1).max(-1)
        if mask is None:
            frames = [logits.shape[1]] * len(clips)
        else:
            frames = self._network._get_feat_extract_output_lengths(mask.sum(-1)).tolist()
        best, logprobs = best.cpu().numpy(), logprobs.cpu().numpy()
        return [(best[row, :n], logprobs[row, :n]) for row, n in enumerate(map(int, frames))]

    def _multiple(self) -> int:
        """One second, in samples or in the feature frames of 10 ms that w2v-BERT takes."""
        return _PADDED_TO_SAMPLES if self._network.main_input_name == "input_values" else 100

    def _words(
        self,
        best: NDArray[np.int64],
        logprobs: NDArray[np.float32],
        duration_s: float,
        lang: str,
    ) -> tuple[Word, ...]:
        emitted = self._emitted(best, logprobs)
        apart = not self._delimiter or lang.split("_")[0] in NO_SPACES
        frame_s = duration_s / max(1, len(best))
        groups: list[list[_Emitted]] = [[]]
        for token in emitted:
            if token.text.startswith(self._delimiter or "\0") or apart:
                groups.append([])
            if token.text.strip(self._delimiter):
                groups[-1].append(token)
        return tuple(
            Word(
                text=("" if apart else " ") + "".join(t.text.strip(self._delimiter) for t in group),
                start_s=round(group[0].start * frame_s, 3),
                end_s=round(group[-1].end * frame_s, 3),
                logprob=sum(token.logprob for token in group),
                tokens=len(group),
            )
            for group in groups
            if group
        )

    def _emitted(self, best: NDArray[np.int64], logprobs: NDArray[np.float32]) -> list[_Emitted]:
        """Runs of one token that is not blank."""
        edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
        emitted = []
        for low, high in itertools.pairwise(edges):
            token = int(best[low]) if high > low else self._blank
            if token != self._blank and token in self._tokens:
                total = float(logprobs[low:high].sum(dtype=np.float64))
                emitted.append(
                    _Emitted(text=self._tokens[token], start=low, end=high, logprob=total)
                )
        return emitted


def _vocabulary(folder: Path, size: int) -> tuple[dict[int, str], str]:
    """Text of every token that is text, and the delimiter of words ("" if there is none).

    Raises:
        CheckpointError: the vocabulary is not of this model, or of many languages.
    """
    entries: dict[str, Any] = read_json(folder / "vocab.json")
    stated = read_json(folder / "tokenizer_config.json")
    if any(not isinstance(number, int) for number in entries.values()):
        raise CheckpointError(
            f"{folder / 'vocab.json'}: must be of one language, but names several, with an adapter "
            "each (MMS); save the model with one language's adapter and vocabulary"
        )
    if not entries or max(entries.values()) >= size:
        raise CheckpointError(
            f"{folder / 'vocab.json'}: its ids must be below the {size} outputs of the network, but "
            "are not; tokenizer and weights are of different models"
        )
    special = {"<pad>", "<s>", "</s>", "<unk>", "[PAD]", "[UNK]", "[CLS]", "[SEP]"}
    special |= {
        str(stated[key]) for key in stated
        if key in ("pad_token", "bos_token", "eos_token", "unk_token") and stated[key]
    }  # fmt: skip
    texts = {number: text for text, number in entries.items() if text not in special}
    if any(text.startswith(_SENTENCEPIECE_SPACE) for text in texts.values()):
        return texts, _SENTENCEPIECE_SPACE
    delimiter = str(stated.get("word_delimiter_token") or "|")
    return texts, delimiter if delimiter in entries else ""
