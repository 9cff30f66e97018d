"""Laws, workers, sizes and prices of a forecast, against what is obvious."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.config.execution import Rates
from mining.forecast import Law, Line, Pool, TaskSize, fit, fit_units, hours_on, priced
from mining.forecast.kernels import PASSES, flops, measure_kernels
from mining.knn import available

seconds = st.floats(0.0, 1e6)
works = st.floats(1.0, 1e9)


@given(st.floats(0.0, 100.0), st.floats(0.0, 10.0), st.lists(works, min_size=2, max_size=5))
def test_points_on_a_line_give_the_line(fixed, slope, points):
    if max(points) < 1.5 * min(points):
        return
    law = fit([(work, fixed + slope * work) for work in points])
    for work in points:
        assert law.at(work) == pytest.approx(fixed + slope * work, rel=1e-6, abs=1e-6)


@given(st.lists(st.tuples(works, seconds), max_size=5))
def test_no_part_of_a_law_is_ever_negative(points):
    law = fit(points)
    assert law.fixed >= 0.0
    assert law.slope >= 0.0
    assert law.at(0.0) == 0.0


def test_tasks_together_tell_what_a_unit_and_a_neighbour_take():
    points = [(135, 2e4), (210, 2.9e5), (63, 3.8e5), (135, 8e4), (210, 1.1e6), (63, 7.5e5)]
    exact = [(units, work, 0.007 * units + 8e-7 * work) for units, work in points]
    assert fit_units(exact) == pytest.approx((0.007, 8e-7))
    noisy = [(u, w, s + 0.15 * (-1) ** place) for place, (u, w, s) in enumerate(exact)]
    assert fit_units(noisy)[1] == pytest.approx(8e-7, rel=0.2)
    slopes = [fit([(w, s) for _, w, s in noisy[place::3]]).slope for place in range(3)]
    assert max(abs(slope / 8e-7 - 1) for slope in slopes) > 0.3  # each task by itself


def test_no_tasks_and_tasks_that_took_nothing_cost_nothing():
    assert fit_units([]) == (0.0, 0.0)
    assert fit_units([(3.0, 5.0, 0.0)]) == (0.0, 0.0)


@given(st.lists(st.tuples(works, works, seconds), max_size=6))
def test_neither_part_of_a_unit_law_is_negative(points):
    assert min(fit_units(points)) >= 0.0


def test_a_small_pilot_that_took_longer_tells_no_slope():
    assert fit([(10.0, 5.0), (40.0, 4.0)]) == Law(fixed=4.5, slope=0.0)


def test_equal_pilots_are_taken_to_grow_with_the_work():
    assert fit([(10.0, 5.0), (10.0, 4.0)]).at(100.0) == pytest.approx(50.0)


@given(
    st.integers(1, 9), seconds, seconds, st.lists(st.floats(0.01, 100.0), min_size=1, max_size=12)
)
def test_workers_take_no_less_than_their_share_and_the_largest_unit(workers, fixed, rest, units):
    hours = hours_on(workers, fixed, rest, units)
    least = max(rest / workers, rest * max(units) / sum(units))
    assert hours * 3600 >= (fixed + least) * (1 - 1e-9)
    assert hours * 3600 <= (fixed + min(rest, 2.0 * least)) * (1 + 1e-9)
    assert hours_on(1, fixed, rest, units) == pytest.approx((fixed + rest) / 3600)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4),
       st.lists(st.integers(1, 30), min_size=1, max_size=4),
       st.integers(1, 5), st.integers(1, 5))  # fmt: skip
def test_rows_of_a_task_are_those_of_its_blocks(rows, columns, forward_k, backward_k):
    """Blocks of equal size, counted one by one."""
    height, width = max(rows), max(columns)
    pool = Pool(src="deu", tgt="eng", rows=height * len(rows), columns=width * len(columns),
                row_blocks=len(rows), column_blocks=len(columns))  # fmt: skip
    task = TaskSize(
        task="tt", pools=(pool, pool), forward_k=forward_k, backward_k=backward_k, dim=4
    )
    partials = sum(
        height * min(forward_k, width) + width * min(backward_k, height)
        for _ in itertools.product(rows, columns)
    )
    assert task.partials == 2 * partials
    assert task.similarities == 2 * height * len(rows) * width * len(columns)
    assert task.neighbors <= task.partials
    if len(rows) == len(columns) == 1:
        assert task.neighbors == task.partials


def test_operations_are_two_for_each_dimension_similarity_and_pass():
    n, m, dim = 3, 5, 7
    counted = sum(2 for _ in range(n) for _ in range(m) for _ in range(dim))
    assert flops(n * m, dim, 1) == counted
    assert flops(n * m, dim, PASSES["faiss-flat"]) == 2 * counted


def test_every_backend_is_measured():
    found = measure_kernels(dim=64, k=2, threads=1)
    assert set(found) == {"gemm", *available()}
    for name, kernel in found.items():
        assert kernel.backend == name
        assert kernel.cpu_s > 0.0
        assert kernel.gflop_s == pytest.approx(flops(1, 64, kernel.passes) / kernel.wall_s / 1e9)


def test_a_price_is_made_of_the_rates_that_are_given():
    lines = [
        Line(stage="embed", subject="a", work=1.0, unit="segments", cpu_s=7200.0, wall_s=3600.0),
        Line(stage="pairs", subject="t", work=1.0, unit="neighbours", cpu_s=3600.0, wall_s=3600.0),
    ]
    rates = Rates(cpu_hour=0.5, gpu_hour=2.0, disk_gib_month=0.1)
    price = priced(lines, 3 * 2.0**30, rates, on_gpu=True)
    assert price is not None
    assert dict(price.parts) == pytest.approx(
        {"cpu_hour": 1.5, "gpu_hour": 2.0, "disk_gib_month": 0.3}
    )
    assert price.total == pytest.approx(3.8)
    without = priced(lines, 0.0, Rates(gpu_hour=2.0), on_gpu=False)
    assert without is not None
    assert without.total == 0.0
    assert priced(lines, 1e9, Rates(), on_gpu=True) is None
