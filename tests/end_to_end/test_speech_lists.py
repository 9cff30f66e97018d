"""How recordings are named, and in which language: releases, lists, a recogniser that tells."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.conftest import Outcome, pairs_digest
from tests.end_to_end.speech_world import PIECES, SpeechWorld
from tests.end_to_end.test_bad_input import reasons, refused
from tests.end_to_end.test_speech_run import mined

Cli = Callable[..., Outcome]

pytestmark = pytest.mark.usefixtures("no_beam")


def sources(world: SpeechWorld) -> set[str]:
    return set(world.table("segments", "talks")["source_uri"].to_pylist())


def only_speech_to_text(world: SpeechWorld) -> None:
    world.change(tasks={"st": world.settings["tasks"]["st"]})


def test_a_common_voice_release_is_read_as_it_is(speech: SpeechWorld, mining: Cli) -> None:
    only_speech_to_text(speech)
    columns = ("client_id", "path", "sentence_id", "sentence", "locale")
    for lang, locale, name in (("deu", "de", "kitchen.mp3"), ("eng", "en", "kitchen.wav")):
        clips = speech.folder / "cv" / locale / "clips"
        clips.mkdir(parents=True)
        shutil.copy(speech.audio / lang / name, clips / name)
        rows = [
            ("a1", name, "s1", 'He said: "yes', locale),  # one quotation mark, never closed
            ("a1", "common_voice_1.mp3", "s2", "gone", locale),
        ]
        lines = ["\t".join(row) for row in (columns, *rows)]
        text = "\r\n".join(lines) + "\r\n"
        (clips.parent / "validated.tsv").write_text(text, newline="")
    speech.change_corpus(
        "talks",
        format="common_voice",
        uri=str(speech.folder / "cv" / "*" / "validated.tsv"),
        audio_root=None,
        lang={"column": "locale"},
        columns={"id": "sentence_id"},
        speech={"segment": "recording"},
    )
    mined(speech, mining)
    assert sources(speech) == {"de/clips/kitchen.mp3", "en/clips/kitchen.wav"}
    # the sides of a parallel corpus may share their ids
    assert reasons(speech, "prepare") == {"missing_audio": 2}
    pairs = speech.table("pairs", "st").to_pylist()
    assert {(row["src_lang"], row["src_doc_id"]) for row in pairs} == {
        ("deu", "s1"), ("eng", "s1"),
    }  # fmt: skip


def test_a_list_may_have_any_format(speech: SpeechWorld, mining: Cli) -> None:
    only_speech_to_text(speech)
    mined(speech, mining)
    with (speech.folder / "list.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    with (speech.folder / "list.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (speech.folder / "list.jsonl").write_text(lines)
    pq.write_table(pa.Table.from_pylist(rows), speech.folder / "list.parquet")
    for kind in ("csv", "jsonl", "parquet"):
        speech.change_corpus("talks", format=kind, uri=str(speech.folder / f"list.{kind}"))
        mined(speech, mining, "--output", speech.folder / kind)
        assert pairs_digest(speech.folder / kind) == speech.digest(), kind


def test_a_playlist_has_comments_and_gaps(speech: SpeechWorld, mining: Cli) -> None:
    only_speech_to_text(speech)
    (speech.audio / "eng" / "all.m3u8").write_text(
        "#EXTM3U\n#EXTINF:20,Kitchen\nkitchen.wav\n\n"
        f"harbour.flac\r\ngone.wav\n{speech.audio}/eng/../eng/z.wav\n"
    )
    speech.change_corpus(
        "talks", format="lines", uri=str(speech.audio / "eng" / "all.m3u8"), lang="eng",
        audio_root=None, columns=None,
    )  # fmt: skip
    mined(speech, mining)
    assert sources(speech) == {"kitchen.wav", "harbour.flac"}
    assert reasons(speech, "prepare") == {"missing_audio": 1}
    (row,) = speech.table("rejects", "prepare", "talks").to_pylist()
    assert row["row_id"] == "all.m3u8#5"  # the line; recordings are named below their base
    assert "gone.wav" in row["detail"]


def test_recordings_may_be_named_by_folders(speech: SpeechWorld, mining: Cli) -> None:
    only_speech_to_text(speech)
    speech.change_corpus(
        "talks", format=None, uri=f"{speech.audio}/{{lang}}/*.[wmfo]*", lang={"path": "lang"},
        audio_root=None, columns=None,
    )  # fmt: skip
    mined(speech, mining)
    assert sources(speech) == set(PIECES)
    by_pattern = {row["segment_id"] for row in speech.table("segments", "talks").to_pylist()}
    (speech.audio / "eng" / "notes.txt").write_text("no recording")
    speech.change_corpus("talks", uri=f"{speech.audio}/eng", lang="eng")
    mined(speech, mining, "--output", speech.folder / "other")
    folder = SpeechWorld(speech.folder, speech.config, speech.folder / "other", speech.audio)
    assert sources(folder) == {"eng/kitchen.wav", "eng/harbour.flac"}
    assert {row["segment_id"] for row in folder.table("segments", "talks").to_pylist()} < by_pattern
    assert reasons(folder, "prepare") == {}


def test_a_language_may_be_told_by_the_recogniser(
    speech: SpeechWorld, mining: Cli, tiny_whisper: Path
) -> None:
    only_speech_to_text(speech)
    told = {"lang": {"recognised": True}, "columns": {"audio": "path", "id": "talk"}}
    speech.change_corpus("talks", **told)
    refused(mining("run", "--config", speech.config), 2, "corpora.talks.lang", "cannot tell")
    assert not (speech.output / "segments").exists()

    speech.change(recogniser={"path": str(tiny_whisper), "max_tokens": 6})
    mined(speech, mining)
    rows = [row for row in speech.table("segments", "talks").to_pylist() if row["text"] is not None]
    assert rows
    assert {row["lang"] for row in rows} <= {"eng", "zho", "deu", "jav"}
    assert all(0 < row["lang_probability"] <= 1 for row in rows)
    by_recording = {(row["source_uri"], row["lang"], row["lang_probability"]) for row in rows}
    assert len(by_recording) == len(PIECES)  # one language a recording
    assert {row["src_lang"] for row in speech.table("pairs", "st").to_pylist()} == {
        row["lang"] for row in rows
    }
    told_langs = sorted({row["lang"] for row in rows})
    speech.change_corpus("talks", langs=[told_langs[0]])
    mined(speech, mining, "--output", speech.folder / "some")
    some = SpeechWorld(speech.folder, speech.config, speech.folder / "some", speech.audio)
    refusals = reasons(some, "transcribe").get("unwanted_language", 0)
    assert refusals == sum(row["lang"] != told_langs[0] for row in rows)

    speech.change(recogniser={"path": str(tiny_whisper), "language": "deu", "max_tokens": 6})
    refused(mining("run", "--config", speech.config), 2, "recogniser.language")


def test_an_unknown_language_is_refused_or_taken_for_a_kindred_one(
    speech: SpeechWorld, mining: Cli, tiny_whisper: Path
) -> None:
    only_speech_to_text(speech)
    names = [(name, "gsw" if name.startswith("deu") else "eng") for name in PIECES]
    speech.speak_only(names)
    whisper = {"path": str(tiny_whisper), "max_tokens": 6}
    speech.change(recogniser=whisper)
    done = mined(speech, mining)
    assert "does not know gsw" in done.err
    assert "recogniser.language" in done.err
    found = reasons(speech, "transcribe")
    assert set(found) == {"unknown_language"}
    assert set(speech.table("pairs", "st")["src_lang"].to_pylist()) == {"eng"}

    speech.change(recogniser=whisper | {"language": "deu"})
    done = mined(speech, mining)
    assert "does not know" not in done.err
    assert set(speech.table("pairs", "st")["src_lang"].to_pylist()) == {"eng", "gsw"}

    speech.change_corpus("talks", uri=str(speech.folder / "swiss.tsv"))
    (speech.folder / "swiss.tsv").write_text("path\tlang\ttalk\ndeu/kitchen.mp3\tgsw\ta\n")
    speech.change(recogniser=whisper, output=str(speech.folder / "swiss"))
    refused(mining("run", "--config", speech.config), 3, "corpora.talks", "unknown_language")
