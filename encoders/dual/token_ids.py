"""Items to token ids of a transformer: text by the backbone's tokenizer, audio behind its rows.

Shape legend: B items, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from encoders.dual.config import DualEncoderConfig
from encoders.dual.items import Item, Spoken
from encoders.dual.wording import Wording
from mining.contract.errors import ConfigError

_PROBE = "a"
_REMEMBERED = 16_384  # texts: a step asks for the ids of each three times, mining twice


class TokenIds:
    """Tokenizes items.

    A text has the very ids of ``tokenizer(prefix + text)``; audio has the same special tokens around
    the ids of its prefix, without the spaces at its end, and its units. Where ``append_end`` is set
    the tokenizer's end token follows. A tokenizer that marks the language itself (NLLB) marks its
    default one: here the prefix names the language.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, config: DualEncoderConfig, wording: Wording
    ) -> None:
        self._tokenizer = tokenizer
        self._text_rows = config.text_rows
        self._wording = wording
        self._before, self._after = special_ids(tokenizer)
        self._end = [tokenizer.eos_token_id] if config.append_end else []
        self._prefixes: dict[str, list[int]] = {}
        self._known: dict[str, list[int]] = {}
        ids = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        self._padding = next(number for number in ids if number is not None)

    def overhead(self, item: Item) -> int:
        """Tokens of an item that are special or its prefix."""
        around = len(self._before) + len(self._after) + len(self._end)
        return around + len(self._prefix_ids(self._wording.prefix(item)))

    def ids(self, items: Sequence[Item]) -> list[list[int]]:
        """Ids of each item, nothing cut off."""
        found: list[list[int]] = [[] for _ in items]
        texts = [row for row, item in enumerate(items) if self._wording.is_text(item)]
        if texts:
            full = [self._wording.prefix(items[r]) + self._wording.text(items[r]) for r in texts]
            for row, ids in zip(texts, self._tokenized(full), strict=True):
                found[row] = [*ids, *self._end]
        for row, item in enumerate(items):
            if isinstance(item, Spoken) and not self._wording.is_text(item):
                units = (self._wording.tokens(item) + self._text_rows).tolist()
                prefix = self._prefix_ids(self._wording.prefix(item))
                found[row] = [*self._before, *prefix, *units, *self._after, *self._end]
        return found

    def batch(
        self, items: Sequence[Item], max_tokens: int, tokens: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask, int64 [B, L], cut to ``max_tokens`` and padded on the right.

        Positions are counted from the left, so only there they do not depend on the neighbours.

        Args:
            items: at least one.
            max_tokens: what is cut is the end of the text or audio; special tokens stay.
            tokens: L; None: the longest item's.
        """
        rows = [self._cut(ids, max_tokens) for ids in self.ids(items)]
        width = max(map(len, rows)) if tokens is None else tokens
        ids = torch.full((len(rows), width), self._padding, dtype=torch.int64)
        mask = torch.zeros((len(rows), width), dtype=torch.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[place, : len(row)] = 1
        return ids, mask

    def _cut(self, ids: list[int], max_tokens: int) -> list[int]:
        kept = len(self._after) + len(self._end)
        if len(ids) <= max_tokens:
            return ids
        return ids[: max_tokens - kept] + ids[len(ids) - kept :]

    def _tokenized(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text with the tokenizer's own special tokens."""
        known = {text: self._known.get(text) for text in texts}
        fresh = [text for text, ids in known.items() if ids is None]
        if fresh:
            found = self._tokenizer(fresh, return_attention_mask=False, verbose=False)["input_ids"]
            known.update(zip(fresh, found, strict=True))
            kept = {**self._known, **dict(zip(fresh, found, strict=True))}
            self._known = dict(list(kept.items())[-_REMEMBERED:])
        return [known[text] or [] for text in texts]

    def _prefix_ids(self, prefix: str) -> list[int]:
        if prefix not in self._prefixes:
            found = self._tokenizer(prefix.rstrip(), add_special_tokens=False, verbose=False)
            self._prefixes[prefix] = list(found["input_ids"])
        return self._prefixes[prefix]


def special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and after a text.

    Raises:
        ConfigError: it does more to a text than that.
    """
    bare = list(tokenizer(_PROBE, add_special_tokens=False)["input_ids"])
    full = list(tokenizer(_PROBE)["input_ids"])
    for at in range(len(full) - len(bare) + 1):
        if bare and full[at : at + len(bare)] == bare:
            return full[:at], full[at + len(bare) :]
    raise ConfigError(
        "tokenizer: must put special tokens before and after a text only, but turns "
        f"{bare} into {full}; take another backbone"
    )
