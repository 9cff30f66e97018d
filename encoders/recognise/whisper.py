"""Whisper through Hugging Face transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.checkpoint import read_json
from encoders.recognise.alignment import dynamic_time_warp, timed_words, token_times
from encoders.recognise.card import KnownByCard, RecogniserCard
from encoders.recognise.clips import slices, usable_clips
from encoders.recognise.networks import computing, filled, load_extractor, load_network
from encoders.recognise.repetition import cut_repetitions
from encoders.recognise.runtime import Runtime
from encoders.recognise.vocabulary import WhisperVocabulary, require_languages
from mining.contract.errors import CheckpointError, ConfigError
from mining.contract.model_ref import RecogniserRef
from mining.contract.speech import SPEECH_RATE_HZ, Samples, Transcript, Word

_HOP_SAMPLES = 160
_FRAMES_A_POSITION = 2  # the encoder's stride, in feature frames


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What greedy decoding of one clip gave.

    Attributes:
        tokens: text tokens, n of them.
        logprobs: of each, among all tokens that were allowed; float64 [n].
        attention: of the aligning heads, from every decoder input to every encoder position,
            float32 [heads, prompt + n or more, positions]; no heads if the model names none.
        no_speech: probability of the no-speech token at the first position.
    """

    tokens: list[int]
    logprobs: NDArray[np.float64]
    attention: NDArray[np.float32]
    no_speech: float | None


class TransformersWhisper(KnownByCard):
    """Greedy, batched, one language a call.

    The loop is our own rather than ``generate``: it keeps the probability of every token and the
    attention that times it in one pass, and every clip of a batch has the same prompt, so that
    nothing is padded but the clips themselves. Words are timed if the model's
    ``generation_config.json`` names aligning heads.
    """

    def __init__(
        self, folder: Path, ref: RecogniserRef, card: RecogniserCard, runs: Runtime
    ) -> None:
        """Load the weights.

        Raises:
            CheckpointError: the folder cannot be loaded.
            CapacityError: it does not fit on the device.
            ConfigError: ``max_tokens`` is more than the model has room for.
        """
        self._card, self._ref, self._device = card, ref, runs.device
        self._vocabulary = WhisperVocabulary.read(folder)
        generation = read_json(folder / "generation_config.json")
        self._heads = [(int(a), int(b)) for a, b in generation.get("alignment_heads") or []]
        self._network = load_network(
            folder,
            "WhisperForConditionalGeneration",
            runs,
            "eager" if self._heads else "sdpa",
        )
        self._extract = load_extractor(folder)
        self._forbidden, self._forbidden_first = self._suppressed(generation)
        config = self._network.config
        positions = self._extract.nb_max_frames // _FRAMES_A_POSITION
        if positions != config.max_source_positions or not self._fits(config):
            raise CheckpointError(
                f"{folder}: preprocessor_config.json, tokenizer.json and config.json must be of one "
                "model, but their sizes differ; take all files from one place"
            )

        room = config.max_target_positions - 4  # less the prompt
        if ref.max_tokens > room:
            raise ConfigError(
                f"max_tokens: must be at most {room} for {self.name}, but is {ref.max_tokens}"
            )

    @property
    def times_words(self) -> bool:
        """Whether the model names the heads that time words."""
        return bool(self._heads)

    def language_of(self, clips: Sequence[Samples]) -> tuple[str, float]:
        """The language with the largest mean probability over the clips that can be recognised.

        Raises:
            ConfigError: the model is for English alone, or no clip can be recognised.
        """
        rows = usable_clips(clips, self.max_clip_s)
        require_languages(self.name, self._vocabulary, rows)
        langs = sorted(self._vocabulary.languages)
        ids = [self._vocabulary.languages[lang] for lang in langs]
        total = np.zeros(len(langs))
        for batch in slices(rows, self._ref.batch_clips):
            with computing(self.name):
                encoded = self._encode([clips[row] for row in filled(batch)])
                start = self._vocabulary.special["<|startoftranscript|>"]
                inputs = torch.full((encoded.shape[0], 1), start, device=self._device)
                logits = self._step(encoded, inputs, None).logits[:, 0, ids].float()
                total += logits.softmax(-1)[: len(batch)].double().sum(0).cpu().numpy()
        best = int(total.argmax())
        return langs[best], float(total[best]) / len(rows)

    def transcribe(self, clips: Sequence[Samples], lang: str) -> list[Transcript]:
        """Transcribe clips of one language, ``batch_clips`` at a time.

        A transcript does not depend on the other clips, but for the last bits of a decision between
        two equally likely tokens. Clips that are empty or not finite have no words.

        Raises:
            ConfigError: Whisper does not know the language, or a clip is longer than its window.
            CapacityError: a batch does not fit into GPU memory.
        """
        prompt = self._vocabulary.prompt(lang)
        found = [Transcript(words=(), lang=lang) for _ in clips]
        rows = usable_clips(clips, self.max_clip_s)
        for batch in slices(rows, self._ref.batch_clips):
            with computing(self.name):
                decoded = self._decode([clips[row] for row in filled(batch)], prompt)
            for row, one in zip(batch, decoded, strict=False):
                found[row] = self._transcript(clips[row], one, lang, len(prompt))
        return found

    def _transcript(self, clip: Samples, one: Decoded, lang: str, prompt: int) -> Transcript:
        duration_s = len(clip) / SPEECH_RATE_HZ
        times = np.zeros(len(one.tokens) + 1)
        if one.tokens and self._heads:
            positions = max(1, -(-len(clip) // _HOP_SAMPLES) // _FRAMES_A_POSITION)
            rows = prompt + len(one.tokens)
            tokens, frames = dynamic_time_warp(one.attention[:, :rows, :positions], prompt - 1)
            times = token_times(tokens, frames, len(one.tokens))
        pieces = self._vocabulary.pieces(one.tokens, lang)
        words, cut = cut_repetitions(timed_words(pieces, times, one.logprobs, duration_s))
        if words and not self._heads:
            words = (_as_one(words, duration_s),)
        return Transcript(
            words=words, lang=lang, no_speech_probability=one.no_speech, repetition_cut=cut
        )

    def _decode(self, clips: Sequence[Samples], prompt: Sequence[int]) -> list[Decoded]:
        """Greedy decoding; all clips go on until the last has ended."""
        encoded = self._encode(clips)
        end = self._vocabulary.end
        inputs = torch.tensor([list(prompt)] * len(clips), device=self._device)
        ended = torch.zeros(len(clips), dtype=torch.bool, device=self._device)
        cache, tokens, logprobs, attention = None, [], [], []
        no_speech: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        for step in range(self._ref.max_tokens + 1):
            output = self._step(encoded, inputs, cache)
            cache = output.past_key_values
            attention.append(self._aligning(output))
            if step == 0:
                no_speech = self._no_speech(output.logits[:, 0])
            if step == self._ref.max_tokens:  # this step is for the last token's attention alone
                break
            logits = output.logits[:, -1].float()
            logits[:, self._forbidden] = -torch.inf
            if step == 0:
                logits[:, self._forbidden_first] = -torch.inf
            best, chosen = logits.max(-1)
            chosen = torch.where(ended, end, chosen)
            tokens.append(chosen)
            logprobs.append(best - logits.logsumexp(-1))
            ended = ended | (chosen == end)
            if bool(ended.all()):
                break
            inputs = chosen[:, None]
        weights = torch.cat(attention, dim=2).float().cpu().numpy()
        chosen_tokens = torch.stack(tokens, dim=1).cpu().numpy()
        chosen_logprobs = torch.stack(logprobs, dim=1).double().cpu().numpy()
        return [
            self._decoded(row, chosen_tokens, chosen_logprobs, weights, no_speech)
            for row in range(len(clips))
        ]

    def _decoded(
        self,
        row: int,
        tokens: NDArray[np.int64],
        logprobs: NDArray[np.float64],
        attention: NDArray[np.float32],
        no_speech: NDArray[np.float32],
    ) -> Decoded:
        """One clip of a batch, up to its end token."""
        ends = np.flatnonzero(tokens[row] == self._vocabulary.end)
        count = int(ends[0]) if len(ends) else tokens.shape[1]
        return Decoded(
            tokens=tokens[row, :count].tolist(),
            logprobs=logprobs[row, :count],
            attention=attention[row],
            no_speech=float(no_speech[row]) if len(no_speech) else None,
        )

    def _encode(self, clips: Sequence[Samples]) -> torch.Tensor:
        """Encoder output [B, positions, width]."""
        features = self._extract(
            list(clips), sampling_rate=SPEECH_RATE_HZ, return_tensors="pt"
        ).input_features.to(self._device, self._network.dtype)
        encoded: torch.Tensor = self._network.model.encoder(features).last_hidden_state
        return encoded

    def _step(self, encoded: torch.Tensor, inputs: torch.Tensor, cache: Any) -> Any:
        return self._network(
            encoder_outputs=(encoded,),
            decoder_input_ids=inputs,
            past_key_values=cache,
            use_cache=True,
            output_attentions=bool(self._heads),
        )

    def _aligning(self, output: Any) -> torch.Tensor:
        """Attention of the aligning heads, [B, heads, inputs, positions]."""
        if not self._heads:
            clips, inputs = output.logits.shape[:2]
            return torch.zeros(clips, 0, inputs, 1)
        attention = output.cross_attentions
        return torch.stack([attention[layer][:, head] for layer, head in self._heads], dim=1)

    def _no_speech(self, logits: torch.Tensor) -> NDArray[np.float32]:
        """Probability of the no-speech token after the start token, [B]; empty if there is none."""
        special = self._vocabulary.special
        token = special.get("<|nospeech|>", special.get("<|nocaptions|>"))
        if token is None:
            return np.zeros(0, dtype=np.float32)
        found: NDArray[np.float32] = logits.float().softmax(-1)[:, token].cpu().numpy()
        return found

    def _suppressed(self, generation: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens that are never chosen, and those that are not chosen first: int64 [n] each.

        What comes after the end token is special or a timestamp.
        """
        end, size = self._vocabulary.end, self._network.config.vocab_size
        never = {*(generation.get("suppress_tokens") or []), *range(end + 1, size)}
        first = generation.get("begin_suppress_tokens") or []
        allowed = sorted(token for token in never if token < size and token != end)
        return (
            torch.tensor(allowed, dtype=torch.long, device=self._device),
            torch.tensor(sorted(first), dtype=torch.long, device=self._device),
        )

    def _fits(self, config: Any) -> bool:
        heads_fit = all(
            layer < config.decoder_layers and head < config.decoder_attention_heads
            for layer, head in self._heads
        )
        largest = max(self._vocabulary.special.values())
        mels = self._extract.feature_size == config.num_mel_bins
        return heads_fit and largest < config.vocab_size and mels


def _as_one(words: Sequence[Word], duration_s: float) -> Word:
    return Word(
        text="".join(word.text for word in words),
        start_s=0.0,
        end_s=duration_s,
        logprob=sum(word.logprob for word in words),
        tokens=sum(word.tokens for word in words),
    )
