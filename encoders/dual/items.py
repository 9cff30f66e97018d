"""What a dual encoder embeds: something written, or something spoken.

F frames of a region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Written:
    """A text.

    Attributes:
        text: not empty.
        lang: ISO 639-3 code.
    """

    text: str
    lang: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Spoken:
    """A stretch of speech, as an audio tokenizer hears it.

    Attributes:
        regions: units of the frames of each stretch between two pauses, int16 [F] each, in the order
            of time.
        lang: ISO 639-3 code.
    """

    regions: tuple[NDArray[np.int16], ...]
    lang: str


Item = Written | Spoken
