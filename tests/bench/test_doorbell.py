"""The page about the doorbell."""

from __future__ import annotations

from typing import Any

import pytest

from bench.doorbell.page import loss, render

_ROUNDS = [
    {"with": 95.0, "without": 100.0, "rings with": 3.0, "rings without": 0.0},
    {"with": 300.0, "without": 400.0, "rings with": 9.0, "rings without": 0.0},
    {"with": 990.0, "without": 1000.0, "rings with": 0.0, "rings without": 0.0},
]
_FIGURES: dict[str, Any] = {
    "busy": {"workers": 2, "seconds": 8.1, "drained": 92403, "published": 1098, "notifications": 0},
    "idle": [{"workers": 250, "connections": 1000, "share": 0.042, "notify_ms": 11.04}],
    "single": {"workers": 8, "median": 2.0, "most": 3},
    "bulk": {"workers": 8, "median_ms": 54.2, "most_ms": 131.3},
    "pool": {"workers": 4, "rounds": _ROUNDS},
    "frozen": {"workers": 1, "rounds": _ROUNDS},
    "cost": {"with": 429.7, "without": 440.7},
}


def test_a_round_counts_by_its_own_ratio_however_fast_the_machine_was() -> None:
    assert loss(_ROUNDS) == pytest.approx(0.05)


def test_a_bell_that_costs_nothing_may_come_out_below_nothing() -> None:
    assert loss([{"with": 102.0, "without": 100.0}]) == pytest.approx(-0.02)


def test_every_figure_is_on_the_page() -> None:
    page = render(_FIGURES, "2 cores", "python -m bench.doorbell")
    for text in (
        "| 0 | 0 |",
        "4.2 %",
        "11.0 ms",
        "| 2, 3 |",
        "54 ms, 131 ms",
        "5.0 % (300 and 400/s; 3 ",
        "430 and 441",
    ):
        assert text in page
    assert "2 cores" in page


def test_what_was_not_measured_is_not_on_the_page() -> None:
    assert render({}, "", "").count("\n| ") == 1
