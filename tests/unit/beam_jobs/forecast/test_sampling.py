"""Samples of a corpus: the same rows whatever the order, the smaller within the larger."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.forecast.sampling import Sample, hash_of, take_recordings
from beam_jobs.stages.listing import LISTED, Listing
from mining.contract.schemas import REJECT

langs = st.lists(st.sampled_from(["deu", "eng", "fra"]), max_size=80)


def drawn(
    order: list[tuple[int, str]], fraction: float, least: int
) -> list[tuple[str | None, str, str]]:
    sample = Sample(fraction, least)
    for number, lang in order:
        sample.add(hash_of(f"file#{number}"), (None, lang, f"text {number}"))
    return sample.rows()


@given(langs, st.randoms(use_true_random=False), st.floats(0.01, 0.9), st.integers(1, 5))
def test_a_sample_depends_on_no_order_and_holds_some_of_every_language(
    found, random, fraction, least
):
    order = list(enumerate(found))
    shuffled = random.sample(order, len(order))
    rows = drawn(order, fraction, least)
    assert rows == drawn(shuffled, fraction, least)
    assert len(rows) == len(set(rows))
    for lang in set(found):
        held = sum(row[1] == lang for row in rows)
        assert held >= min(least, found.count(lang))
    below = {f"text {n}" for n, _ in order if hash_of(f"file#{n}") < fraction}
    assert below <= {row[2] for row in rows}
    assert set(drawn(order, fraction / 4, 1)) <= set(rows)


def listing(count: int) -> Listing:
    rows = [
        {"uri": f"/a/{n}", "source_uri": f"{n}.wav", "row": 0, "lang": ("deu", "eng")[n % 2],
         "doc_id": None, "bytes": 10, "version": "1"}
        for n in range(count)
    ]  # fmt: skip
    return Listing(
        recordings=pa.Table.from_pylist(rows, schema=LISTED), rejects=REJECT.empty_table()
    )


@given(st.integers(2, 40), st.floats(0.01, 0.99))
def test_recordings_are_taken_whole_and_of_every_language(count, fraction):
    small = take_recordings(listing(count), fraction / 4, 1)["uri"].to_pylist()
    large = take_recordings(listing(count), fraction, 2)["uri"].to_pylist()
    assert set(small) <= set(large)
    assert len(set(large)) == len(large)
    for lang in (0, 1):
        assert sum(int(uri[3:]) % 2 == lang for uri in small) >= 1
