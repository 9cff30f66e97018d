"""Which licences allow commercial use: one table, which is read and not argued with.

It says what the text of a licence says of commerce, and of adaptations, which mined pairs are; nothing
of attribution, of share-alike, or of what else a maker's terms ask for. It is no legal advice.
"""

from __future__ import annotations

import re

UNKNOWN = "unknown"  # what is said where nothing says a licence

# Names: the SPDX licence list (https://spdx.org/licenses) and the model hub's identifiers
# (https://huggingface.co/docs/hub/repositories-licenses). What they allow: the licences' own texts, of
# Creative Commons those at https://creativecommons.org/licenses.
_COMMERCIAL = (
    # public domain and permissive
    r"cc0(-1\.0)?", r"public-domain", r"cc-pddc", r"pddl(-1\.0)?", r"unlicense", r"wtfpl", r"0bsd",
    r"apache(-license)?(-2\.0)?", r"mit(-0)?(-license)?", r"isc", r"zlib", r"bsl-1\.0", r"ncsa",
    r"bsd(-[234]-clause(-clear|-patent)?)?", r"afl-3\.0", r"artistic-2\.0", r"ecl-2\.0", r"ms-pl",
    r"postgresql", r"python-2\.0", r"psf-2\.0", r"upl-1\.0", r"osl-3\.0",
    # copyleft
    r"(gpl|agpl|lgpl)(-[123](\.[01])?)?(-only|-or-later)?", r"gfdl(-1\.[123])?(-only|-or-later)?",
    r"mpl-[12]\.[01]", r"epl-[12]\.0", r"eupl-1\.[12]", r"cddl-1\.[01]",
    # texts and data; CC BY-SA asks for the same licence, not for no commerce
    r"cc-by(-sa)?(-[1234]\.[05](-[a-z]{2,3})?)?", r"odc-by(-1\.0)?", r"odbl(-1\.0)?",
    r"cdla-(permissive|sharing)-[12]\.0", r"etalab-2\.0", r"ogl-uk-[123]\.0", r"tatoeba-cc-by-2\.0-fr",
    # makers' terms that restrict what for or for how many users, and allow commerce
    r"gemma", r"llama[23](\.[0-9])?", r"(bigscience-|bigcode-|creativeml-)?openrail(\+\+)?(-m)?",
    r"bigscience-bloom-rail-1\.0",
)  # fmt: skip
_NOT_COMMERCIAL = (
    r"cc-by-nc.*", r"cc-nc.*", r".*-nc(-.*)?", r".*non-?commercial.*", r".*research.*", r".*academic.*",
    r".*evaluation-only.*", r"intel-research", r"apple-(amlr|ascl)", r"fair-noncommercial.*",
    # commerce, but no adaptations
    r"cc-by-nd.*",
)  # fmt: skip


def allows_commerce(licence: str) -> bool | None:
    """Whether a licence allows commercial use; None: the table does not know it.

    Args:
        licence: an SPDX identifier, or a simple expression: of ``A AND B`` both must, of ``A OR B``
            one; or the model hub's identifier.
    """
    for connective, of in ((" OR ", _any), (" AND ", _all)):
        parts = re.split(connective, licence, flags=re.IGNORECASE)
        if len(parts) > 1:
            return of([allows_commerce(part) for part in parts])
    name = re.split(" WITH ", licence, flags=re.IGNORECASE)[0]
    name = re.sub(r"[\s_]+", "-", name.strip().lower())
    if any(re.fullmatch(pattern, name) for pattern in _NOT_COMMERCIAL):
        return False
    return True if any(re.fullmatch(pattern, name) for pattern in _COMMERCIAL) else None


def _any(found: list[bool | None]) -> bool | None:
    if True in found:
        return True
    return None if None in found else False


def _all(found: list[bool | None]) -> bool | None:
    if False in found:
        return False
    return None if None in found else True
