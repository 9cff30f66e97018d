"""One spelling for each address, so that equal addresses are equal text."""

from __future__ import annotations

import os
import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def canonical_uri(uri: str) -> str:
    """``~/a//b/`` -> ``/home/me/a/b``, ``file:///a`` -> ``/a``, ``s3://b//k`` -> ``s3://b/k``.

    Relative local paths stay relative. Globs and placeholders pass through.
    """
    match = _SCHEME.match(uri)
    scheme = match.group(1).lower() if match else ""
    rest = uri[match.end() :] if match else uri
    if scheme in ("", "file", "local"):
        # normpath keeps two leading slashes, which POSIX leaves undefined
        return re.sub("^//+", "/", os.path.normpath(os.path.expanduser(rest)))
    return f"{scheme}://" + re.sub("/+", "/", rest).strip("/")


def absolute(uri: str) -> str:
    """Local addresses in full; others, which always are, as they stand."""
    return uri if "://" in uri else os.path.abspath(uri)
