"""Pieces run in processes of their own, until the time is over."""

import math
import os
from functools import partial


def test_pieces_run_and_are_timed(example, tmp_path):
    pieces = [partial(os.mkdir, tmp_path / name) for name in ("a", "b", "c")]
    log = tmp_path / "seconds.tsv"
    assert example("run")._done(pieces, 2, math.inf, log)
    assert all((tmp_path / name).is_dir() for name in ("a", "b", "c"))
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    assert [line[0] for line in lines] == ["mkdir"] * 3
    assert all(0 <= float(line[2]) < 5 for line in lines)


def test_nothing_starts_after_the_time_is_over(example, tmp_path):
    pieces = [partial(os.mkdir, tmp_path / "a")]
    assert not example("run")._done(pieces, 1, -math.inf, tmp_path / "seconds.tsv")
    assert not (tmp_path / "a").exists()


def test_nothing_to_do_is_done(example, tmp_path):
    assert example("run")._done([], 1, -math.inf, tmp_path / "seconds.tsv")


def test_pieces_that_are_there_are_not_made_again(example, tmp_path):
    pieces = example("pieces")
    places = pieces.Places(data=tmp_path, output=tmp_path)
    every = pieces.encoders(places, 2)
    assert len(every) == 2 * (3 * 2 + 2)
    names = {"-".join(map(str, piece.args[1:])) for piece in every}
    assert "without-none-own-1" in names
    assert "with-parallel-spelling-0" in names
    done = places.results("without-none-own-1")
    done.parent.mkdir()
    done.touch()
    left = pieces.encoders(places, 2)
    assert len(left) == len(every) - 1


def test_an_unseen_language_is_heard_by_the_topline_only(example):
    pieces = example("pieces")
    without, with_own = pieces._heard_by(pieces.WITHOUT), pieces._heard_by(pieces.WITH)
    extra = set(with_own) - set(without)
    assert extra == {(lang, "synthetic-learned") for lang in example("corpus").UNSEEN}
    learned = {lang for lang, kind in without if kind.endswith("learned")}
    assert learned == set(example("corpus").SPOKEN)
    assert ("ita", "clips") in without
