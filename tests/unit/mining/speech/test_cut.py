"""Clips of mined pairs are the samples that were mined."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.cli.cut import cut_command
from mining.contract.errors import AudioError, MiningError
from mining.contract.schemas import PAIR, SPEECH, TEXT
from mining.io.filesystem import Storage
from mining.io.parquet import write_part
from mining.speech.cut import CutSettings, SpeechSide, cut_clips, find_recordings

HERE = Storage()


def speech(uri, start, end, rate_hz, name, channel=None):
    """A side, as columns of a pair."""
    return {
        "segment_id": name,
        "lang": "deu",
        "modality": SPEECH,
        "text": f"text of\t{name}\nhere",
        "uri": uri,
        "start_s": start / rate_hz,
        "end_s": end / rate_hz,
        "channel": channel,
    }


def text(name):
    return {"segment_id": name, "lang": "eng", "modality": TEXT, "text": name, "uri": "t.txt"}


def pairs_table(pairs):
    rows = []
    for number, (source, target) in enumerate(pairs):
        row = {"pair_id": f"p{number}", "similarity": 1.0, "margin_score": 1.0, "mutual": True}
        row |= {"src_mean_similarity": 0.5, "tgt_mean_similarity": 0.5, "run_id": "r"}
        row |= {f"src_{k}": v for k, v in source.items()}
        row |= {f"tgt_{k}": v for k, v in target.items()}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=PAIR)


@pytest.fixture
def audio(tmp_path):
    """Recordings of random integers, by name: (samples, rate)."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "audio"
    (folder / "deep").mkdir(parents=True)
    kinds = {
        "a.wav": (16000, 1, "WAV", "PCM_16"),
        "deep/b.flac": (44100, 2, "FLAC", "PCM_24"),
        "c.bin": (8000, 1, "FLAC", "PCM_16"),
    }
    found = {}
    for name, (rate_hz, channels, container, subtype) in kinds.items():
        bits = int(subtype[4:])
        high = 1 << (bits - 1)
        samples = rng.integers(-high, high, (rate_hz * 10, channels))
        data = samples.astype(np.int16) if bits == 16 else (samples << 8).astype(np.int32)
        soundfile.write(folder / name, data, rate_hz, subtype=subtype, format=container)
        found[name] = (samples, rate_hz)
    return found


def run(*args):
    """Exit code (that of the error), output, error."""
    result = CliRunner().invoke(cut_command, [str(a) for a in args], catch_exceptions=True)
    if result.exception is None or isinstance(result.exception, SystemExit):
        return result.exit_code, result.output, ""
    if not isinstance(result.exception, MiningError):
        raise result.exception
    return result.exception.exit_code, result.output, str(result.exception)


def write_pairs(tmp_path, pairs, folder="out/pairs/st/deu-eng"):
    write_part(str(tmp_path / folder), "part-0.parquet", pairs_table(pairs), PAIR, HERE)
    return tmp_path / folder


def clip(path):
    data, rate_hz = soundfile.read(path, dtype="int32")
    return data, rate_hz


@pytest.mark.parametrize("container", ["flac", "wav"])
def test_clips_are_the_samples(tmp_path, audio, container):
    pairs = [
        (speech("a.wav", 100, 5000, 16000, "one"), text("x")),
        (speech("a.wav", 4000, 9001, 16000, "two"), text("y")),  # overlaps the first
        (speech("a.wav", 100, 5000, 16000, "one"), text("z")),  # the same segment again
        (speech("deep/b.flac", 7, 44107, 44100, "left", 0), speech("c.bin", 0, 80000, 8000, "all")),
        (speech("deep/b.flac", 7, 44107, 44100, "mixed"), text("x")),
    ]
    folder = write_pairs(tmp_path, pairs)
    to = tmp_path / "clips"
    code, output, error = run(
        folder, "--to", to, "--audio", tmp_path / "audio", "--format", container
    )
    assert (code, error) == (0, "")
    assert "5 clips cut" in output
    for name, recording, start, end in [
        ("one", "a.wav", 100, 5000), ("two", "a.wav", 4000, 9001), ("all", "c.bin", 0, 80000),
    ]:  # fmt: skip
        data, rate_hz = clip(to / f"{name}.{container}")
        samples, wanted_hz = audio[recording]
        assert rate_hz == wanted_hz
        assert np.array_equal(data >> 16, samples[start:end, 0])
    samples = audio["deep/b.flac"][0][7:44107]
    assert np.array_equal(clip(to / f"left.{container}")[0] >> 8, samples[:, 0])
    mixed = clip(to / f"mixed.{container}")[0] >> 8
    assert np.abs(mixed - samples.mean(axis=1)).max() <= 1
    info = soundfile.info(to / f"mixed.{container}")
    assert (info.channels, info.subtype, info.samplerate) == (1, "PCM_24", 44100)
    assert soundfile.info(to / f"one.{container}").subtype == "PCM_16"
    with open(to / "clips.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [(r["pair_id"], r["side"], r["segment_id"]) for r in rows] == [
        ("p0", "source", "one"), ("p1", "source", "two"), ("p2", "source", "one"),
        ("p3", "source", "left"), ("p3", "target", "all"), ("p4", "source", "mixed"),
    ]  # fmt: skip
    assert rows[0] == {
        "pair_id": "p0", "side": "source", "segment_id": "one", "lang": "deu",
        "clip": f"one.{container}", "text": "text of one here", "source_uri": "a.wav",
        "start_s": "0.006250", "end_s": "0.312500",
    }  # fmt: skip


def test_what_is_there_is_not_cut_again(tmp_path, audio):
    pairs = [(speech("a.wav", i * 100, i * 100 + 900, 16000, f"s{i}"), text("x")) for i in range(3)]
    folder = write_pairs(tmp_path, pairs)
    arguments = (folder, "--to", tmp_path / "clips", "--audio", tmp_path / "audio")
    assert run(*arguments)[0] == 0
    files = sorted((tmp_path / "clips").glob("*.flac"))
    before = {f: f.read_bytes() for f in files}
    files[0].write_bytes(b"mine")
    files[1].unlink()
    (tmp_path / "clips" / ".s9.flac.0011").write_bytes(b"of a killed run")
    code, output, _ = run(*arguments)
    assert code == 0
    assert "1 clips cut, 2 were there" in output
    assert files[0].read_bytes() == b"mine"
    assert files[1].read_bytes() == before[files[1]]
    for name in audio:
        (tmp_path / "audio" / name).unlink()
    assert run(*arguments)[0] == 0  # nothing to be cut: no recording is opened


def test_sides(tmp_path, audio):
    pairs = [(speech("a.wav", 0, 900, 16000, "s"), speech("c.bin", 0, 900, 8000, "t"))]
    folder = write_pairs(tmp_path, pairs)
    for side, names in (("source", ["s"]), ("target", ["t"]), ("both", ["s", "t"])):
        to = tmp_path / side
        assert run(folder, "--to", to, "--audio", tmp_path / "audio", "--side", side)[0] == 0
        assert sorted(f.stem for f in to.glob("*.flac")) == names
    code, _, error = run(
        write_pairs(tmp_path, [(text("x"), text("y"))], "texts"), "--to", tmp_path / "no",
        "--audio", tmp_path,
    )  # fmt: skip
    assert code == 3
    assert "must have speech" in error


def test_bad_recordings_do_not_hold_up_the_others(tmp_path, audio):
    (tmp_path / "audio" / "bad.wav").write_bytes(b"no sound at all" * 50)
    whole = (tmp_path / "audio" / "c.bin").read_bytes()
    (tmp_path / "audio" / "cut.flac").write_bytes(whole[: len(whole) // 2])
    pairs = [
        (speech("a.wav", 0, 900, 16000, "good"), text("x")),
        (speech("gone.wav", 0, 900, 16000, "gone"), text("x")),
        (speech("bad.wav", 0, 900, 16000, "bad"), text("x")),
        (speech("cut.flac", 0, 8000, 8000, "early"), text("x")),
        (speech("cut.flac", 64000, 72000, 8000, "late"), text("x")),
        (speech("a.wav", 0, 900, 16000, "fifth", 4), text("x")),
        (speech("a.wav", 900, 950, 16000, "last"), text("x")),
    ]
    folder = write_pairs(tmp_path, pairs)
    to = tmp_path / "clips"
    code, output, error = run(folder, "--to", to, "--audio", tmp_path / "audio")
    assert code == 3
    assert sorted(f.stem for f in to.glob("*.flac")) == ["early", "good", "last"]
    assert "3 clips cut" in output
    lines = error.splitlines()
    assert lines[0] == "4 clips of 4 recordings are not cut"
    for word in ("gone.wav: no such recording", "bad.wav", "cut.flac: must reach", "channel 4"):
        assert word in error
    with open(to / "clips.tsv", encoding="utf-8") as file:
        assert [line.split("\t")[2] for line in file][1:] == ["good", "early", "last"]


def test_the_report_is_short(tmp_path, audio):
    pairs = [(speech(f"gone{i}.wav", 0, 9, 16000, f"s{i}"), text("x")) for i in range(9)]
    code, _, error = run(write_pairs(tmp_path, pairs), "--to", tmp_path / "c", "--audio", tmp_path)
    assert code == 3
    assert len(error.splitlines()) == 7
    assert "name their folder with --audio" in error.splitlines()[0]
    assert "4 recordings more" in error.splitlines()[-1]


# Where recordings are


def write_config(tmp_path, corpora):
    config = {
        "schema": 1,
        "output": str(tmp_path / "out"),
        "corpora": {"texts": {"uri": "t.txt", "lang": "eng"}} | corpora,
        "tasks": {"st": {"source": "texts", "target": "texts"}},
    }
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "config.resolved.yaml").write_text(yaml.safe_dump(config))


def test_the_output_knows_where_its_recordings_are(tmp_path, audio):
    pairs = [
        (speech("a.wav", 0, 900, 16000, "s"), text("x")),
        (speech("b.flac", 0, 900, 44100, "t"), text("x")),
        (speech(str(tmp_path / "audio" / "c.bin"), 0, 900, 8000, "u"), text("x")),
    ]
    folder = write_pairs(tmp_path, pairs)
    code, _, error = run(folder, "--to", tmp_path / "c")
    assert code == 2
    assert "--audio" in error
    assert len(error.splitlines()) == 1
    write_config(tmp_path, {})
    code, _, error = run(folder, "--to", tmp_path / "c")
    assert code == 2
    assert "must hold speech" in error
    corpora = {
        "one": {"modality": "speech", "lang": "deu", "uri": f"{tmp_path}/audio/*.wav"},
        "two": {"modality": "speech", "lang": "deu", "uri": f"{tmp_path}/audio/deep/*"},
    }
    write_config(tmp_path, corpora)
    for place in (folder, tmp_path / "out" / "pairs" / "st", folder / "part-0.parquet"):
        to = tmp_path / f"clips-{place.name}"
        assert run(place, "--to", to)[0] == 0
        assert sorted(f.stem for f in to.glob("*.flac")) == ["s", "t", "u"]


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(2.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (0.0, np.inf), (np.nan, 1.0)]
)
def test_a_segment_that_does_not_begin_before_it_ends(tmp_path, audio, start_s, end_s):
    side = speech("a.wav", 0, 900, 16000, "wrong") | {"start_s": start_s, "end_s": end_s}
    pairs = [(side, text("x")), (speech("c.bin", 0, 900, 8000, "good"), text("y"))]
    folder = write_pairs(tmp_path, pairs)
    to = tmp_path / "clips"
    code, output, error = run(folder, "--to", to, "--audio", tmp_path / "audio")
    assert code == 3
    assert "1 clips cut" in output
    assert "a.wav: a segment must begin before it ends" in error
    assert [f.stem for f in to.glob("*.flac")] == ["good"]


def settings(roots, absolute=False):
    return CutSettings(to="clips", roots=tuple(str(r) for r in roots), absolute=absolute)


@pytest.mark.parametrize("uri", ["../secret.wav", "x/../../secret.wav", "..", "/etc/passwd",
                                 "file:///etc/passwd", "~/x", "a\0b"])  # fmt: skip
def test_nothing_outside_is_opened(tmp_path, uri):
    (tmp_path / "root" / "x").mkdir(parents=True)
    (tmp_path / "secret.wav").write_bytes(b"x")
    with pytest.raises(AudioError, match="must") as raised:
        find_recordings(uri, settings([tmp_path / "root"]))
    assert raised.value.reason == "missing_audio"


def test_dots_inside_are_harmless(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b.wav").write_bytes(b"x")
    assert find_recordings("a/../b.wav", settings([tmp_path])) == [str(tmp_path / "b.wav")]
    absolute = str(tmp_path / "b.wav")
    assert find_recordings(absolute, settings([tmp_path / "a"], absolute=True)) == [absolute]
    assert find_recordings("b.wav", settings([tmp_path / "a", tmp_path])) == [absolute]


def test_remote_recordings_and_clips(tmp_path, audio):
    from mining.io.filesystem import list_glob, write_atomic

    data = (tmp_path / "audio" / "a.wav").read_bytes()
    write_atomic("memory://cut/audio/a.wav", data, HERE)
    side = SpeechSide(
        pair_id="p", side="source", segment_id="s", lang="deu", text="", uri="a.wav",
        start_s=0.0, end_s=0.5, channel=None,
    )  # fmt: skip
    place = CutSettings(to="memory://cut/clips", roots=("memory://cut/audio",))
    assert cut_clips([side], place).written == 1
    assert list_glob("memory://cut/clips", HERE) == ["memory://cut/clips/s.flac"]
    assert cut_clips([side], place).present == 1


# What pairs may look like


def test_pairs_of_version_1_have_no_channels(tmp_path, audio):
    table = pairs_table([(speech("a.wav", 0, 900, 16000, "s"), text("x"))])
    table = table.drop_columns(
        ["src_channel", "tgt_channel", "duration_ratio", "transcript_similarity"]
    )
    metadata = {**PAIR.metadata, b"mining.schema_version": b"1"}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "one.parquet")
    code, _, error = run(
        tmp_path / "one.parquet", "--to", tmp_path / "c", "--audio", tmp_path / "audio"
    )
    assert (code, error) == (0, "")
    assert (tmp_path / "c" / "s.flac").exists()


def test_what_is_no_pairs_is_refused(tmp_path, audio):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    for path, word in ((tmp_path / "x.parquet", "must hold pairs"), (tmp_path / "none", "Parquet")):
        code, _, error = run(path, "--to", tmp_path / "c", "--audio", tmp_path)
        assert code == 3
        assert word in error
    for name in ("../../evil", "a/b", ""):
        pairs = [(speech("a.wav", 0, 900, 16000, name), text("x"))]
        folder = write_pairs(tmp_path, pairs, "evil")
        code, _, error = run(folder, "--to", tmp_path / "c", "--audio", tmp_path / "audio")
        assert code == 3
        assert "no file name" in error
    assert not (tmp_path / "c").exists()


# Any candidates


@given(
    spans=st.lists(
        st.tuples(st.integers(0, 7000), st.integers(1, 3000)), min_size=1, max_size=12, unique=True
    ),
    rate_hz=st.sampled_from([8000, 11025, 44100]),
)
def test_any_overlapping_candidates(tmp_path_factory, spans, rate_hz):
    folder = tmp_path_factory.mktemp("any")
    samples = np.random.default_rng(1).integers(-32768, 32768, 8000).astype(np.int16)
    soundfile.write(folder / "a.flac", samples, rate_hz)
    sides = [
        SpeechSide(
            pair_id="p", side="source", segment_id=f"s{i}", lang="deu", text="", uri="a.flac",
            start_s=start / rate_hz, end_s=(start + size) / rate_hz, channel=None,
        )
        for i, (start, size) in enumerate(spans)
    ]  # fmt: skip
    report = cut_clips(sides, CutSettings(to=f"{folder}/clips", roots=(str(folder),)))
    fits = [start + size <= 8000 for start, size in spans]
    assert report.written == sum(fits)
    assert set(report.failed) == {f"s{i}" for i, fit in enumerate(fits) if not fit}
    for i, (start, size) in enumerate(spans):
        if fits[i]:
            data, _ = soundfile.read(folder / "clips" / f"s{i}.flac", dtype="int16")
            assert np.array_equal(data, samples[start : start + size])
