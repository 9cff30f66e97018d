"""Figures against those that were counted by hand."""

import numpy as np
import pytest


@pytest.fixture
def case(example, units_of):
    corpus, judging, lessons = example("corpus"), example("judging"), example("lessons")
    said = [("il bosco", "the wood"), ("la strada", ""), ("la notte", "the night")]
    heard = lessons.Heard(
        lang="ita",
        units=[units_of("il bosko"), units_of("la strata"), np.zeros(40, np.int16)],
        said=[corpus.Sentence(*one) for one in said],
    )
    others = [corpus.Sentence("il mare", "the sea"), corpus.Sentence("il bosco", "the wood")]
    return judging.Case(kind="clips", heard=heard, others=others)


def test_shared_letters_find_what_was_heard_right(example, case):
    own, english = example("judging").shared_letters(case)
    assert (own.target, own.queries, own.pool) == ("own", 3, 4)
    assert own.recall == pytest.approx(2 / 3)  # nothing was heard of the third
    assert (english.target, english.queries, english.pool) == ("eng", 2, 3)
    assert english.recall == 0


def test_a_model_is_judged_by_its_nearest_text(example, case, card, tmp_path):
    judging = example("judging")
    model = example("tower").new_encoder(card, tmp_path, "spelling", 0)
    own, _ = judging.judged(model, case)
    assert own.recall == pytest.approx(2 / 3)


def test_speech_without_letters_is_no_case(example, case):
    judging = example("judging")
    silent = [np.zeros(9, np.int16)] * 3
    heard = example("lessons").Heard(lang="ita", units=silent, said=case.heard.said)
    assert judging.shared_letters(judging.Case(kind="clips", heard=heard, others=[])) == []


def test_table_gives_means_and_ranges(example, tmp_path, case):
    judging, table = example("judging"), example("table")
    (tmp_path / "results").mkdir()
    base = {"lang": "ita", "kind": "synthetic", "target": "own", "queries": 500, "pool": 500}
    for name, recalls in (("none", (0.1, 0.2)), ("parallel", (0.5, 0.7))):
        for seed, recall in enumerate(recalls):
            row = judging.Judged(**base, recall=recall, by_length=0.002)
            judging.write_judged(tmp_path / f"results/without-{name}-spelling-{seed}.tsv", [row])
    row = judging.Judged(**base, recall=0.9, by_length=0.002)
    judging.write_judged(tmp_path / "results/with-parallel-own-0.tsv", [row])
    judging.write_judged(tmp_path / "results/letters-without.tsv", [row])
    table.write_table(tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert "| none | tied | 15 (10-20) |" in lines
    assert "| parallel | tied | 60 (50-70) |" in lines
    assert "| topline | separate | 90 |" in lines
    assert "| letters (without own speech) |  | 90 |" in lines
    assert "| length only | | 0.2 |" in lines
    assert len((tmp_path / "results.tsv").read_text().splitlines()) == 7
