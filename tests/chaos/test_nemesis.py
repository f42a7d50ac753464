"""Faults come from their seed: all before any comes again, and the same for the same seed."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from chaos.faults import FAULTS, chosen
from chaos.nemesis import order_of
from chaos.orders import draw_order


def names(seed: int, number: int) -> list[str]:
    return [fault.name for fault, _ in islice(order_of(chosen([]), "server", seed), number)]


def test_the_same_seed_strikes_the_same() -> None:
    assert names(7, 40) == names(7, 40)


def test_another_seed_strikes_differently() -> None:
    assert names(7, 40) != names(8, 40)


def test_every_fault_of_a_lane_strikes_before_any_strikes_again() -> None:
    lane = {fault.name for fault in FAULTS.values() if fault.lane == "server"}
    assert set(names(3, len(lane))) == lane


def test_without_a_name_all_faults_are_chosen() -> None:
    assert [fault.name for fault in chosen([])] == list(FAULTS)
    assert [fault.name for fault in chosen(["stall", "kill_worker"])] == ["stall", "kill_worker"]


def test_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no fault 'earthquake'"):
        chosen(["earthquake"])


def test_the_same_seed_publishes_the_same() -> None:
    first, second = random.Random(5), random.Random(5)
    assert [draw_order(first) for _ in range(200)] == [draw_order(second) for _ in range(200)]
