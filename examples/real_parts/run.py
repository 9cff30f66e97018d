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
import sys
from pathlib import Path

from commands import mining
from job import Job
from judged import judged
from parts import lower_layers
from rows import TEACHER, Start, write_start
from seeds import languages, write_people, write_synthetic, write_texts
from sizes import SIZES
from table import write_table
from tokens import letters_of, units_of
from trainings import phase_training


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
        tokens = letters_of(job)
    else:
        start = job.own / "start"
        if not start.is_dir():
            training = phase_training(job, job.size.phases[0], backbone, None)
            made_of = Start(backbone=backbone, units=units_of(job), name=job.own.name)
            write_start(made_of, training, start, print)
    for phase in job.size.phases:
        phase_training(job, phase, start, tokens)
        mining("train", job.own / f"{phase.name}.yaml")
        start, tokens = job.own / phase.name / "model", None
    figures = {job.own.name: judged(job, job.own, None, start)}
    if job.recogniser is not None:
        figures["cascade"] = judged(job, job.shared / "cascade", job.recogniser, TEACHER)
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
        packages, langs = job.data / "text/packages", languages(people)
        print(write_texts(packages, langs, job.size.texts, partial), "text pairs")
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


if __name__ == "__main__":
    main()
