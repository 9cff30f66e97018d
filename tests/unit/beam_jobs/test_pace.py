"""What is said of speed and time left."""

from beam_jobs.pace import duration, often, pace


def test_speed_is_told_in_the_unit_that_people_would_take():
    assert [often(rate) for rate in (320.4, 3.14, 0.2, 0.001)] == [
        "320 a second", "3.1 a second", "12 a minute", "3.6 an hour",
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (4.2, 119, 121, 7100, 12600)] == [
        "4 s", "119 s", "2 min", "118 min", "3.5 h",
    ]  # fmt: skip


def test_nothing_is_said_before_it_is_known():
    assert pace(2.0, 60) == "2.0 a second, about 30 s left"
    assert pace(0.0, 60) == pace(2.0, 0) == ""
