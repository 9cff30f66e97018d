"""What does knowledge of text give a language without speech?

    python examples/unseen_language/run.py DATA OUT [--seeds 3] [--minutes 30] [--jobs 2]

DATA is laid out as in ``examples/evaluation/README.md``, with ``prompts/``, and with parallel text in
``text/packages/<source>/<lang>.tsv.gz``. Writes ``OUT/results.tsv``, ``OUT/table.md`` and, where
matplotlib is installed, ``OUT/plot.svg``. Every piece that is there already is not made again, so
a run that was stopped goes on; ``--minutes`` is when it stops by itself.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pieces
import torch
from pieces import Places
from table import write_table

Piece = partial[None]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=30.0, help="start nothing after that")
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    told = parser.parse_args()
    places = Places(data=told.data.absolute(), output=told.output.absolute())
    places.output.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * told.minutes
    stages = (
        pieces.speech(places),
        pieces.hearing(places),
        pieces.encoders(places, told.seeds),
    )
    for stage in stages:
        if not _done(stage, told.jobs, until, places.output / "seconds.tsv"):
            raise SystemExit(f"{told.minutes:g} minutes are over; run the same command to go on")
    write_table(places.output)
    print((places.output / "table.md").read_text(encoding="utf-8"))


def _done(stage: Sequence[Piece], jobs: int, until: float, log: Path) -> bool:
    """Run pieces, several at a time; whether all of them were."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes that start below
    waiting, running = list(stage), dict[Future[float], Piece]()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as processes:
        while waiting or running:
            while waiting and len(running) < jobs and time.monotonic() < until:
                piece = waiting.pop(0)
                running[processes.submit(_timed, piece)] = piece
            if not running:
                return False
            done = next(as_completed(running))
            piece = running.pop(done)
            name = " ".join(map(str, piece.args[1:]))
            line = f"{piece.func.__name__}\t{name}\t{done.result():.1f}\n"
            with log.open("a", encoding="utf-8") as file:
                file.write(line)
            print(line, end="", flush=True)
    return True


def _timed(piece: Piece) -> float:
    """Seconds of the processor that a piece takes."""
    torch.set_num_threads(1)
    began = time.process_time()
    piece()
    return time.process_time() - began


if __name__ == "__main__":
    main()
