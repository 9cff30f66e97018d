"""CoVoST 2 over whatever there is of Common Voice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.dual.items import Spoken
from encoders.train.data.config import Data, Seed
from encoders.train.data.load import Loaded
from encoders.train.data.mixture import Mixture
from mining.contract.errors import InputError
from mining.contract.speech import Samples
from tests.unit.encoders.train.data.loading import pairs, rejects, table


def covost(folder: Path, pair: str, *rows: str) -> None:
    table(folder / f"covost_v2.{pair}.tsv", "path|translation|split", *rows)


def test_covost_is_joined_with_what_there_is_of_common_voice(
    tmp_path: Path, load: Callable[..., Loaded], wav: Callable[..., Samples]
) -> None:
    for n in range(4):
        wav(f"cv/sv-SE/clips/{n}.mp3", 1.0, seed=n)  # by content, whatever the name
    wav("cv/en/clips/0.mp3", 2.0, seed=9)
    columns = "client_id|path|sentence|up_votes"
    table(
        tmp_path / "cv/sv-SE/validated.tsv", columns,
        "p|0.mp3|Hej hej.|2", 'p|1.mp3|"Han sa ""hej"" igår."|2', "q|9.mp3|Inte här.|2",
    )  # fmt: skip
    table(tmp_path / "cv/sv-SE/other.tsv", columns, "q|2.mp3|Ny mening.|2", "q|0.mp3|Fel.|0")
    table(tmp_path / "cv/sv-SE/clip_durations.tsv", "clip|duration[ms]", "0.mp3|1000")
    table(tmp_path / "cv/en/train.tsv", columns, "r|0.mp3|Good day.|2")
    (tmp_path / "tables").mkdir()
    covost(
        tmp_path / "tables", "sv-SE_en",
        "0.mp3|Hi hi.|train", "1.mp3|He said \\\"hi\\\".|train_covost", "2.mp3|New.|train",
        "3.mp3|Unlisted.|train", "5.mp3|Gone.|train", "../0.mp3|Escaped.|train", "9.mp3|Later.|dev",
    )  # fmt: skip
    covost(tmp_path / "tables", "en_de", "0.mp3|Guten Tag.|train")
    covost(tmp_path / "tables", "en_zh-CN", "0.mp3|你好。|train")
    seed = Seed(manifest=f"{tmp_path}/tables", format="covost2", audio_root=f"{tmp_path}/cv")
    found = load(Data(seeds={"c": seed}))
    spoken = {(p.source.lang, p.target.text) for p in pairs(found, "transcribe")}
    assert spoken == {
        ("swe", "Hej hej."), ("swe", 'Han sa "hej" igår.'), ("swe", "Ny mening."), ("eng", "Good day."),
    }  # fmt: skip
    meant = {(p.source.lang, p.target.lang, p.target.text) for p in pairs(found, "translate")}
    assert meant == {
        ("swe", "eng", "Hi hi."), ("swe", "eng", 'He said "hi".'), ("swe", "eng", "New."),
        ("swe", "eng", "Unlisted."), ("eng", "deu", "Guten Tag."), ("eng", "zho", "你好。"),
    }  # fmt: skip
    assert rejects(found) == {"4": "missing_audio", "5": "missing_value"}
    figures = found.report["seeds"]["c"]["languages"]
    assert figures["swe"] == {"rows": 6, "clips": 5, "found": 4, "usable": 4, "hours": 0.0011}
    assert figures["eng"] == {"rows": 2, "clips": 1, "found": 1, "usable": 1, "hours": 0.0006}
    shown = [line for line in found.report["lines"] if line.startswith("c: swe")]
    assert shown[0].split()[1:] == ["swe", "6", "5", "4", "4", "0.00"]
    only = load(Data(seeds={"c": Seed(**{**vars(seed), "langs": ("eng",)})}))
    assert list(only.report["seeds"]["c"]["languages"]) == ["eng"]
    with pytest.raises(InputError, match=r"must be a folder with tables covost_v2"):
        load(Data(seeds={"c": Seed(**{**vars(seed), "langs": ("cym",)})}))
    with pytest.raises(InputError, match=r"first looked for is .*/nowhere/en/clips/0\.mp3"):
        load(Data(seeds={"c": Seed(**{**vars(seed), "audio_root": f"{tmp_path}/nowhere"})}))


LOCALES = ("ar", "cy", "de", "en", "fa", "ja", "sv-SE", "ta", "zh-CN")


@pytest.mark.realdata
def test_common_voice_as_it_is(
    tmp_path: Path, load: Callable[..., Loaded], real_data: Path, energy: Any
) -> None:
    release = real_data / "commonvoice"
    for locale in LOCALES:
        lines = (release / locale / "validated.tsv").read_text(encoding="utf-8").splitlines()
        paths = [line.split("\t")[1] for line in lines[1:]][:12]
        rows = [
            f"{path}|This is what {locale} clip {n} means.|train" for n, path in enumerate(paths)
        ]
        covost(tmp_path, f"{locale}_en", *rows, f"{paths[0][:-4]}0.mp3|Not here.|train")
    seed = Seed(manifest=str(tmp_path), format="covost2", audio_root=str(release))
    data = Data(seeds={"c": seed}, held_out=2)
    found = load(data)
    report = found.report["seeds"]["c"]
    assert report["rows"] == 13 * len(LOCALES)
    assert report["rejected"]["missing_audio"] == len(LOCALES)
    assert set(report["rejected"]) <= {"missing_audio", "near_silent"}
    assert len(report["languages"]) == len(LOCALES)
    assert all(figures["found"] == 12 for figures in report["languages"].values())
    assert all(figures["hours"] > 0.005 for figures in report["languages"].values())
    transcripts = [pair.target.text for pair in pairs(found, "transcribe")]
    assert not [text for text in transcripts if '""' in text]
    calls = len(energy.heard)
    assert calls == 12 * len(LOCALES)
    again = load(data)
    assert len(energy.heard) == calls
    for first, second in zip(found.sources, again.sources, strict=True):
        for row in range(len(first)):
            a, b = first.pair(row), second.pair(row)
            assert (a.target, a.source_key, a.target_key) == (b.target, b.source_key, b.target_key)
            assert isinstance(a.source, Spoken)
            assert isinstance(b.source, Spoken)
            assert np.array_equal(a.source.regions[0], b.source.regions[0])
    batch = Mixture(found.sources, data, 16, 0).batch(0)
    assert {pair.source.lang for pair in batch} > {"ara"} or len(batch) == 16
    speakers = {clip.speaker for clip in found.held_out}
    assert speakers
    assert len(found.held_out) <= 2 * len(LOCALES)
