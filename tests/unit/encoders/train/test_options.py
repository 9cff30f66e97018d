"""Every option, set by config alone, changes what is learned: none is inert."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from encoders.audio_tokens.lexicon import SCHEMA, write_lexicon
from encoders.train.config import (
    FitLetters,
    FitUnits,
    Lora,
    Loss,
    Model,
    Optimiser,
    Orthography,
    Teacher,
)
from encoders.train.figures import read_figures
from encoders.train.run import train
from tests.unit.encoders.audio_tokens.conftest import ENCODERS, save
from tests.unit.encoders.conftest import save_bert
from tests.unit.encoders.dual.conftest import save_ctc, save_kmeans
from tests.unit.encoders.train.world import save_backbone, training

CTC = ("model.audio_tokenizer={folder}/ctc",)
FIT = (
    "model.audio_tokenizer=null",
    "model.fit={{encoder: '{folder}/hubert', units: 5, hours: 0.001}}",
)
LETTERS = (
    "model.audio_tokenizer=null",
    "data.held_out=0",
    "data.seeds.clips.manifest={folder}/short.tsv",
    "data.seeds.more.manifest={folder}/shorter.tsv",
    "model.fit_letters={{width: 16, blocks: 2, steps: 2, batch_s: 3, warm_up: 1}}",
)
STATES = (
    *LETTERS[:-1],
    "model.fit_letters={{encoder: '{folder}/hubert', width: 16, blocks: 1, steps: 2, batch_s: 3}}",
)
LORA = ("model.train=[lora, audio, projection]", "model.lora={{rank: 4}}")
TEACHER = ("loss.teacher={{path: '{folder}/teacher'}}", "model.dim=32")
SPELT = (*CTC, "model.start=builtin", "model.dim=null", "model.tie=null", "model.orthography={{}}")
ALIKE = ("data.texts.pairs.uri={folder}/alike.tsv", "data.transcribe=0", "data.translate=0")

# option: (what the base is given, what the option is set to)
CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "model.start": ((), "{folder}/other"),
    "model.audio_tokenizer": ((), "{folder}/nine"),
    "model.tie": (CTC, "spelling"),
    "model.merge_repeats": ((), "false"),
    "model.pooling": ((), "cls"),
    "model.dim": ((), "12"),
    "model.prefix": ((), "'{{language}}: '"),
    "model.max_tokens": ((), "40"),
    "model.train": ((), "[audio, projection]"),
    "model.fit.encoder": (FIT, "{folder}/wavlm"),
    "model.fit.layer": (FIT, "0"),
    "model.fit.units": (FIT, "4"),
    "model.fit.rate_hz": (FIT, "10"),
    "model.fit.hours": (FIT, "1"),
    "model.fit_letters.encoder": (LETTERS, "{folder}/hubert"),
    "model.fit_letters.layer": (STATES, "0"),
    "model.fit_letters.width": (LETTERS, "24"),
    "model.fit_letters.blocks": (LETTERS, "1"),
    "model.fit_letters.steps": (LETTERS, "3"),
    "model.fit_letters.batch_s": (LETTERS, "1"),
    "model.fit_letters.rate": (LETTERS, "0.1"),
    "model.fit_letters.warm_up": (LETTERS, "2"),
    "model.fit_letters.shares": (LETTERS, "{{clips: 1}}"),
    "model.fit_letters.language_power": (LETTERS, "0"),
    "model.fit_letters.strength": (LETTERS, "1"),
    "model.fit_letters.lexicon": (LETTERS, "{folder}/lexicon.parquet"),
    "model.lora.rank": (LORA, "2"),
    "model.lora.alpha": (LORA, "300"),
    "model.lora.dropout": (LORA, "0.5"),
    "model.lora.targets": (LORA, "[query]"),
    "model.orthography.width": (SPELT, "8"),
    "model.orthography.written_share": (SPELT, "0.5"),
    "model.orthography.heard_share": (SPELT, "0.5"),
    "loss.margin": ((), "0.3"),
    "loss.scale": ((), "5"),
    "loss.learn_scale": ((), "false"),
    "loss.spread": ((), "0.5"),
    "loss.softmax": ((), "0.5"),
    "loss.mask_same": (ALIKE, "false"),
    "loss.teacher": (("model.dim=32",), "{{path: '{folder}/teacher'}}"),
    "loss.teacher.path": (TEACHER, "{folder}/teacher2"),
    "loss.teacher.weight": (TEACHER, "3"),
    "optimiser.steps": ((), "3"),
    "optimiser.batch": ((), "6"),
    "optimiser.chunk": ((), "3"),
    "optimiser.rate": ((), "2e-3"),
    "optimiser.audio_rate": ((), "0.1"),
    "optimiser.warm_up": ((), "2"),
    "optimiser.decay": ((), "0.5"),
    "optimiser.clip": ((), "0"),
    "optimiser.precision": ((), "bfloat16"),
    "data.transcribe": ((), "3"),
    "data.translate": ((), "3"),
    "data.text": ((), "3"),
    "data.language_power": ((), "0"),
    "data.garble": ((), "1"),
    "data.held_out": ((), "0"),
    "seed": ((), "5"),
}
# fit and lora are given by their fields; the rest names things, and is tested where runs are
ELSEWHERE = {
    "model.revision", "model.name", "model.space", "model.fit.revision", "model.fit",
    "model.fit_letters", "model.fit_letters.revision", "model.lora", "model.orthography",
}  # fmt: skip


@dataclass(frozen=True)
class Learned:
    """What a run came to: losses of the steps, weights, settings of the result."""

    losses: list[tuple[float, float]]
    weights: str
    heard: str
    settings: dict[str, object]


@pytest.fixture(scope="module")
def learn(training_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Learned]:
    folder = training_world
    save_backbone(folder / "other", layers=1)
    save_ctc(folder / "ctc")
    save_kmeans(folder / "nine", units=9)
    for name in ("hubert", "wavlm"):
        save(folder / name, ENCODERS[name])
    save_bert(folder / "teacher")
    save_bert(folder / "teacher2", seed=9)
    words = pa.table(
        [["deu"], ["Abc"], ["abc"], pa.array([-1.0], pa.float32())], names=SCHEMA.names
    )
    write_lexicon(words, folder / "lexicon.parquet")
    header, *rows = (folder / "clips.tsv").read_text().splitlines()
    said = ["abc", "cab", "bad", "dab", "add"]
    rows = [row.split("\t") for row in rows]
    for name, kept in (("short", rows), ("shorter", rows[::2])):
        lines = [
            "\t".join([*row[:2], said[number % 5], *row[3:]]) for number, row in enumerate(kept)
        ]
        (folder / f"{name}.tsv").write_text("\n".join([header, *lines]) + "\n")
    known: dict[tuple[str, ...], Learned] = {}

    def run(*overrides: str) -> Learned:
        if overrides not in known:
            output = tmp_path_factory.mktemp("run")
            told = [override.format(folder=folder) for override in overrides]
            outcome = train(training(folder, output, *told), lambda line: None)
            steps = [line for line in read_figures(output) if line["kind"] == "step"]
            digest, heard = hashlib.sha256(), hashlib.sha256()
            kept = [*outcome.model.rglob("*.safetensors"), *outcome.model.rglob("lexicon.parquet")]
            for path in sorted(kept):
                part = heard if "audio_tokenizer" in path.parts else digest
                part.update(path.read_bytes())
            known[overrides] = Learned(
                losses=[(line["loss"], line["gradient"]) for line in steps],
                weights=digest.hexdigest(),
                heard=heard.hexdigest(),
                settings=json.loads((outcome.model / "dual_encoder.json").read_text()),
            )
        return known[overrides]

    return run


def test_every_option_has_a_case() -> None:
    options = {f"data.{name}" for name in ("transcribe", "translate", "text", "language_power")}
    options |= {"data.garble", "data.held_out", "seed"}
    kinds = {
        "model": Model, "model.fit": FitUnits, "model.fit_letters": FitLetters, "model.lora": Lora,
        "model.orthography": Orthography, "loss": Loss, "loss.teacher": Teacher, "optimiser": Optimiser,
    }  # fmt: skip
    for prefix, kind in kinds.items():
        options |= {f"{prefix}.{field.name}" for field in dataclasses.fields(kind)}
    assert options == {*CASES, *ELSEWHERE}


@pytest.mark.parametrize("option", sorted(CASES.keys() - ELSEWHERE))
def test_an_option_changes_what_is_learned(learn: Callable[..., Learned], option: str) -> None:
    given, value = CASES[option]
    base, changed = learn(*given), learn(*given, f"{option}={value}")
    assert base == learn(*given)
    if option.startswith("model.fit_letters"):
        assert base.heard != changed.heard
    else:
        assert base.losses != changed.losses or base.weights != changed.weights
    if option == "model.fit_letters.lexicon":
        return  # of use only where letters are read as text: see the tests of Wording
    assert base.weights != changed.weights
