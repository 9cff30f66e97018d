"""What is said to people."""

from beam_jobs.progress import one_of_each_kind


def test_warnings_that_differ_in_numbers_only_are_one():
    said = [
        ("deu-eng", "deu-eng: 1 of 45 gold meanings are missing"),
        ("deu-eng", "deu-eng: no threshold"),
        ("fra-eng", "fra-eng: 12 of 40 gold meanings are missing"),
        ("ita-eng", "ita-eng: 3 of 45 gold meanings are missing"),
    ]
    assert one_of_each_kind(said) == (
        "deu-eng: 1 of 45 gold meanings are missing (and 2 more language pairs)",
        "deu-eng: no threshold",
    )
    assert one_of_each_kind([]) == ()
