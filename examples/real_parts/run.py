"""The paper's method on real pretrained parts, from recordings to a table.

    python examples/real_parts/run.py DATA SPEECH WHISPER BACKBONE OUT [--size small]

DATA is laid out as in ``examples/evaluation/README.md``, SPEECH is what ``examples/builtin_ears``
wrote (``people.tsv``, ``synthetic.tsv``), WHISPER and BACKBONE are Hugging Face folders of
``examples/weights_without_a_hub``. Writes ``OUT/table.md``. What is there already is not made again
and ``mining train`` goes on where it was, so the same command resumes a run that was stopped.

With ``--tokens letters`` the audio tokens are no k-means units with new rows, but letters that a
small recogniser learns to read off the same encoder; the words that they may be are read with the
backbone's own rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from choose_layer import best_layer
from parts import lower_layers, short_window
from rows import TEACHER, Start, write_start
from seeds import languages, write_people, write_synthetic, write_texts
from sizes import SIZES, Phase, Size
from table import write_table

import encoders
from encoders.load import describe_encoder
from encoders.train.config import Training, load_training
from encoders.train.letters_fit import fitted_letters
from encoders.train.units import fitted_units
from mining.speech.torch_threads import torch_threads

EXAMPLES = Path(__file__).resolve().parents[1]
LEXICON = Path(encoders.__file__).parent / TEACHER / "audio_tokenizer/lexicon.parquet"
_LAYER_CLIPS = 240
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for.

    Attributes:
        data: real recordings and texts.
        speech: folder of the manifests.
        whisper: speech encoder.
        backbone: text network.
        output: of everything; parts that backbones share are in ``shared``.
        size: see :class:`Size`.
        langs: of the training clips and the judged ones; none: all.
        tokens: ``units``: k-means; ``letters``: of a recogniser.
        recogniser: of the cascade; None: no cascade.
        threads: of torch.
        device: ``cpu`` or ``cuda``.
    """

    data: Path
    speech: Path
    whisper: Path
    backbone: Path
    output: Path
    size: Size
    langs: frozenset[str]
    tokens: str
    recogniser: Path | None
    threads: int
    device: str

    @property
    def shared(self) -> Path:
        """Seeds, units and what was heard: the same for every backbone."""
        return self.output / "shared"

    @property
    def own(self) -> Path:
        """Of this backbone and kind of tokens."""
        return self.output / f"{self.backbone.name}-{self.tokens}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("data", "speech", "whisper", "backbone", "output"):
        parser.add_argument(name, type=lambda text: Path(text).absolute())
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--langs", nargs="*", default=[], help="ISO 639-3 codes; none: all")
    parser.add_argument("--tokens", choices=("units", "letters"), default="units")
    parser.add_argument("--recogniser", type=Path, help="of the cascade beside it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    told = vars(parser.parse_args())
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    size, langs = SIZES[told.pop("size")], frozenset(told.pop("langs"))
    do(Job(**told, size=size, langs=langs))


def do(job: Job) -> None:
    """Everything, from the seeds to the table."""
    job.shared.mkdir(parents=True, exist_ok=True)
    job.own.mkdir(parents=True, exist_ok=True)
    _require_same(job)
    _seeds(job)
    backbone = _backbone(job)
    start, tokens = backbone, None
    if job.tokens == "letters":
        tokens = _letters(job)
    else:
        start = job.own / "start"
        if not start.is_dir():
            training = _config(job, job.size.phases[0], backbone, None)
            made_of = Start(backbone=backbone, units=_units(job), name=job.own.name)
            write_start(made_of, training, start, print)
    for phase in job.size.phases:
        _config(job, phase, start, tokens)
        _mining("train", job.own / f"{phase.name}.yaml")
        start, tokens = job.own / phase.name / "model", None
    figures = {job.own.name: _judged(job, job.own, None, start)}
    if job.recogniser is not None:
        figures["cascade"] = _judged(job, job.shared / "cascade", job.recogniser, TEACHER)
    write_table(figures, job.own / "table.md")
    print((job.own / "table.md").read_text(encoding="utf-8"))


def _require_same(job: Job) -> None:
    """Refuse an output that other seeds or units lie in."""
    asked = f"{job.size}\n{job.whisper}\n{' '.join(sorted(job.langs))}\n"
    path = job.shared / "asked.txt"
    if not path.is_file():
        path.write_text(asked, encoding="utf-8")
    if path.read_text(encoding="utf-8") != asked:
        raise SystemExit(
            f"{job.output}: must be of the same size, languages and speech encoder, but {path} says "
            "otherwise; give another output"
        )


def _seeds(job: Job) -> None:
    """Manifests of the training clips, and the text pairs."""
    people, synthetic = job.shared / "people.tsv", job.shared / "synthetic.tsv"
    longest_s = job.size.phases[-1].max_s
    if not people.is_file():
        print(write_people(job.speech / "people.tsv", job.langs, people), "clips of people")
    if not synthetic.is_file():
        count = write_synthetic(
            job.speech / "synthetic.tsv", job.langs, job.size.synthetic, longest_s, synthetic
        )
        print(count, "synthetic clips")
    texts = job.shared / "texts.tsv.gz"
    if not texts.is_file():
        partial = texts.with_name("partial.tsv.gz")
        print(write_texts(job.data / "text/packages", languages(people), partial), "text pairs")
        partial.rename(texts)


def _backbone(job: Job) -> Path:
    """The text network, its lower layers where the size asks for that."""
    layers = job.size.layers.get(job.backbone.name)
    if layers is None:
        return job.backbone
    folder = job.shared / f"{job.backbone.name}-{layers}"
    if not folder.is_dir():
        lower_layers(job.backbone, layers, folder)
    return folder


def _letters(job: Job) -> Path:
    """Letters read off the last layer of Whisper's encoder, and the words that they may be."""
    fit = {
        "encoder": str(job.whisper),
        "blocks": 6,
        "steps": job.size.letters,
        "warm_up": job.size.letters // 20,
        "shares": {"people": 0.5, "synthetic": 0.5},
        "lexicon": str(LEXICON),
    }
    model = {"start": str(job.backbone), "name": "whisper-letters", "fit_letters": fit}
    config = {**_base(job, job.shared / "fit"), "model": model, "data": {"seeds": _speech(job)}}
    training = _load(job.shared / "letters.yaml", config)
    with torch_threads(job.threads):
        return fitted_letters(training, job.shared / "letters", job.device, print)


def _units(job: Job) -> Path:
    """k-means units over the layer of Whisper's encoder that tells most of the letters."""
    encoder, layers = job.whisper, job.shared / "layers.tsv"
    if job.size.window_s < 30:
        encoder = job.shared / f"whisper-{job.size.window_s}s"
        if not encoder.is_dir():
            short_window(job.whisper, job.size.window_s, encoder)
    if not layers.is_file():
        script = str(EXAMPLES / "real_parts/choose_layer.py")
        _run(script, str(job.shared / "people.tsv"), str(encoder), str(layers), "--clips",
             str(_LAYER_CLIPS))  # fmt: skip
    fit = {
        "encoder": str(encoder),
        "layer": best_layer(layers),
        "units": job.size.units,
        "hours": job.size.fit_h,
    }
    config = {
        **_base(job, job.shared / "fit"),
        "model": {"start": str(job.backbone), "fit": fit},
        "data": {"seeds": {"people": {"manifest": str(job.shared / "people.tsv"), "max_s": 12.0}}},
    }
    training = _load(job.shared / "fit.yaml", config)
    return fitted_units(training, job.shared / "units", job.device, print)


def _speech(job: Job, max_s: float = 12.0) -> dict[str, dict[str, Any]]:
    """Seeds with speech; longer clips are left out."""
    names = ("people", "synthetic")
    return {name: {"manifest": str(job.shared / f"{name}.tsv"), "max_s": max_s} for name in names}


def _config(job: Job, phase: Phase, start: Path, tokens: Path | None) -> Training:
    """The config of a phase, written and read."""
    spelled = {
        "audio_tokenizer": str(tokens),
        "tie": "spelling",
        "dim": describe_encoder(TEACHER).dim,
        "max_tokens": 256,
    }
    size = job.size
    config = {
        **_base(job, job.own / phase.name),
        "model": {
            "start": str(start),
            "name": job.own.name,
            **(spelled if tokens is not None else {}),
            "train": ["projection", "lora"]
            if job.tokens == "letters"
            else ["audio", "projection", "lora"],
            "lora": {"rank": 16},
        },
        "data": {
            "seeds": _speech(job, phase.max_s),
            "texts": {"parallel": {"uri": str(job.shared / "texts.tsv.gz")}},
            "transcribe": 0.75,
            "translate": 0.1,
            "text": 0.15,
        },
        "loss": {"margin": 0.1, "teacher": {"path": TEACHER, "weight": 2.0}},
        "optimiser": {
            "steps": phase.steps,
            "batch": size.batch,
            "chunk": size.chunk,
            "rate": phase.rate,
            "audio_rate": 10 * phase.rate,
            "warm_up": phase.steps // 20,
            "precision": "bfloat16",
        },
    }
    return _load(job.own / f"{phase.name}.yaml", config)


def _base(job: Job, output: Path) -> dict[str, Any]:
    work = {
        "device": job.device,
        "threads": job.threads,
        "checkpoint_every": 50,
        "tensorboard": False,
        "cache": str(job.shared / "cache"),
    }
    return {"schema": 1, "output": str(output), "seed": _SEED, "work": work}


def _load(path: Path, config: dict[str, Any]) -> Training:
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return load_training(str(path))


def _judged(job: Job, folder: Path, recogniser: Path | None, model: Path | str) -> Path:
    """Figures of the held-out clips among texts of their own language that are as long."""
    figures = folder / "figures.parquet"
    if figures.is_file():
        return figures
    problem = folder / "judged"
    script = EXAMPLES / "evaluation/speech.py"
    hears = [] if recogniser is None else ["--recogniser", str(recogniser)]
    _run(str(script), "held_out", str(job.data), str(problem), *hears)
    config = yaml.safe_load((problem / "run.yaml").read_text(encoding="utf-8"))
    langs = [pair for pair in config["tasks"]["own"]["langs"] if _is_wanted(job, pair[:3])]
    for name, column in (("audio.tsv", 1), ("texts.tsv", 0)):
        _keep(problem / name, column, job)
    config["tasks"] = {"own": {**config["tasks"]["own"], "langs": langs}}
    config["model"] = {"path": str(model)}
    path = problem / "own.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    _mining("run", path)
    _mining("evaluate", path, "--table", str(figures))
    return figures


def _keep(path: Path, column: int, job: Job) -> None:
    """Leave out the rows of other languages, which would be embedded as well."""
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    kept = [row for row in rows if _is_wanted(job, row.split("\t")[column])]
    path.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")


def _is_wanted(job: Job, lang: str) -> bool:
    return not job.langs or lang in job.langs


def _mining(command: str, config: Path, *more: str) -> None:
    code = "from beam_jobs.cli import main; main()"
    _checked([sys.executable, "-c", code, command, "--config", str(config), *more])


def _run(*arguments: str) -> None:
    _checked([sys.executable, *arguments])


def _checked(command: list[str]) -> None:
    found = subprocess.run(command, check=False)
    if found.returncode:
        raise SystemExit(found.returncode)


if __name__ == "__main__":
    main()
