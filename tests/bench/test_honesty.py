"""The harness accuses itself when a peer is slower than it is known to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.honesty import KNOWN, Suspicion, suspicions

if TYPE_CHECKING:
    from bench.figures import Medians

GRAPHILE = KNOWN["graphile_worker"]["W3"] / KNOWN["pgqueuer"]["W3"]


def w3(**rates: float) -> Medians:
    """Medians of one metric."""
    return {"W3": dict(rates)}


def test_peers_with_their_known_ratios_are_beyond_suspicion_on_any_machine() -> None:
    slower = {
        metric: {peer: rates[metric] / 7 for peer, rates in KNOWN.items()} for metric in ("W1", "W2", "W3")
    }
    assert suspicions(slower) == []


def test_a_peer_below_four_fifths_of_its_known_ratio_is_suspect() -> None:
    assert suspicions(w3(pgqueuer=1000, graphile_worker=1000 * GRAPHILE * 0.79)) == [
        Suspicion("graphile_worker", "W3", 0.79)
    ]
    assert suspicions(w3(pgqueuer=1000, graphile_worker=1000 * GRAPHILE * 0.81)) == []


def test_pgqueuer_is_suspect_when_all_others_are_far_above_their_ratios() -> None:
    assert suspicions(w3(pgqueuer=1000, graphile_worker=1000 * GRAPHILE * 2)) == [
        Suspicion("pgqueuer", "W3", 0.5)
    ]
    others = {peer: rates["W3"] * 2 for peer, rates in KNOWN.items() if peer != "pgqueuer"}
    assert suspicions({"W3": {"pgqueuer": KNOWN["pgqueuer"]["W3"], **others}}) == [
        Suspicion("pgqueuer", "W3", 0.5)
    ]


def test_nothing_is_said_of_metrics_and_peers_that_nothing_is_known_of() -> None:
    assert suspicions({"W4 p50": {"pgqueuer": 1, "graphile_worker": 0.1}}) == []
    assert suspicions(w3(pgqueuer=1000, howdah=1)) == []


def test_without_pgqueuer_there_is_no_suspicion() -> None:
    assert suspicions(w3(graphile_worker=1)) == []
