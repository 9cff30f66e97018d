"""What is asked of every text that is learned from: a normal form, its own script, no evaluation set.

N texts of a batch.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from encoders.train.data.rejects import WRONG_SCRIPT
from encoders.train.data.scripts import in_wrong_script
from mining.config.model import Contamination
from mining.contract.languages import canonical_language
from mining.filter import load_guard
from mining.io.filesystem import Storage
from mining.text import normalise

_UNDETERMINED = "und"
_SHOWN_CHARS = 80


class Screen:
    """Finds texts that must not be learned from.

    Args:
        contamination: evaluation sets whose sentences are refused, exact and near.

    Raises:
        ConfigError: a set is neither shipped nor a file.
    """

    def __init__(self, contamination: Contamination) -> None:
        self._guard = load_guard(contamination.sets, Storage())

    def faults(self, texts: pa.StringArray, langs: pa.StringArray) -> dict[int, tuple[str, str]]:
        """Reason and detail of the rows whose text is refused: ``wrong_script``, ``benchmark_overlap``.

        Args:
            texts: [N], normal forms.
            langs: [N], codes used inside; empty where it is not known.
        """
        matched = self._guard.matches(texts)
        found = {
            int(row): (WRONG_SCRIPT, f"not {langs[row].as_py()}: {_shown(texts[row].as_py())}")
            for row in np.flatnonzero(in_wrong_script(texts, langs))
        }
        for row in np.flatnonzero(matched.is_valid().to_numpy(zero_copy_only=False)):
            found[int(row)] = ("benchmark_overlap", str(matched[row].as_py()))
        return found


def normal_forms(texts: pa.Array | pa.ChunkedArray, *, keep: bool = False) -> pa.StringArray:
    """The normal form of each text [N]; empty where it has no letter and no digit.

    Args:
        texts: strings [N].
        keep: keep those without letters and digits, too.
    """
    forms = pa.array([normalise(text) for text in texts.to_pylist()], pa.string())
    if keep:
        return forms
    return pc.if_else(pc.match_substring_regex(forms, r"[\p{L}\p{N}]"), forms, "")


def one_letter(texts: pa.Array | pa.ChunkedArray) -> int:
    """How many texts [N] are a single letter or digit: kept, since some languages have such words."""
    found = pc.match_substring_regex(texts, r"^[^\p{L}\p{N}]*[\p{L}\p{N}][^\p{L}\p{N}]*$")
    return int(pc.sum(found).as_py() or 0)


def language_codes(spellings: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """The code used inside of each spelling [N]; empty where it is no language."""
    known: dict[str, str] = {}
    codes = []
    for spelling in spellings.to_pylist():
        if spelling not in known:
            code = canonical_language(spelling)
            known[spelling] = "" if code is None or code == _UNDETERMINED else code
        codes.append(known[spelling])
    return pa.array(codes, pa.string())


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
