"""A recording is forgotten with all its copies, what was heard in it, and what was recognised."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.conftest import Outcome, pairs_digest
from tests.end_to_end.forgetting import cells, holding
from tests.end_to_end.hearing_world import let_hear, save_dual, save_kmeans
from tests.end_to_end.speech_world import COPY, PIECES, SpeechWorld
from tests.end_to_end.test_incremental import digests

Cli = Callable[..., Outcome]
GONE = "eng/kitchen.wav"


def mined(speech: SpeechWorld, mining: Cli, *more: str | Path) -> Outcome:
    done = mining("run", "--config", speech.config, *more)
    assert done.code == 0, done.err
    return done


def small(speech: SpeechWorld, **settings: object) -> None:
    """Few candidates, and one task of speech with text."""
    speech.change_corpus("talks", speech={"max_joined": 1, **settings})
    speech.change(tasks={"st": speech.settings["tasks"]["st"]})


def traces(speech: SpeechWorld) -> list[str]:
    """What the output knows of a recording and nobody else has: names, ids, long transcripts."""
    rows = speech.table("segments", "talks").to_pylist()
    own = [row for row in rows if row["source_uri"] == GONE]
    others = {row["text"] for row in rows if row["source_uri"] != GONE}
    texts = {row["text"] for row in own if row["text"] and len(row["text"]) > 12}
    ids = {row["segment_id"] for row in own} | {row["recording_id"] for row in own}
    return sorted({GONE, COPY[1]} | ids | (texts - others))


def without(speech: SpeechWorld, *gone: str) -> None:
    """A list without some recordings."""
    speech.speak_only([(name, name[:3]) for name in (*PIECES, COPY[1]) if name not in gone])


@pytest.mark.usefixtures("no_beam")
def test_a_recording_and_its_copy(speech: SpeechWorld, mining: Cli) -> None:
    small(speech)
    without(speech)
    mined(speech, mining)
    needles = traces(speech)
    assert set(holding(speech.output, needles)) == set(needles)
    assert len(needles) > 8
    done = mining("forget", GONE, "--config", speech.config)
    assert done.code == 0, done.err
    assert "talks: forgotten: documents 1, files 2, recordings 1" in done.out
    assert holding(speech.output, needles) == {}
    taken = re.search(r"transcribe: talks: (\d) of \d parts are those of an earlier run", done.err)
    assert taken is not None
    assert int(taken[1]) >= 1, "other parts are not recognised again"
    digest = speech.digest()
    assert "nothing to do" in mined(speech, mining).err

    # another copy is that recording, too, whatever it is called
    (speech.audio / "eng/again.wav").write_bytes((speech.audio / GONE).read_bytes())
    with (speech.folder / "list.tsv").open("a") as file:
        file.write("eng/again.wav\teng\tagain\n")
    mined(speech, mining)
    assert speech.digest() == digest
    assert "eng/again.wav" not in cells(speech.output / "segments")

    without(speech, GONE, COPY[1])
    other = speech.folder / "other"
    mined(speech, mining, "--output", other)
    assert pairs_digest(other) == digest
    for kind in ("transcripts", "rejects/transcribe", "embeddings", "neighbors"):
        assert digests(speech.output, kind) == digests(other, kind)


@pytest.mark.usefixtures("no_beam")
def test_by_its_id_when_the_file_is_gone(speech: SpeechWorld, mining: Cli) -> None:
    small(speech)
    without(speech)
    mined(speech, mining)
    needles = traces(speech)
    rows = speech.table("segments", "talks").to_pylist()
    (own,) = {row["recording_id"] for row in rows if row["source_uri"] == GONE}
    (speech.audio / GONE).unlink()
    without(speech, GONE)
    done = mining("forget", own, "--config", speech.config)
    assert done.code == 0, done.err
    assert holding(speech.output, needles) == {}
    without(speech, GONE, COPY[1])
    other = speech.folder / "other"
    mined(speech, mining, "--output", other)
    assert pairs_digest(other) == speech.digest()


@pytest.mark.usefixtures("no_beam")
def test_by_the_id_of_its_list(speech: SpeechWorld, mining: Cli) -> None:
    """Of a recording by name and of one by id in the list; recordings are one segment each."""
    small(speech)
    speech.change_corpus("talks", speech={"segment": "recording"})
    rows = [f"{name}\t{name[:3]}\ttalk-{number}" for number, name in enumerate(PIECES)]
    (speech.folder / "list.tsv").write_text("\n".join(["path\tlang\ttalk", *rows]) + "\n")
    mined(speech, mining)
    absolute = speech.audio / list(PIECES)[3]
    done = mining("forget", "talk-2", absolute, "--config", speech.config)
    assert done.code == 0, done.err
    left = list(PIECES)[:2]
    gone = ["talk-2", "talk-3", *list(PIECES)[2:]]
    assert holding(speech.output, gone) == {}
    uris = {uri for path in (speech.output / "pairs").rglob("*.parquet")
            for uri in pq.read_table(path)["src_uri"].to_pylist()}  # fmt: skip
    assert uris == set(left)


def with_a_second_corpus(speech: SpeechWorld) -> None:
    """``more``: two recordings, and a copy of a recording of ``talks`` under a name of its own."""
    small(speech)
    without(speech, COPY[1])
    for name in ("copy.wav", "eng/harbour.flac", "deu/harbour.opus"):
        path = speech.folder / "more" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((speech.audio / (GONE if name == "copy.wav" else name)).read_bytes())
    rows = ["copy.wav\teng\tc", "eng/harbour.flac\teng\th", "deu/harbour.opus\tdeu\td"]
    (speech.folder / "more.tsv").write_text("\n".join(["path\tlang\ttalk", *rows]) + "\n")
    corpora, tasks = speech.settings["corpora"], speech.settings["tasks"]
    places = {"uri": str(speech.folder / "more.tsv"), "audio_root": str(speech.folder / "more")}
    corpora["more"] = corpora["talks"] | places
    tasks["mt"] = {"source": "more", "target": "texts"}
    speech.change(corpora=corpora, tasks=tasks)


@pytest.mark.usefixtures("no_beam")
def test_a_copy_in_another_corpus(speech: SpeechWorld, mining: Cli) -> None:
    with_a_second_corpus(speech)
    mined(speech, mining)
    needles = [*set(traces(speech)) - {COPY[1]}, "copy.wav"]
    hashes = {path.name for path in (speech.output / "regions/more").iterdir()}
    # in the one that is named only
    done = mining("forget", GONE, "--corpus", "talks", "--config", speech.config)
    assert done.code == 0, done.err
    assert {path.name for path in (speech.output / "regions/more").iterdir()} == hashes
    assert set(holding(speech.output, needles)) == set(needles) - {GONE}
    done = mining("forget", GONE, "--config", speech.config)
    assert done.code == 0, done.err
    assert "more: forgotten: files 1, recordings 1" in done.out
    assert holding(speech.output, needles) == {}
    assert {path.name for path in (speech.output / "regions/more").iterdir()}.isdisjoint(hashes)
    assert "nothing to do" in mined(speech, mining).err
    digest = speech.digest()
    without(speech, GONE, COPY[1])
    listed = (speech.folder / "more.tsv").read_text().splitlines()
    (speech.folder / "more.tsv").write_text("\n".join([listed[0], *listed[2:]]) + "\n")
    other = speech.folder / "other"
    mined(speech, mining, "--output", other)
    assert pairs_digest(other) == digest


@pytest.mark.usefixtures("no_beam")
def test_a_copy_without_speech_in_another_corpus(speech: SpeechWorld, mining: Cli) -> None:
    """Only a reject tells its name there, and nothing but its bytes that it is that recording."""
    import numpy as np
    import soundfile

    with_a_second_corpus(speech)
    silence = np.zeros(16000 * 3, np.int16)
    for place, seconds in (("audio/eng/still.wav", 3), ("more/mute.wav", 3), ("more/hush.wav", 2)):
        soundfile.write(speech.folder / place, silence[: 16000 * seconds], 16000)
    (speech.folder / "more/other.wav").write_bytes(  # as long, and another recording
        (speech.folder / "more/mute.wav").read_bytes()[:-2] + b"\x01\x00"
    )
    for table, names in (
        ("list", ["eng/still.wav"]),
        ("more", ["mute.wav", "hush.wav", "other.wav"]),
    ):
        with (speech.folder / f"{table}.tsv").open("a") as file:
            file.writelines(f"{name}\teng\t{name}\n" for name in names)
    mined(speech, mining)
    assert set(holding(speech.output, ["eng/still.wav", "mute.wav"])) == {
        "eng/still.wav",
        "mute.wav",
    }
    done = mining("forget", "eng/still.wav", "--config", speech.config)
    assert done.code == 0, done.err
    assert "more: forgotten: files 1, recordings 1" in done.out
    assert holding(speech.output, ["eng/still.wav", "mute.wav"]) == {}
    assert set(holding(speech.output, ["hush.wav", "other.wav"])) == {"hush.wav", "other.wav"}


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    return save_dual(folder / "ears", save_kmeans(folder / "units"))


@pytest.mark.usefixtures("no_beam")
def test_what_an_encoder_heard_goes_too(speech: SpeechWorld, ears: Path, mining: Cli) -> None:
    hearing = let_hear(speech, ears)
    hearing.change(tasks={"ss": hearing.settings["tasks"]["ss"]})
    hearing.change_corpus("talks", speech={"max_joined": 1})
    without(hearing, COPY[1])
    mined(hearing, mining)
    rows = hearing.table("segments", "talks").to_pylist()
    own = {row[name] for row in rows if row["source_uri"] == GONE
           for name in ("recording_id", "segment_id", "source_uri")}  # fmt: skip
    assert set(holding(hearing.output / "audio_frames", sorted(own))) > set()
    done = mining("forget", GONE, "--config", hearing.config)
    assert done.code == 0, done.err
    assert holding(hearing.output, sorted(own)) == {}
    assert re.search(r"tokenize: talks: [123] of \d parts are those of an earlier run", done.err)
    without(hearing, GONE, COPY[1])
    other = hearing.folder / "other"
    mined(hearing, mining, "--output", other)
    for kind in ("audio_frames", "embeddings", "pairs"):
        assert digests(hearing.output, kind) == digests(other, kind)
    manifest = json.loads((other / "pairs/ss/_manifest.json").read_text())
    models = manifest["attributes"]["licences"]["models"]
    assert list(models.values()) == ["unknown"] * 2, "the encoder and its audio tokenizer"
