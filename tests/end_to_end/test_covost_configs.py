"""The configs for people with GPUs, with tiny models and little speech in place of the named ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import MT5Config, MT5EncoderModel, Qwen3Config, Qwen3Model

from encoders.train.config import load_training
from encoders.train.run import train
from tests.unit.encoders.audio_tokens.conftest import ENCODERS, save
from tests.unit.encoders.dual.conftest import ROWS, character_tokenizer

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
LOCALES = ("de", "fr", "sv-SE")
SMALL = {"vocab_size": ROWS, "num_attention_heads": 4, "head_dim": 8, "intermediate_size": 48}


def qwen3():
    layers = {"hidden_size": 32, "num_hidden_layers": 2, "num_key_value_heads": 2}
    return Qwen3Model(Qwen3Config(**SMALL, **layers))


def mt5():
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    return MT5EncoderModel(MT5Config(vocab_size=ROWS, **sizes))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A CoVoST 2 of three languages over a Common Voice of tones, and a WikiMatrix of ten lines."""
    root = tmp_path_factory.mktemp("covost")
    rng = np.random.default_rng(0)
    (root / "covost2").mkdir()
    for locale in LOCALES:
        clips = root / "common_voice" / locale / "clips"
        clips.mkdir(parents=True)
        known = ["client_id\tpath\tsentence"]
        pairs = ["path\ttranslation\tsplit"]
        for number in range(8):
            tone = np.sin(np.arange(12000) * (0.05 + 0.01 * number)) * 0.3
            sound = tone + 0.02 * rng.standard_normal(12000)
            soundfile.write(clips / f"{number}.mp3", sound, 16000)
            known.append(f"v{number}\t{number}.mp3\tsatz {number} von vielen")
            pairs.append(f"{number}.mp3\tsentence {number} of many\ttrain")
        (root / "common_voice" / locale / "validated.tsv").write_text("\n".join(known) + "\n")
        (root / "covost2" / f"covost_v2.{locale}_en.tsv").write_text("\n".join(pairs) + "\n")
    (root / "wikimatrix").mkdir()
    lines = ["source\ttarget\tsource_lang\ttarget_lang"]
    lines += [f"der satz {number}\tthe sentence {number}\tde\ten" for number in range(10)]
    (root / "wikimatrix" / "pairs.tsv").write_text("\n".join(lines) + "\n")
    save(root / "speech", ENCODERS["w2v-bert"])
    for name, build in (("qwen3", qwen3), ("mt5", mt5)):
        torch.manual_seed(0)
        build().eval().save_pretrained(root / name)
        character_tokenizer("$A [SEP]").save_pretrained(root / name)
    return root


@pytest.mark.parametrize(
    ("name", "backbone"), [("covost2_qwen3_0.6b", "qwen3"), ("covost2_mt5_base", "mt5")]
)
def test_a_config_trains(world, tmp_path, name, backbone):
    told = [
        f"model.start={world / backbone}",
        f"model.fit.encoder={world / 'speech'}",
        "model.fit.units=5",
        "model.fit.hours=0.002",
        f"data.seeds.covost2.manifest={world / 'covost2'}",
        f"data.seeds.covost2.audio_root={world / 'common_voice'}",
        f"data.texts.wikimatrix.uri={world / 'wikimatrix/*.tsv'}",
        "data.held_out=2",
        "optimiser.steps=2",
        "optimiser.batch=6",
        "optimiser.chunk=3",
        "work.device=cpu",
    ]
    path = str(CONFIGS / f"{name}.yaml")
    assert "NEVER RUN AT FULL SCALE" in Path(path).read_text(encoding="utf-8")
    lines: list[str] = []
    outcome = train(load_training(path, told, str(tmp_path / "out")), lines.append)
    settings = json.loads((outcome.model / "dual_encoder.json").read_text())
    assert settings["audio_units"] == 5
    assert settings["prefix"] == "[{language} {modality}] "
    assert settings["languages"] == ["deu", "eng", "fra", "swe"]
    coverage = outcome.report["data"]["seeds"]["covost2"]["languages"]
    assert sorted(coverage) == ["deu", "fra", "swe"]
    assert any("deu" in line and "8" in line for line in lines)  # printed, too
    assert {one["lang"] for one in outcome.report["judged"]} == {"deu", "fra", "swe"}


def test_without_a_gpu_one_line_says_so(world, tmp_path, mining):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = mining(
        "train", "--config", CONFIGS / "covost2_mt5_base.yaml", "--output", tmp_path / "out",
        "--set", f"model.start={world / 'mt5'}",
    )  # fmt: skip
    assert done.code == 4
    assert "GPU" in done.err
    assert len(done.err.strip().splitlines()) == 1
