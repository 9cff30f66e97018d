from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from mining.config.model import Mining
from mining.contract.errors import ConfigError
from mining.score import PRESETS, ScoreSettings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"k": 0}, "k: must be from 1"),
        ({"k": 1025}, "1024"),
        ({"k": 4, "speech_k": 3}, "speech_k: must be from k = 4 to 16384, or None, but is 3"),
        ({"speech_k": 16385}, "speech_k: must be"),
        ({"margin": "rato"}, "margin: must be one of .*'ratio'.* but is 'rato'"),
        ({"select": "best"}, "select: must be one of"),
        ({"best": "first"}, "best: must be one of"),
        ({"threshold": float("nan")}, "threshold: must be a number"),
        ({"score_max": float("nan")}, "score_max: must be a number"),
    ],
)
def test_settings_out_of_range_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        ScoreSettings(**fields)


def test_settings_given_beside_a_preset_win():
    assert ScoreSettings.preset("stopes", k=8, threshold=1.2) == ScoreSettings(
        k=8, margin="ratio", select="union", threshold=1.2, score_max=1.25, best="nearest"
    )


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"\['laser', .*, 'stopes'\], but is 'lasr'"):
        ScoreSettings.preset("lasr")


def test_speech_is_searched_for_more_neighbours():
    assert ScoreSettings(k=5).neighbors(of_speech=False) == 5
    assert ScoreSettings(k=5).neighbors(of_speech=True) == 80
    assert ScoreSettings(k=5, speech_k=7).neighbors(of_speech=True) == 7
    assert ScoreSettings(k=1024).neighbors(of_speech=True) == 16384


def test_a_config_may_name_every_preset():
    (names,) = (
        get_args(kind) for kind in get_args(get_type_hints(Mining)["preset"]) if get_args(kind)
    )
    assert sorted(names) == sorted(PRESETS)
