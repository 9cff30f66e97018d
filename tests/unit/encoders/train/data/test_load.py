from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.dual.items import Spoken, Written
from encoders.train.data.config import Columns, Data, Seed, Texts
from encoders.train.data.load import Loaded, load_data
from encoders.train.data.mixture import Mixture
from encoders.train.data.pairs import TrainingPair
from mining.config.model import Contamination
from mining.contract.errors import ConfigError, InputError
from mining.contract.speech import Samples

PLANTED = "The quick brown committee decided on Tuesday to postpone the long awaited vote."


@pytest.fixture
def load(tmp_path: Path, energy: Any) -> Callable[..., Loaded]:
    (tmp_path / "judged.txt").write_text(
        f"{PLANTED}\nUnd noch ein Satz aus der Prüfung, der lang ist.\n"
    )

    def loaded(
        data: Data, *, sets: tuple[str, ...] = (), tokenizer: Any = energy, seed: int = 0
    ) -> Loaded:
        lines: list[str] = []
        found = load_data(
            data,
            Contamination(sets=sets or (f"{tmp_path}/judged.txt",)),
            tokenizer,
            cache=tmp_path / "cache",
            seed=seed,
            progress=lines.append,
        )
        found.report["lines"] = lines
        json.dumps(found.report)
        check_law(data, found)
        return found

    return loaded


def check_law(data: Data, found: Loaded) -> None:
    """Every row is kept or a reject, and the list of rejects has them all."""
    total = 0
    for group in ("seeds", "texts"):
        for figures in found.report[group].values():
            refused = sum(figures["rejected"].values())
            assert figures["rows"] == figures["kept"] + refused
            total += refused
    listed = found.rejects.read_text(encoding="utf-8").splitlines()
    assert listed[0].split("\t") == ["row_id", "stage", "reason", "detail"]
    assert len(listed) - 1 == total == sum(found.report["rejected"].values())
    assert all(len(line.split("\t")) == 4 for line in listed)


def rejects(found: Loaded) -> dict[str, str]:
    lines = found.rejects.read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return {row[0].rpartition("#")[2]: row[2] for row in rows}


def pairs(found: Loaded, kind: str) -> list[TrainingPair]:
    return [s.pair(row) for s in found.sources if s.kind == kind for row in range(len(s))]


def table(path: Path, columns: str, *rows: str) -> str:
    path.write_text("\n".join([columns, *rows]).replace("|", "\t") + "\n", encoding="utf-8")
    return str(path)


def test_a_clip_is_paired_with_its_transcript_and_its_translation(
    tmp_path: Path, load: Callable[..., Loaded], wav: Callable[..., Samples]
) -> None:
    for n in range(3):
        wav(f"{n}.wav", 1.0 + n, seed=n)
    manifest = table(
        tmp_path / "m.tsv",
        "audio|lang|transcript|translation|translation_lang",
        "0.wav|fr|Bonjour  à tous.|Hello everybody.|",
        "1.wav|de-DE|Guten Tag.||",
        "2.wav|deu||Buenos días.|es",
    )
    found = load(Data(seeds={"s": Seed(manifest=manifest)}))
    spoken = [(p.source.lang, p.target) for p in pairs(found, "transcribe")]
    assert spoken == [
        ("fra", Written(text="Bonjour à tous.", lang="fra")),
        ("deu", Written(text="Guten Tag.", lang="deu")),
    ]
    first, second = pairs(found, "translate")
    assert first.target == first.teacher_text == Written(text="Hello everybody.", lang="eng")
    assert second.target == Written(text="Buenos días.", lang="spa")
    assert isinstance(second.source, Spoken)
    assert [len(region) for region in second.source.regions] == [150]
    transcribed = pairs(found, "transcribe")[0]
    assert transcribed.source_key == transcribed.target_key == first.source_key != first.target_key
    assert second.source_key > 0  # of its clip
    assert [s.lang_names for s in found.sources] == [("deu", "fra"), ("deu", "fra")]


def test_bad_rows_are_rejects_with_their_reason(
    tmp_path: Path, load: Callable[..., Loaded], wav: Callable[..., Samples]
) -> None:
    wav("a.wav", 2.0)
    wav("long.wav", 5.0)
    (tmp_path / "bad.wav").write_text("hello")
    manifest = table(
        tmp_path / "m.tsv",
        "audio|lang|transcript|translation|start_s|end_s|split",
        "a.wav|fra|Oui.|Yes.|||train",
        "a.wav|klingon!|Oui.|Yes.|||train",
        "a.wav|spa|Sí.|Yes.|||train",
        "|fra|Oui.|Yes.|||train",
        "a.wav|fra|Oui.|Yes.|1.0|0.5|train",
        "a.wav|fra|Oui.|Yes.|0|never|train",
        "a.wav|fra|Oui.|Yes.|0|9|train",
        "a.wav|fra| - |...|||train",
        "a.wav|fra|Да, конечно.|Yes.|||train",
        "a.wav|rus|Да, iPhone.|Да.|||train",
        "a.wav|rus|Да, iPhone.|Yes.|||train",
        f"a.wav|fra|Oui.|{PLANTED.upper().replace('.', '!')}|||train",
        f"a.wav|fra|Oui.|{PLANTED.replace('quick', 'swift')}|||",
        "gone.wav|fra|Oui.|Yes.|||train",
        "bad.wav|fra|Oui.|Yes.|||",
        "long.wav|fra|Oui.|Yes.|||",
        "long.wav|fra|Oui.|Yes.|4.5|6|",
        "one field",
        "a.wav|fra|Test.|Test.|||test",
        "a.wav|fra|y|a|||train",
    )
    found = load(Data(seeds={"s": Seed(manifest=manifest, langs=("fr", "ru"), max_s=3.0)}))
    assert rejects(found) == {
        "1": "unknown_language",
        "2": "unwanted_language",
        "3": "missing_value",
        "4": "missing_value",
        "5": "missing_value",
        "6": "too_long",
        "7": "empty",
        "8": "wrong_script",
        "9": "wrong_script",
        "11": "benchmark_overlap",
        "12": "benchmark_overlap",
        "13": "missing_audio",
        "14": "unreadable_audio",
        "15": "too_long",
        "16": "truncated_audio",
        "17": "ragged_row",
    }
    assert found.report["seeds"]["s"]["kept"] == 3
    assert found.report["seeds"]["s"]["one_letter_texts"] == 2
    figures = found.report["seeds"]["s"]["languages"]["fra"]
    assert figures["clips"] == 5
    assert figures["found"] == 4
    assert figures["usable"] == 1


def test_sentences_of_evaluation_sets_are_refused_on_either_side(
    tmp_path: Path, load: Callable[..., Loaded]
) -> None:
    uri = table(
        tmp_path / "t.tsv",
        "source|target|source_lang|target_lang",
        f"Etwas anderes.|{PLANTED}|deu|eng",
        f"{PLANTED}|Etwas anderes.|eng|deu",
        "Und NOCH ein Satz aus der Prüfung der lang ist|Fine.|deu|eng",
        "Gut so.|Well done.|de|en",
        "Gut so.||de|en",
        "Gut so.|Хорошо.|de|en",
        "Gut so.|Well done.|de|?",
    )
    found = load(Data(texts={"t": Texts(uri=uri)}), tokenizer=None)
    assert [(p.source, p.target) for p in pairs(found, "text")] == [
        (Written(text="Gut so.", lang="deu"), Written(text="Well done.", lang="eng"))
    ]
    assert list(rejects(found).values()) == [
        *["benchmark_overlap"] * 3, "empty", "wrong_script", "unknown_language",
    ]  # fmt: skip
    assert not found.held_out


def test_languages_of_texts_and_tables_may_be_told(
    tmp_path: Path, load: Callable[..., Loaded], wav: Callable[..., Samples]
) -> None:
    uri = table(tmp_path / "t.tsv", "quy|es", "Allin punchaw.|Buenos días.")
    texts = Texts(uri=uri, source="quy", target="es", source_lang="quy", target_lang="spa")
    found = load(Data(texts={"t": texts}), tokenizer=None)
    assert [(p.source.lang, p.target.lang) for p in pairs(found, "text")] == [("que", "spa")]
    wav("q/a.wav", 1.0)
    seed = Seed(
        manifest=uri,
        audio_root=f"{tmp_path}/q",
        columns=Columns(audio="clip", transcript="quy", translation="es"),
        lang="quy",
        translation_lang="spa",
    )
    with pytest.raises(InputError, match="must have one column 'clip'"):
        load(Data(seeds={"q": seed}))
    table(tmp_path / "t.tsv", "quy|es|clip", "Allin punchaw.|Buenos días.|a.wav")
    (pair,) = pairs(load(Data(seeds={"q": seed})), "translate")
    assert (pair.source.lang, pair.target.lang) == ("que", "spa")


def test_one_clip_of_many_rows_is_transcribed_once(
    tmp_path: Path, load: Callable[..., Loaded], wav: Callable[..., Samples], energy: Any
) -> None:
    wav("a.wav", 1.0)
    manifest = table(
        tmp_path / "m.tsv",
        "audio|lang|transcript|translation|translation_lang",
        "a.wav|eng|Good morning.|Guten Morgen.|deu",
        "a.wav|eng|Good morning.|Bonjour.|fra",
        "a.wav|eng|Good morning.|bonjour|fra",
    )
    found = load(Data(seeds={"s": Seed(manifest=manifest)}))
    assert len(pairs(found, "transcribe")) == 1
    assert [p.target.lang for p in pairs(found, "translate")] == ["deu", "fra"]
    assert len(energy.heard) == 1


def test_seeds_that_are_not_there_are_errors(
    tmp_path: Path, load: Callable[..., Loaded], wav: Callable[..., Samples]
) -> None:
    manifest = table(
        tmp_path / "m.tsv", "audio|lang|transcript", "x.wav|fra|Oui.", "y.wav|fra|Non."
    )
    with pytest.raises(
        InputError, match=r"none of the 2 can be opened; the first .*/x\.wav; check"
    ):
        load(Data(seeds={"s": Seed(manifest=manifest)}))
    with pytest.raises(ConfigError, match="need a model with an audio tokenizer"):
        load(Data(seeds={"s": Seed(manifest=manifest)}), tokenizer=None)
    table(tmp_path / "m.tsv", "audio|lang|transcript|split", "x.wav|fra|Oui.|dev")
    with pytest.raises(InputError, match="must have rows of split 'train'"):
        load(Data(seeds={"s": Seed(manifest=manifest)}))
    with pytest.raises(InputError, match=r"data\.seeds\.s\.manifest: must name at least one file"):
        load(Data(seeds={"s": Seed(manifest=f"{tmp_path}/none.tsv")}))
    with pytest.raises(ConfigError, match=r"contamination\.sets"):
        load(Data(), sets=("no-such-set",))
    assert not list((tmp_path / "cache").rglob("rejects/.*"))


def test_held_out_clips_leave_no_trace_in_training(
    tmp_path: Path, load: Callable[..., Loaded], wav: Callable[..., Samples]
) -> None:
    rows = []
    for n in range(24):
        wav(f"{n}.wav", 0.5, seed=n)
        rows.append(f"{n}.wav|fra|phrase {n % 20}|sentence {n % 20}|voice {n % 8}")
    manifest = table(tmp_path / "m.tsv", "audio|lang|transcript|translation|speaker", *rows)
    again = table(tmp_path / "again.tsv", "audio|lang|transcript|translation|speaker", *rows[::-1])
    sentences = [f"phrase {n}|sentence {n}|fra|eng" for n in range(20)]
    uri = table(tmp_path / "t.tsv", "source|target|source_lang|target_lang", *sentences)
    data = Data(
        seeds={"s": Seed(manifest=manifest), "again": Seed(manifest=again)},
        texts={"t": Texts(uri=uri)},
        held_out=4,
    )
    found = load(data)
    assert len(found.held_out) == 4
    names = {clip.name.rpartition("#")[2] for clip in found.held_out}
    assert len(names) == 4
    voices = {f"voice {int(name) % 8}" for name in names}
    assert {clip.speaker for clip in found.held_out} == voices
    texts = {clip.transcript.text for clip in found.held_out if clip.transcript}
    assert all(clip.translations[0].lang == "eng" for clip in found.held_out)
    trained = pairs(found, "transcribe")
    assert trained
    assert not texts & {pair.target.text for pair in trained}
    assert not texts & {
        p.source.text for p in pairs(found, "text") if isinstance(p.source, Written)
    }
    told = {row.split("|")[2]: row.split("|")[4] for row in rows}
    assert not voices & {told[p.target.text] for p in trained if int(p.target.text[7:]) >= 4}
    figures = found.report["seeds"]["s"]["held_out"]
    assert figures["judged"] == 4
    assert len(trained) == 2 * (24 - sum(figures.values()))
    assert found.report["texts"]["t"]["held_out"]["same_sentence"] == len(texts)
    keys = {clip.clip_key for clip in found.held_out}
    assert not keys & {
        pair.source_key for s in found.sources for pair in map(s.pair, range(len(s)))
    }
    assert [clip.name for clip in load(data).held_out] == [clip.name for clip in found.held_out]
    everything = load(Data(seeds=data.seeds, texts=data.texts))
    assert len(pairs(everything, "transcribe")) == 48
    assert not everything.held_out


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


@pytest.mark.realdata
def test_sentences_of_ntrex_are_refused(
    tmp_path: Path, load: Callable[..., Loaded], real_data: Path
) -> None:
    folder = real_data / "text" / "ntrex"
    files = {"deu": "newstest2019-ref.deu.txt", "eng": "newstest2019-src.eng.txt"}
    lines = {k: (folder / v).read_text(encoding="utf-8").splitlines() for k, v in files.items()}
    rows = [f"{lines['deu'][n]}|A line of my own.|deu|eng".replace("\t", " ") for n in range(100)]
    rows += [f"Eine eigene Zeile.|{lines['eng'][n]}|deu|eng" for n in range(100, 200)]
    rows += ["Das ist eine eigene Zeile.|This line is my own.|deu|eng"]
    uri = table(tmp_path / "t.tsv", "source|target|source_lang|target_lang", *rows)
    found = load(Data(texts={"t": Texts(uri=uri)}), sets=("ntrex",), tokenizer=None)
    assert found.report["rejected"] == {"benchmark_overlap": 200}
    assert len(pairs(found, "text")) == 1
