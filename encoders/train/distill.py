"""Train the text part of builtin: a word bag that learns the embeddings of USE multilingual.

    python -m encoders.train.distill --data DIR --extra DIR --out DIR --minutes 40 --seed 0

The student starts from random numbers; the teacher's vectors of English sentences are all that it
learns from (Reimers and Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual using
Knowledge Distillation"; Heffernan et al. 2022, "Bitext Mining Using Distilled Sentence
Representations for Low-Resource Languages").
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.dual.config import DualEncoderConfig
from encoders.dual.create_wordbag import dual_wordbag
from encoders.train.distill_corpus import Corpus, Ints, build_corpus
from encoders.train.distill_data import LANGUAGES, load_rows, word_rows
from encoders.train.gloss import Glossary, with_glosses
from encoders.train.student import LossSettings, Noise, Student, distillation_loss
from encoders.train.teacher import Teacher
from encoders.use_multilingual import SPACE
from encoders.wordbag.model import WordBagConfig, WordBagModel
from encoders.wordbag.quantise import quantise_rows
from mining.threads import torch_threads

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast.

    Attributes:
        minutes: of wall clock.
        steps: instead of minutes, if not 0: the same run on a slower machine.
        batch: B, pairs of a step.
        table_rate: of the table's Adam at its highest; falls linearly to a fiftieth.
        head_rate: of the head's Adam, likewise.
        warm_up: steps until the highest rate.
        quantised_from: part of the time after which the table is rounded to 4 bits.
        glosses: part of a batch whose text is a word-by-word gloss.
        joined: part of a batch that is followed by a second text of its language.
        bfloat16: whether matrix products are; two to four times as fast where the processor has
            them (AVX-512 BF16).
    """

    minutes: float = 0.0
    steps: int = 0
    batch: int = 1024
    table_rate: float = 4e-3
    head_rate: float = 1.5e-3
    warm_up: int = 60
    quantised_from: float = 0.7
    glosses: float = 0.12
    joined: float = 0.3
    bfloat16: bool = True


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The teacher's vectors, float16 [Y, 512], and which of them each row has, int64 [R]."""

    vectors: NDArray[np.float16]
    of_row: Ints


def train(
    corpus: Corpus,
    targets: Targets,
    config: WordBagConfig,
    schedule: Schedule,
    seed: int,
    watch: Callable[[Student, float], None] | None = None,
) -> Student:
    """Train for a while.

    Args:
        corpus: what to draw from.
        targets: what to learn.
        config: sizes.
        schedule: pace.
        seed: of weights and draws; by minutes, the wall clock decides the number of steps.
        watch: called every 100 steps with the part of the time that is over.
    """
    student, rng = Student(config, seed), np.random.default_rng(seed)
    optimiser = torch.optim.Adam(student.parameters(), lr=0.0, betas=(0.9, 0.99))
    glossary, chances = Glossary(corpus), np.cumsum(corpus.chance)
    began, step, done, smooth = time.monotonic(), 0, 0.0, 0.0
    while done < 1.0:
        pace = min(1.0, (step + 1) / schedule.warm_up) * max(0.02, 1 - done)
        rows = np.searchsorted(chances, rng.random(schedule.batch) * chances[-1])
        rows = rows[np.argsort(glossary.langs[rows], kind="stable")]
        joined = _joined(glossary.langs[rows], schedule.joined, rng)
        optimiser.param_groups[0]["lr"] = schedule.head_rate * pace
        optimiser.zero_grad()
        tokens = _draw_tokens(corpus, glossary, rows, joined, schedule.glosses, rng)
        quantised = done > schedule.quantised_from
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=schedule.bfloat16):
            vectors, used, leaf = student.embed(
                corpus, tokens, quantised=quantised, noise=Noise(), rng=rng
            )
            loss = _loss(student, corpus, targets, rows, joined, vectors)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if leaf.grad is not None:
            student.rows.step(used, leaf.grad, schedule.table_rate * pace)
        step += 1
        smooth += (loss.item() - smooth) / min(step, 100)
        done = _done(schedule, step, time.monotonic() - began)
        if step % 100 == 0:
            _LOG.info("step %d, %.0f %%, loss %.3f", step, 100 * done, smooth)
            if watch is not None:
                watch(student, done)
    return student


def _done(schedule: Schedule, step: int, seconds: float) -> float:
    """Part of the schedule that is over."""
    return step / schedule.steps if schedule.steps else seconds / (60 * schedule.minutes)


def _joined(langs: Ints, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which rows of a batch, sorted by language, the next one is joined to [B]."""
    chosen = rng.random(len(langs)) < share
    chosen[:-1] &= langs[:-1] == langs[1:]
    chosen[-1] = False
    return chosen


def _draw_tokens(
    corpus: Corpus,
    glossary: Glossary,
    rows: Ints,
    joined: NDArray[np.bool_],
    glosses: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], Ints]:
    """Tokens of the batch, B texts and then their B English sides, and where each begins."""
    chosen = rng.random(len(rows)) < glosses
    text, starts = _join(
        *with_glosses(glossary, corpus.tokens, corpus.text[rows], rows, chosen, rng), joined
    )
    english, english_starts = _join(*corpus.tokens.take(corpus.english[rows]), joined)
    return np.concatenate([text, english]), np.concatenate([starts, len(text) + english_starts])


def _join(
    tokens: NDArray[np.int32], starts: Ints, joined: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], Ints]:
    """Lists end to end; a joined one is followed by a copy of the next."""
    sizes = np.diff(np.append(starts, len(tokens)))
    sizes = sizes + np.where(joined, np.roll(sizes, -1), 0)
    begins = np.cumsum(sizes) - sizes
    return tokens[np.arange(sizes.sum()) + np.repeat(starts - begins, sizes)], begins


def _loss(
    student: Student,
    corpus: Corpus,
    targets: Targets,
    rows: Ints,
    joined: NDArray[np.bool_],
    vectors: torch.Tensor,
) -> torch.Tensor:
    """Loss of a batch; the target of joined texts is the mean of both, weighted by their length."""
    english = corpus.english[rows]
    wanted = targets.vectors[targets.of_row[rows]].astype(np.float32)
    sizes = corpus.tokens.offsets[english + 1] - corpus.tokens.offsets[english]
    weighted = wanted * sizes[:, None]
    wanted[joined] = (weighted + np.roll(weighted, -1, axis=0))[joined]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    same = (english[:, None] == english[None, :]) & ~(joined[:, None] | joined[None, :])
    np.fill_diagonal(same, False)
    text, read = vectors[: len(rows)], vectors[len(rows) :]
    return distillation_loss(
        student, text, read, torch.from_numpy(wanted), torch.from_numpy(same), LossSettings()
    )


def targets_of(corpus: Corpus, teacher: Teacher) -> Targets:
    """The teacher's vectors of every English text in the corpus."""
    ids, first, inverse = np.unique(corpus.english, return_index=True, return_inverse=True)
    texts = [corpus.rows[row].english for row in first]
    _LOG.info("teacher: %d texts", len(ids))
    return Targets(vectors=teacher.embed(texts, label="all"), of_row=inverse)


def save(student: Student, keys: NDArray[np.uint32], folder: Path) -> None:
    """Write a dual encoder that does not hear yet."""
    model = WordBagModel(student.config)
    model.head.load_state_dict(student.head.state_dict())
    model.keys = torch.from_numpy(keys.view(np.int32).copy())
    model.table, model.scales = quantise_rows(student.table)
    config = DualEncoderConfig(
        name="builtin", space=SPACE, languages=tuple(sorted(LANGUAGES)), licence="Apache-2.0"
    )
    dual_wordbag(model, config, None, None).save_pretrained(folder)


def main() -> None:
    """Run the whole training from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with text/packages")
    parser.add_argument("--extra", type=Path, help="folder of archives, see lexicons.py")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--refuse", type=Path, nargs="*", default=[], help="more text to refuse")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--steps", type=int, default=0, help="instead of minutes")
    parser.add_argument("--rows", type=int, default=300_000, help="features in the table")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_flush_denormal(True)
    began = time.monotonic()
    refused = [*sorted((options.data / "text/ntrex").glob("newstest*.txt")), *options.refuse]
    rows = load_rows(options.data, options.extra, refused)
    if options.extra:
        rows += word_rows(options.extra, options.seed)
    corpus = build_corpus(rows, options.rows)
    targets = targets_of(corpus, Teacher(options.out / "teacher"))
    _LOG.info("prepared in %.1f minutes", (time.monotonic() - began) / 60)
    config = WordBagConfig(rows=len(corpus.keys))
    schedule = Schedule(minutes=options.minutes, steps=options.steps)
    with torch_threads(1):
        student = train(corpus, targets, config, schedule, options.seed)
    save(student, corpus.keys, options.out)
    _LOG.info("all in %.1f minutes", (time.monotonic() - began) / 60)


if __name__ == "__main__":
    main()
