"""Is a text written in the letters of its language?

Only languages that are known are checked: all of them are written in Latin letters but those listed
here. Names and units in other letters are normal, in a short text more than half of it ("О программе
LibreOffice"), so only a text that has hardly any letter of its own is refused.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mining.contract.languages import KNOWN

_MAX_FOREIGN = 0.8  # share of a text's letters

# Unicode's names of scripts, after the languages that are written in them today.
_SCRIPTS = {
    "Arabic": "ara fas urd pus snd uig ckb",
    "Armenian": "hye",
    "Bengali": "ben asm",
    "Cyrillic": "rus ukr bel bul mkd kir tgk tat bak",
    "Devanagari": "hin mar nep san",
    "Ethiopic": "amh tir",
    "Georgian": "kat",
    "Greek": "ell",
    "Gujarati": "guj",
    "Han": "zho zho_Hant yue",
    "Han Hiragana Katakana": "jpn",
    "Hangul Han": "kor",
    "Hebrew": "heb yid",
    "Kannada": "kan",
    "Khmer": "khm",
    "Lao": "lao",
    "Malayalam": "mal",
    "Myanmar": "mya",
    "Oriya": "ori",
    "Sinhala": "sin",
    "Tamil": "tam",
    "Telugu": "tel",
    "Thai": "tha",
    "Tibetan": "bod",
    # written in more than one
    "Gurmukhi Arabic": "pan",
    "Cyrillic Mongolian": "mon",
    "Cyrillic Latin": "srp bos hbs kaz uzb tuk",
    "Latin Arabic": "aze kur msa hau",
}
_OF_LANGUAGE = {lang: names.split() for names, langs in _SCRIPTS.items() for lang in langs.split()}


def scripts_of(lang: str) -> tuple[str, ...]:
    """Scripts that a language is written in, by Unicode's names; empty if that is not known."""
    base = lang.split("_")[0]
    if lang != base and lang not in _OF_LANGUAGE:  # a script of its own beside the usual ones
        return ()
    return tuple(_OF_LANGUAGE.get(lang, ["Latin"])) if base in KNOWN else ()


def in_wrong_script(
    texts: pa.Array | pa.ChunkedArray, langs: pa.Array | pa.ChunkedArray
) -> NDArray[np.bool_]:
    """Whether more than four fifths of the letters are of scripts the language is not written in.

    Args:
        texts: strings [N]; without letters they are of any language.
        langs: codes used inside [N].

    Returns:
        bool [N].
    """
    wrong = np.zeros(len(texts), dtype=bool)
    names = langs.to_numpy(zero_copy_only=False)
    for lang in sorted(set(names.tolist())):
        scripts = scripts_of(lang)
        if not scripts:
            continue
        rows = np.flatnonzero(names == lang)
        mine = texts.take(pa.array(rows))
        own = "".join(rf"\p{{{script}}}" for script in (*scripts, "Common", "Inherited"))
        foreign = pc.count_substring_regex(mine, rf"[^\P{{L}}{own}]").to_numpy()
        some = np.flatnonzero(foreign)  # counting is slow, and few texts have any
        letters = pc.count_substring_regex(mine.take(pa.array(some)), r"\p{L}").to_numpy()
        wrong[rows[some]] = foreign[some] > _MAX_FOREIGN * letters
    return wrong
