"""Whisper through CTranslate2: the package faster-whisper, and a folder converted for it.

The package's own batched pipeline is made for windows of one recording and drops what a clip's words
need (probabilities of tokens), so CTranslate2 is called directly; the package gives the model and the
log-mel features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.recognise.alignment import timed_words, token_times
from encoders.recognise.card import KnownByCard, RecogniserCard
from encoders.recognise.clips import slices, usable_clips
from encoders.recognise.repetition import cut_repetitions
from encoders.recognise.runtime import Runtime
from encoders.recognise.vocabulary import WhisperVocabulary, require_languages
from mining.contract.errors import CapacityError, CheckpointError
from mining.contract.model_ref import RecogniserRef
from mining.contract.speech import SPEECH_RATE_HZ, Samples, Transcript

_HOP_SAMPLES = 160


class FasterWhisper(KnownByCard):
    """Greedy, batched, one language a call, words timed by cross-attention.

    Temperature 0, one hypothesis, no timestamps in the text, no text of earlier clips. A clip is
    padded with silence to 30 s before its features are made, as in openai/whisper.

    A word's ``logprob`` sums its tokens' log-probabilities given the tokens before them, among
    the text tokens (CTranslate2's ``align``). Summed over a clip this is the decoder's score less
    that of the end token, but for the renormalisation over text tokens.
    """

    times_words = True

    def __init__(
        self, folder: Path, ref: RecogniserRef, card: RecogniserCard, runs: Runtime
    ) -> None:
        """Load the weights.

        Raises:
            CheckpointError: the folder cannot be loaded.
            CapacityError: a library that the device needs is missing.
        """
        from faster_whisper import WhisperModel

        self._card, self._ref = card, ref
        self._vocabulary = WhisperVocabulary.read(folder)
        try:
            self._model = WhisperModel(
                str(folder),
                device=runs.device,
                compute_type=runs.dtype,
                cpu_threads=runs.threads or 0,
                num_workers=1,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0][:200]
            raise CheckpointError(
                f"{folder}: must be a model that CTranslate2 loads, but is not: {reason}; "
                "convert or fetch it again"
            ) from None
        if self._model.model.is_multilingual != self._vocabulary.multilingual:
            raise CheckpointError(
                f"{folder}: tokenizer.json and model.bin must be of one model, but one of them is "
                "for English alone; fetch both again"
            )

        if runs.device == "cuda":  # the libraries of CUDA are looked for at the first computation
            self._encode([np.zeros(1, dtype=np.float32)])

    def language_of(self, clips: Sequence[Samples]) -> tuple[str, float]:
        """The language with the largest mean probability over the clips that can be recognised.

        Raises:
            ConfigError: the model is for English alone, or no clip can be recognised.
        """
        rows = usable_clips(clips, self.max_clip_s)
        require_languages(self.name, self._vocabulary, rows)
        known = {number: lang for lang, number in self._vocabulary.languages.items()}
        total = dict.fromkeys(known.values(), 0.0)
        for batch in slices(rows, self._ref.batch_clips):
            encoded = self._encode([clips[row] for row in batch])
            for found in self._model.model.detect_language(self._view(encoded)):
                for token, probability in found:
                    lang = known.get(self._vocabulary.special.get(token, -1))
                    if lang is not None:
                        total[lang] += probability
        best = max(sorted(total), key=total.__getitem__)
        return best, total[best] / len(rows)

    def transcribe(self, clips: Sequence[Samples], lang: str) -> list[Transcript]:
        """Transcribe clips of one language, ``batch_clips`` at a time.

        A transcript does not depend on the other clips, but for the last bits of a decision between
        two equally likely tokens. Clips that are empty or not finite have no words.

        Raises:
            ConfigError: Whisper does not know the language, or a clip is longer than 30 s.
        """
        self._vocabulary.prompt(lang)  # the language first: no work for one that is unknown
        found = [Transcript(words=(), lang=lang) for _ in clips]
        rows = usable_clips(clips, self.max_clip_s)
        for batch in slices(rows, self._ref.batch_clips):
            transcripts = self._transcribe([clips[row] for row in batch], lang)
            for row, transcript in zip(batch, transcripts, strict=True):
                found[row] = transcript
        return found

    def _transcribe(self, clips: Sequence[Samples], lang: str) -> list[Transcript]:
        prompt = self._vocabulary.prompt(lang)
        encoded = self._encode(clips)
        wanted = self._ref.max_tokens
        with _computing(self.name):
            results = self._model.model.generate(
                self._view(encoded),
                [prompt] * len(clips),
                beam_size=1,
                sampling_topk=1,
                sampling_temperature=0,
                # CTranslate2 gives half of max_length at most, nor more than it less all of the prompt
                # but the last token.
                max_length=max(2 * wanted, wanted + len(prompt) - 1),
                suppress_blank=True,
                suppress_tokens=[-1],  # the list of config.json
                return_no_speech_prob=True,
            )
        return [
            self._timed(clip, encoded[row : row + 1], result, lang)
            for row, (clip, result) in enumerate(zip(clips, results, strict=True))
        ]

    def _timed(self, clip: Samples, encoded: NDArray[Any], result: Any, lang: str) -> Transcript:
        """Words of one clip.

        Clip by clip, because an alignment of several normalises attention over the longest one's
        tokens, so that words would move with the company they keep.
        """
        tokens = self._vocabulary.text_tokens(result.sequences_ids[0])
        no_speech = float(result.no_speech_prob)
        if not tokens:
            return Transcript(words=(), lang=lang, no_speech_probability=no_speech)
        frames = max(2, -(-len(clip) // _HOP_SAMPLES))
        aligned = self._model.model.align(
            self._view(encoded), self._vocabulary.sot_sequence(lang), [tokens], frames
        )[0]
        path = np.asarray(aligned.alignments, dtype=np.int64).reshape(-1, 2)
        words = timed_words(
            self._vocabulary.pieces(tokens, lang),
            token_times(path[:, 0], path[:, 1], len(tokens)),
            np.log(np.maximum(np.asarray(aligned.text_token_probs, dtype=np.float64), 1e-30)),
            len(clip) / SPEECH_RATE_HZ,
        )
        kept, cut = cut_repetitions(words)
        return Transcript(
            words=kept, lang=lang, no_speech_probability=no_speech, repetition_cut=cut
        )

    def _encode(self, clips: Sequence[Samples]) -> NDArray[Any]:
        """Encoder output, in main memory, [B, 1500, width]."""
        extract = self._model.feature_extractor
        window = extract.n_samples
        features = np.stack(
            [extract(np.pad(clip, (0, window - len(clip))), padding=0) for clip in clips]
        )
        view = self._view(features.astype(np.float32))
        with _computing(self.name):
            return np.array(self._model.model.encode(view, to_cpu=True))

    @staticmethod
    def _view(array: NDArray[Any]) -> Any:
        import ctranslate2

        return ctranslate2.StorageView.from_array(np.ascontiguousarray(array))


@contextmanager
def _computing(name: str) -> Iterator[None]:
    """What CTranslate2 cannot do on a device, in one line.

    Raises:
        CapacityError: memory is full, or a library of the device is missing.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200]
        raise CapacityError(
            f"{name}: must be computed by CTranslate2, but cannot be: {reason}; lower batch_clips "
            "where memory is full, install the libraries that are named, or use device cpu"
        ) from None
