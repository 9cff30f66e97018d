"""Which licences allow commercial use: one table, which is read and not argued with.

It says what the text of a licence says of commerce, and of adaptations, which mined pairs are; nothing
of attribution, of share-alike, or of what else a maker's terms ask for. It is no legal advice.
"""

from __future__ import annotations

import re

UNKNOWN = "unknown"  # what is said where nothing says a licence

# Names as in the SPDX licence list (https://spdx.org/licenses) and on the model hub
# (https://huggingface.co/docs/hub/repositories-licenses); these, and what the licences allow, were
# written from memory of them, not looked up one by one.
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
# Of the SPDX list of exceptions, likewise: each only adds a permission. Whatever else follows
# a WITH may take one away, as Commons-Clause does.
_EXCEPTIONS = (
    "autoconf-exception-2.0", "autoconf-exception-3.0", "bison-exception-2.2", "bootloader-exception",
    "classpath-exception-2.0", "ecos-exception-2.0", "font-exception-2.0", "gcc-exception-2.0",
    "gcc-exception-3.1", "gnu-javamail-exception", "gpl-3.0-linking-exception", "gpl-cc-1.0",
    "lgpl-3.0-linking-exception", "libtool-exception", "linux-syscall-note", "llvm-exception",
    "ocaml-lgpl-linking-exception", "openjdk-assembly-exception-1.0", "qt-gpl-exception-1.0",
    "qt-lgpl-exception-1.1", "swift-exception", "universal-foss-exception-1.0",
    "wxwindows-exception-3.1",
)  # fmt: skip


def allows_commerce(licence: str) -> bool | None:
    """Whether a licence allows commercial use; None: the table does not know it.

    Args:
        licence: an SPDX identifier, or an expression: of ``A AND B`` both must, of ``A OR B`` one; what
            stands in brackets is one; or the model hub's identifier.
    """
    for connective, of in (("or", _any), ("and", _all)):
        parts = _parts(licence, connective)
        if len(parts) > 1:
            return of([allows_commerce(part) for part in parts])
    if (inner := re.fullmatch(r"\s*\((.*)\)\s*", licence, flags=re.DOTALL)) is not None:
        # one pair of brackets: two would have a connective between
        return allows_commerce(inner[1])
    name, *exceptions = re.split(r"\s+with\s+", licence, flags=re.IGNORECASE)
    if any(one.strip().lower() not in _EXCEPTIONS for one in exceptions):
        return None
    name = re.sub(r"[\s_]+", "-", name.strip().lower())
    if any(re.fullmatch(pattern, name) for pattern in _NOT_COMMERCIAL):
        return False
    return True if any(re.fullmatch(pattern, name) for pattern in _COMMERCIAL) else None


def _parts(licence: str, connective: str) -> list[str]:
    """What a connective joins outside of all brackets; where brackets do not match, it joins nothing."""
    parts, depth = [""], 0
    for piece in re.split(rf"([()]|\s+{connective}\s+)", licence, flags=re.IGNORECASE):
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if depth < 0:
            return [licence]
        if depth == 0 and piece.strip().lower() == connective and piece != piece.strip():
            parts.append("")
        else:
            parts[-1] += piece
    return parts if depth == 0 else [licence]


def _any(found: list[bool | None]) -> bool | None:
    if True in found:
        return True
    return None if None in found else False


def _all(found: list[bool | None]) -> bool | None:
    if False in found:
        return False
    return None if None in found else True
