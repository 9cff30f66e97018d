"""calibration.json is stable, and a threshold is taken with its conditions in view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mining.contract.errors import ConfigError, DatasetError, InputError
from mining.evaluate.calibration import (
    Conditions,
    Threshold,
    lookup,
    read_calibration,
    write_calibration,
)
from mining.evaluate.gold import PairKey
from mining.io.filesystem import Storage

STORAGE = Storage()
HERE = Conditions(margin="ratio", k=4, src_pool_size=1000, tgt_pool_size=2000)
DEU = PairKey(src_lang="deu", tgt_lang="eng")
CYM = PairKey(src_lang="cym", tgt_lang="eng")
EVERY = PairKey(src_lang="*", tgt_lang="*")
SAME = PairKey(src_lang="=", tgt_lang="=")


def entry(key: PairKey = DEU, target: float | None = 0.9, threshold: float | None = 1.1, **at):
    return Threshold(
        key=key,
        conditions=replace(HERE, **at),
        target=target,
        threshold=threshold,
        precision=0.91,
        low=0.85,
        high=0.95,
        recall=0.8,
        mined=100,
        golds=120,
    )


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path):
    entries = [
        entry(EVERY),
        entry(target=None),
        entry(),
        entry(target=0.95, threshold=None),
        entry(k=16),
    ]
    one, other = str(tmp_path / "one.json"), str(tmp_path / "other.json")
    write_calibration(one, entries, STORAGE)
    write_calibration(other, reversed(entries), STORAGE)
    assert Path(one).read_bytes() == Path(other).read_bytes()
    assert set(read_calibration(one, STORAGE)) == set(entries)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema": 2, "thresholds": []}', '{"schema": 1, "thresholds": [{}]}']
)
def test_a_damaged_calibration_is_named(tmp_path: Path, text: str):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(DatasetError, match=r"c\.json.*calibrate again"):
        read_calibration(str(tmp_path / "c.json"), STORAGE)


def test_a_missing_calibration_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"c\.json"):
        read_calibration(str(tmp_path / "c.json"), STORAGE)


def test_the_same_conditions_warn_of_nothing():
    found = lookup([entry(EVERY, threshold=1.3), entry()], DEU, HERE, 0.9)
    assert (found.threshold, found.warnings) == (1.1, ())


def test_a_language_pair_without_its_own_takes_the_pooled_and_says_so():
    found = lookup([entry(EVERY, threshold=1.3), entry()], CYM, HERE, 0.9)
    assert found.threshold == 1.3
    assert [w for w in found.warnings if "cym-eng" in w and "pooled" in w]


@pytest.mark.parametrize(
    ("here", "words"),
    [
        ({"k": 16}, ["k=4"]),
        ({"src_pool_size": 2001}, ["1000 source"]),
        ({"tgt_pool_size": 999}, ["2000 target"]),
        ({"src_pool_size": 0, "k": 8}, ["k=4", "1000 source"]),
        ({"src_pool_size": 2000, "tgt_pool_size": 1000}, []),
    ],
)
def test_other_conditions_warn(here: dict[str, int], words: list[str]):
    found = lookup([entry()], DEU, replace(HERE, **here), 0.9)
    assert len(found.warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, found.warnings, strict=True))


def test_the_entry_of_nearest_conditions_is_taken():
    entries = [
        entry(k=16, threshold=1.0),
        entry(src_pool_size=90_000, threshold=1.2),
        entry(src_pool_size=1500, threshold=1.3),
    ]
    assert lookup(entries, DEU, HERE, 0.9).threshold == 1.3
    assert lookup(entries, DEU, replace(HERE, src_pool_size=80_000), 0.9).threshold == 1.2
    assert lookup(entries, DEU, replace(HERE, k=16), 0.9).threshold == 1.0


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "has none"),
        ([entry(margin="distance")], "ratio threshold for precision 0.9"),
        ([entry(target=None), entry(target=0.8)], "precision 0.9"),
        ([entry(replace(DEU, src_modality="speech"))], "has none"),
        (
            [replace(entry(threshold=None), reason="no threshold reaches it"), entry(EVERY)],
            "no threshold reaches it",
        ),
    ],
)
def test_no_threshold_is_an_error_that_says_why(entries: list[Threshold], message: str):
    with pytest.raises(ConfigError, match=f"deu-eng.*{message}"):
        lookup(entries, DEU, HERE, 0.9)


SPEECH = PairKey(src_modality="speech", src_lang="deu", tgt_lang="eng")
LOWER = "speech-text deu-eng: calibrated on text against text; transcripts and speech score lower"


def test_speech_without_a_calibration_takes_that_of_text_and_says_so():
    found = lookup([entry(), entry(EVERY, threshold=1.3)], SPEECH, HERE, 0.9)
    assert found.threshold == 1.1
    assert [warning.startswith(LOWER) for warning in found.warnings] == [True]
    found = lookup([entry(EVERY, threshold=1.3)], SPEECH, HERE, 0.9)
    assert found.threshold == 1.3
    assert [("pooled" in w, w.startswith(LOWER)) for w in found.warnings] == [
        (False, True),
        (True, False),
    ]


def test_speech_takes_its_own_calibration_where_there_is_one():
    own = entry(replace(EVERY, src_modality="speech"), threshold=1.05)
    found = lookup([entry(), own], SPEECH, HERE, 0.9)
    assert found.threshold == 1.05
    assert not any("text against text" in warning for warning in found.warnings)


def test_a_language_with_itself_takes_what_is_pooled_over_such():
    entries = [entry(EVERY, threshold=1.3), entry(SAME, threshold=1.2)]
    itself = PairKey(src_lang="cym", tgt_lang="cym")
    assert lookup(entries, itself, HERE, 0.9).threshold == 1.2
    assert lookup(entries, CYM, HERE, 0.9).threshold == 1.3
    assert lookup(entries[:1], itself, HERE, 0.9).threshold == 1.3


def test_of_the_best_f1_another_is_a_start_where_gold_was_too_little():
    none = replace(entry(target=None, threshold=None), reason="no threshold reaches it")
    pooled = entry(EVERY, target=None, threshold=1.3)
    found = lookup([none, pooled], DEU, HERE, None)
    assert found.threshold == 1.3
    assert any("pooled" in warning for warning in found.warnings)
    with pytest.raises(ConfigError, match="no threshold reaches it"):
        lookup([none], DEU, HERE, None)
