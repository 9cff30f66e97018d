"""Of several recordings of one name, the one that was mined is cut."""

import numpy as np
import pytest
import soundfile

from mining.contract.ids import speech_segment_id
from mining.io.local import file_digest
from tests.unit.mining.speech.test_cut import clip, run, speech, text, write_config, write_pairs


def mined(path, start, end, **values):
    """A side, as it is when the file was mined."""
    name = speech_segment_id(file_digest(path), values.get("channel"), start, end - start)
    rate_hz = soundfile.info(path).samplerate
    return speech(path.name, start, end, rate_hz, name, **values)


@pytest.fixture
def twins(tmp_path):
    """Two folders that hold other recordings of one name, and one that holds no sound."""
    rng = np.random.default_rng(3)
    found = []
    for folder, rate_hz in (("a", 16000), ("b", 8000)):
        (tmp_path / folder).mkdir()
        found.append(tmp_path / folder / "x.wav")
        samples = rng.integers(-32768, 32768, (4 * rate_hz, 2)).astype(np.int16)
        soundfile.write(found[-1], samples, rate_hz)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.wav").write_bytes(b"no sound")
    talks = {"modality": "speech", "lang": "deu"}
    uris = {name: f"{tmp_path}/{name}/*.wav" for name in ("c", "a", "b")}
    write_config(tmp_path, {name: talks | {"uri": uri} for name, uri in uris.items()})
    return found


@pytest.mark.parametrize("number", [0, 1])
def test_of_two_recordings_of_a_name_the_mined_one_is_cut(tmp_path, twins, number):
    sides = [mined(twins[number], 100, 900), mined(twins[number], 300, 500, channel=1)]
    folder = write_pairs(tmp_path, [(side, text("x")) for side in sides])
    assert run(folder, "--to", tmp_path / "clips")[0] == 0
    whole, rate_hz = soundfile.read(twins[number], dtype="int16")
    data, clip_rate_hz = clip(tmp_path / "clips" / f"{sides[1]['segment_id']}.flac")
    assert clip_rate_hz == rate_hz
    assert np.array_equal(data >> 16, whole[300:500, 1])


def test_recordings_of_a_name_may_be_mined_against_each_other(tmp_path, twins):
    places = ((0, 400), (200, 900), (1000, 1100))
    pairs = [tuple(mined(path, *place, channel=0) for path in twins) for place in places]
    assert run(write_pairs(tmp_path, pairs), "--to", tmp_path / "clips")[0] == 0
    for pair, (start, end) in zip(pairs, places, strict=True):
        for path, side in zip(twins, pair, strict=True):
            data, _ = clip(tmp_path / "clips" / f"{side['segment_id']}.flac")
            assert np.array_equal(data >> 16, soundfile.read(path, dtype="int16")[0][start:end, 0])


def test_where_none_of_a_name_was_mined_none_is_cut(tmp_path, twins):
    good = mined(twins[1], 0, 400)
    pairs = [(speech("x.wav", 0, 400, 8000, "other"), text("x")), (good, text("y"))]
    code, _, error = run(write_pairs(tmp_path, pairs), "--to", tmp_path / "clips")
    assert code == 3
    assert "1 clips of 1 recordings are not cut" in error
    assert "x.wav: no such recording" in error
    assert [f.stem for f in (tmp_path / "clips").glob("*.flac")] == [good["segment_id"]]
