"""Normal form of a text: what is compared, hashed, embedded and written."""

from __future__ import annotations

import re
import unicodedata

# Format characters (category Cf) that change what a reader sees. U+200C/U+200D join and part
# letters in Persian and the Indic scripts, U+180E in Mongolian; the rest are the visible prepended
# marks (Unicode 16, property Prepended_Concatenation_Mark).
_KEPT = frozenset(
    "\u200c\u200d\u180e"
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
# Every assigned control or format character lies in these planes.
_PLANES = (range(0x20000), range(0xE0000, 0xE1000))
_DROPPED = "".join(
    char
    for plane in _PLANES
    for char in map(chr, plane)
    if unicodedata.category(char) in ("Cc", "Cf") and char not in _KEPT and not char.isspace()
)
_DROP = re.compile(f"[{re.escape(_DROPPED)}]+")
_JOINERS = "\u200c\u200d"
_IDLE_JOINERS = re.compile(rf"[{_JOINERS}]*(?: [{_JOINERS}]*)+")  # beside a space they join nothing


def normalise(text: str) -> str:
    """The normal form of ``text``; applying it twice changes nothing.

    Control and format characters are removed (zero-width spaces, direction marks, soft hyphens,
    byte order marks), except the joiners of Persian, Indic and Mongolian writing; the rest is
    composed (NFC, Unicode Standard Annex 15); every run of whitespace, line breaks included, is one
    space; the ends are stripped.

    Args:
        text: any text that UTF-8 can hold.

    Returns:
        The normal form; the empty string if nothing visible is left.
    """
    if not text.isprintable():  # printable text holds no control, no format character, no odd space
        # Removal comes before composition, since it can bring a letter and its accent together.
        if not text.replace("\u200c", "").replace("\u200d", "").isprintable():
            text = _DROP.sub("", text)
        text = " ".join(text.split()).strip(" " + _JOINERS)
        if any(pair in text for pair in ("\u200c ", " \u200c", "\u200d ", " \u200d")):
            text = _IDLE_JOINERS.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split()) if "  " in text else text.strip()
