"""From samples to rates."""

from __future__ import annotations

import pytest

from bench.rates import Sample, TooFewSamples, moment_of, processor_time, rate, rate_between


def steady(per_second: int, jobs: int, step: float) -> list[Sample]:
    """What regular looks see of a worker that always runs as fast."""
    looks = int(jobs / per_second / step) + 2
    return [Sample(number * step, min(jobs, int(number * step * per_second))) for number in range(looks)]


@pytest.mark.parametrize("step", [0.05, 0.3, 0.7])
def test_a_steady_worker_has_its_rate_however_seldom_one_looks(step: float) -> None:
    assert rate(steady(1000, 5000, step), 5000) == pytest.approx(1000, rel=0.001)


def test_the_start_of_the_worker_is_no_part_of_the_rate() -> None:
    samples = [
        Sample(0, 0),
        Sample(5, 0),
        *(Sample(5 + one.at, one.done) for one in steady(1000, 5000, 0.25)),
    ]
    assert rate(samples, 5000) == pytest.approx(1000)


def test_a_tail_that_takes_long_is_part_of_the_rate() -> None:
    slow = [Sample(0, 0), Sample(1, 1000), Sample(2, 2000), Sample(12, 2001), Sample(12.1, 2002)]
    assert rate(slow, 2002) == pytest.approx(1001 / 11)


def test_a_look_at_nothing_but_the_end_is_refused() -> None:
    with pytest.raises(TooFewSamples, match="give more jobs"):
        rate([Sample(0, 0), Sample(1, 1000)], 1000)


def test_looks_that_cover_a_small_part_are_refused() -> None:
    with pytest.raises(TooFewSamples):
        rate([Sample(0, 0), Sample(1, 200), Sample(2, 250), Sample(3, 300), Sample(4, 1000)], 1000)


def test_a_part_of_a_drain_is_interpolated() -> None:
    samples = [Sample(0, 0), Sample(1, 100), Sample(2, 300), Sample(3, 400)]
    assert rate_between(samples, 50, 200) == pytest.approx(150)


def test_a_part_within_two_looks_at_the_same_moment_is_refused() -> None:
    with pytest.raises(TooFewSamples):
        rate_between([Sample(1, 50)], 10, 40)


def test_what_was_never_reached_has_no_moment() -> None:
    with pytest.raises(TooFewSamples, match="only 10 of 20"):
        moment_of([Sample(0, 0), Sample(1, 10)], 20)


def test_processor_time_is_that_of_the_same_looks_as_the_rate() -> None:
    samples = [
        Sample(0, 0, 5, 5),
        Sample(1, 100, 6, 6),
        Sample(2, 500, 8, 7),
        Sample(3, 900, 10, 8),
        Sample(9, 1000, 99, 99),
    ]
    worker, server = processor_time(samples, 1000)
    assert (worker, server) == pytest.approx((5000, 2500))
