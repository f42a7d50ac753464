"""Medians, percentiles and ratios."""

from __future__ import annotations

import pytest

from bench.figures import Figure, medians, percentile, ratio


def test_the_median_is_taken_for_each_peer_and_metric() -> None:
    figures = [
        *(Figure(number, "howdah", "W3", value) for number, value in enumerate((10, 90, 20))),
        Figure(0, "pgqueuer", "W3", 5),
        Figure(0, "howdah", "W1", 7),
    ]
    assert medians(figures) == {"W3": {"howdah": 20, "pgqueuer": 5}, "W1": {"howdah": 7}}


def test_a_ratio_may_be_to_another_metric() -> None:
    found = {"W1c": {"howdah": 60.0}, "W1": {"pgqueuer": 10.0}}
    assert ratio(found, "W1c", "howdah", "pgqueuer", "W1") == 6


@pytest.mark.parametrize("found", [{}, {"W1": {"howdah": 1.0}}, {"W1": {"pgqueuer": 1.0}}])
def test_a_ratio_to_what_was_not_measured_is_none(found: dict[str, dict[str, float]]) -> None:
    assert ratio(found, "W1", "howdah", "pgqueuer") is None


def test_the_99th_percentile_of_a_hundred_is_the_slowest() -> None:
    values = sorted(float(number) for number in range(100))
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (49.5, 99.0)
