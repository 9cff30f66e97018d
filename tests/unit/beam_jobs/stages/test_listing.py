"""Which recordings a list names, and where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.stages.listing import Listing, audio_base, audio_uri, list_recordings
from mining.config.model import Columns, Corpus, LangFrom
from mining.io.filesystem import Storage

HERE = Storage()
LIST = "lists/list.tsv"


@pytest.fixture(autouse=True)
def audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of three folders; the middle one is where the list is. Addresses are relative to here."""
    for name in ("lists/a.wav", "lists/b.wav", "other/x.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(*rows: tuple[str, str, str], **settings: str) -> tuple[Corpus, Listing]:
    """A corpus of a list's rows (address, language, id), and what it holds."""
    lines = ["path\tlang\tid", *("\t".join(row) for row in rows)]
    Path(LIST).write_text("\n".join(lines) + "\n")
    corpus = Corpus(
        modality="speech", format="tsv", uri=LIST, lang=LangFrom(column="lang"),
        columns=Columns(audio="path", id="id"), **settings,
    )  # fmt: skip
    return corpus, list_recordings("talks", corpus, HERE)


def refusals(listing: Listing) -> list[tuple[str, str]]:
    return [(row["row_id"], row["reason"]) for row in listing.rejects.to_pylist()]


@pytest.mark.parametrize("root", [{}, {"audio_root": "lists"}, {"audio_root": "./lists/"}])
def test_a_row_may_leave_the_base(audio: Path, root: dict[str, str]) -> None:
    corpus, listing = listed(("../other/x.wav", "deu", "x"), ("a.wav", "deu", "a"), **root)
    assert refusals(listing) == []
    base = audio_base(corpus)
    rows = listing.recordings.to_pylist()
    found = [Path(audio_uri(base, row["source_uri"])) for row in rows]
    assert [path.read_bytes() for path in found] == [b"other/x.wav", b"lists/a.wav"]
    assert [str(path) for path in found] == [row["uri"] for row in rows]
    assert rows[1]["source_uri"] == "a.wav"


def test_a_folder_of_nearly_the_same_name_is_not_the_base(audio: Path) -> None:
    (audio / "lists2").mkdir()
    (audio / "lists2/a.wav").write_bytes(b"lists2/a.wav")
    corpus, listing = listed(("../lists2/a.wav", "deu", "x"))
    (row,) = listing.recordings.to_pylist()
    assert Path(audio_uri(audio_base(corpus), row["source_uri"])).read_bytes() == b"lists2/a.wav"


def test_remote_addresses_are_put_back_as_they_were() -> None:
    assert audio_uri("s3://bucket/talks/", "deu/a.wav") == "s3://bucket/talks/deu/a.wav"
    assert audio_uri("s3://bucket/talks/", "s3://other/a.wav") == "s3://other/a.wav"
    assert audio_uri("s3://bucket/talks/", "/audio/a.wav") == "/audio/a.wav"


def test_a_recording_has_one_language() -> None:
    rows = (
        ("a.wav", "deu", "p"),
        ("a.wav", "eng", "q"),
        ("b.wav", "eng", "r"),
        ("a.wav", "de", "p"),
    )
    _, listing = listed(*rows)
    kept = [(row["source_uri"], row["lang"], row["row"]) for row in listing.recordings.to_pylist()]
    assert kept == [("a.wav", "deu", 0), ("b.wav", "eng", 2), ("a.wav", "deu", 3)]
    assert refusals(listing) == [("list.tsv#1", "duplicate_id")]
    assert "deu" in listing.rejects["detail"][0].as_py()


def test_rows_that_name_no_file() -> None:
    _, listing = listed(
        ("a\0.wav", "deu", "n"),
        ("/\0", "deu", "o"),
        ("gone.wav", "deu", "g"),
        ("b.wav", "deu", "b"),
    )
    assert listing.recordings["source_uri"].to_pylist() == ["b.wav"]
    places = [f"list.tsv#{number}" for number in range(3)]
    assert refusals(listing) == [(place, "missing_audio") for place in places]
    assert "\0" not in "".join(listing.rejects["detail"].to_pylist())


def test_undetermined_is_no_language() -> None:
    _, listing = listed(("a.wav", "und", "a"), ("b.wav", "deu", "b"))
    assert listing.recordings["source_uri"].to_pylist() == ["b.wav"]
    assert refusals(listing) == [("list.tsv#0", "unknown_language")]
    with pytest.raises(ValueError, match="recognised: true"):
        Corpus(modality="speech", uri="lists/*.wav", lang="und")
    with pytest.raises(ValueError, match="recognised: true"):
        Corpus(modality="speech", uri="lists/*.wav", lang=LangFrom(recognised=True), langs=("und",))
