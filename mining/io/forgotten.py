"""What a run's owner has forgotten: digests of names by corpus, never the names.

A digest says nothing to who does not know the name; who has a list of names may try them, as with any
digest, so the list is no place for secrets that are easily guessed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mining.contract.errors import DatasetError
from mining.contract.uris import absolute
from mining.io.dataset import read_json_if_there, write_json
from mining.io.filesystem import Storage

EVERYWHERE = "*"  # no corpus is called so: what is forgotten in all of them
_SCHEMA = 1
_PERSON = b"mining forgotten"


def digest_of_name(name: str) -> str:
    """32 hex digits for a name; not those by which anything else here is digested."""
    return hashlib.blake2b(name.encode("utf-8"), digest_size=16, person=_PERSON).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What is left out of one corpus, as digests of names.

    Attributes:
        ids: values of ``columns.id``: rows of text, or of a list of recordings.
        files: whole files of text and recordings, by their address below the corpus' base and by
            their full one: either may change, when data is moved or the config names further folders.
        recordings: recordings by their content, whatever they are called.
    """

    ids: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    recordings: frozenset[str] = frozenset()

    def has_id(self, doc_id: str) -> bool:
        """Whether rows of this id are left out."""
        return bool(self.ids) and digest_of_name(doc_id) in self.ids

    def has_file(self, uri: str, base: str) -> bool:
        """Whether a file or recording is left out; ``base`` is what ``source_uri`` is relative to."""
        if not self.files:
            return False
        return not self.files.isdisjoint(
            map(digest_of_name, (uri.removeprefix(base), absolute(uri)))
        )

    def has_recording(self, recording_id: str) -> bool:
        """Whether a recording of this content is left out."""
        return bool(self.recordings) and digest_of_name(recording_id) in self.recordings

    def __or__(self, other: Forgotten) -> Forgotten:
        return Forgotten(
            **{f.name: getattr(self, f.name) | getattr(other, f.name) for f in fields(self)}
        )

    @classmethod
    def of(
        cls, *, ids: Iterable[str] = (), files: Iterable[str] = (), recordings: Iterable[str] = ()
    ) -> Forgotten:
        """Out of names."""
        return cls(
            ids=frozenset(map(digest_of_name, ids)),
            files=frozenset(map(digest_of_name, files)),
            recordings=frozenset(map(digest_of_name, recordings)),
        )


@dataclass(frozen=True, kw_only=True)
class ForgottenList:
    """The list of one output.

    Attributes:
        corpora: by corpus, and :data:`EVERYWHERE`.
        pending: whether old results that hold something of it are still to be removed.
    """

    corpora: Mapping[str, Forgotten] = field(default_factory=dict)
    pending: bool = False

    def of(self, corpus: str) -> Forgotten:
        """What is left out of a corpus."""
        nothing = Forgotten()
        return self.corpora.get(corpus, nothing) | self.corpora.get(EVERYWHERE, nothing)

    @property
    def state(self) -> str:
        """Digest of what was forgotten, to tell whether more was since; not of whether it is pending."""
        entries = _plain(self.corpora)
        return digest_of_name(json.dumps(entries, sort_keys=True)) if entries else ""

    def with_more(self, more: Mapping[str, Forgotten]) -> ForgottenList:
        """The list and more, pending."""
        merged = dict(self.corpora)
        for corpus, added in more.items():
            merged[corpus] = merged.get(corpus, Forgotten()) | added
        return ForgottenList(corpora=merged, pending=True)


def read_forgotten(uri: str, storage: Storage) -> ForgottenList:
    """Read a list; an empty one where there is none.

    Raises:
        DatasetError: if it is damaged: what was forgotten would come back.
    """
    if (value := read_json_if_there(uri, storage)) is None:
        return ForgottenList()
    try:
        if value["schema"] != _SCHEMA:
            raise KeyError
        corpora = {
            name: Forgotten(**{kind: frozenset(some) for kind, some in entry.items()})
            for name, entry in value["corpora"].items()
        }
        return ForgottenList(corpora=corpora, pending=bool(value["pending"]))
    except (AttributeError, KeyError, TypeError):
        raise DatasetError(
            f"{uri}: must be a list of what was forgotten, schema {_SCHEMA}, but is not; bring it back "
            "from a copy, since without it what was forgotten is mined again"
        ) from None


def write_forgotten(uri: str, found: ForgottenList, storage: Storage) -> None:
    """Write a list, all at once or not at all."""
    value = {"schema": _SCHEMA, "pending": found.pending, "corpora": _plain(found.corpora)}
    write_json(uri, value, storage)


def _plain(corpora: Mapping[str, Forgotten]) -> dict[str, Any]:
    return {
        name: {f.name: sorted(getattr(entry, f.name)) for f in fields(entry)}
        for name, entry in corpora.items()
    }
