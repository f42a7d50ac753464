"""What was reached of what must be."""

from __future__ import annotations

import pytest

from bench.figures import Figure
from bench.targets import TARGETS, Target, verdict

DRAIN = Target("W3", "W3", "pgqueuer", 2.5, 4.0)
LATENCY = Target("W4", "W4 p50", "pgqueuer", 0.9, 0.75, most=True)


def rounds(peer: str, metric: str, *values: float) -> list[Figure]:
    """A metric's value in each round."""
    return [Figure(number, peer, metric, value) for number, value in enumerate(values)]


@pytest.mark.parametrize(("ours", "word"), [(24, "no"), (25, "must"), (39, "must"), (40, "aim")])
def test_more_is_better_for_rates(ours: float, word: str) -> None:
    assert verdict(DRAIN, [*rounds("howdah", "W3", ours), *rounds("pgqueuer", "W3", 10)]).word == word


@pytest.mark.parametrize(("ours", "word"), [(0.95, "no"), (0.9, "must"), (0.75, "aim"), (0.1, "aim")])
def test_less_is_better_for_latencies(ours: float, word: str) -> None:
    figures = [*rounds("howdah", "W4 p50", ours), *rounds("pgqueuer", "W4 p50", 1)]
    assert verdict(LATENCY, figures).word == word


def test_the_median_of_the_rounds_ratios_counts_so_that_slow_rounds_cancel_out() -> None:
    figures = [*rounds("howdah", "W3", 30, 3, 300), *rounds("pgqueuer", "W3", 10, 1, 100)]
    assert verdict(DRAIN, figures).value == 3


def test_a_round_in_which_one_of_the_two_failed_does_not_count() -> None:
    figures = [*rounds("howdah", "W3", 30, 1000), *rounds("pgqueuer", "W3", 10)]
    assert verdict(DRAIN, figures).value == 3


def test_what_was_not_measured_is_said_not_to_be() -> None:
    assert verdict(DRAIN, rounds("howdah", "W3", 30)).word == "not measured"


def test_a_target_without_a_peer_is_about_our_own_metric() -> None:
    target = Target("W6", "W6 last/first", None, 0.9, 1.0)
    assert verdict(target, rounds("howdah", "W6 last/first", 0.95, 0.91, 0.99)).word == "must"


def test_our_share_of_the_limit_is_of_our_own_two_processes() -> None:
    target = next(target for target in TARGETS if target.other == "limit")
    figures = [*rounds("howdah", "W3b", 50), *rounds("howdah", "limit", 100)]
    assert verdict(target, figures).value == 0.5
