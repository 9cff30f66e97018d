from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from encoders.dual.items import Spoken, Written
from encoders.train.data.config import Columns, Data, Seed, Texts
from encoders.train.data.load import Loaded
from mining.contract.errors import ConfigError, InputError
from mining.contract.speech import Samples
from tests.unit.encoders.train.data.loading import PLANTED, pairs, rejects, table


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
