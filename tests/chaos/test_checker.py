"""The checker accepts a history in which all is well, and refuses one forged for each promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from chaos.checker import judge
from chaos.checker.table import INVARIANTS
from chaos.history import Exit, Failure, History, Probe, Remains, Strike
from tests.chaos import story
from tests.chaos.forgeries import FORGERIES

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKED = [one.name for one in INVARIANTS if one.check is not None]


def outcome(history: History, name: str) -> str:
    return next(one.outcome for one in judge(history).judgements if one.name == name)


def changed(**facts: Any) -> History:
    return msgspec.structs.replace(story.clean(), **facts)


def test_a_history_in_which_all_is_well_is_accepted() -> None:
    verdict = judge(story.clean())
    assert verdict.problems(complete=True) == []
    assert verdict.violations == 0


@pytest.mark.parametrize("name", CHECKED)
def test_every_invariant_that_is_checked_looks_at_something(name: str) -> None:
    assert outcome(story.clean(), name) == "held"


@pytest.mark.parametrize(
    ("name", "forge"),
    [(name, forge) for name, forges in FORGERIES.items() for forge in forges],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_forged_history_is_refused(name: str, forge: Callable[[History], History]) -> None:
    verdict = judge(forge(story.clean()))
    found = next(one for one in verdict.judgements if one.name == name)
    assert found.outcome == "violated"
    assert verdict.problems(complete=False)


def test_every_invariant_that_is_checked_has_a_forgery() -> None:
    assert sorted(FORGERIES) == sorted(CHECKED)


def test_an_invariant_without_a_check_says_why() -> None:
    assert [one.name for one in INVARIANTS if one.check is None and not one.reason] == []


def test_the_specification_is_complete() -> None:
    assert [one.name for one in INVARIANTS] == [f"S{n}" for n in range(1, 26)] + [
        f"L{n}" for n in range(1, 7)
    ]


def test_a_history_in_which_nothing_happened_is_refused() -> None:
    verdict = judge(History(config=story.clean().config))
    assert [one.name for one in verdict.judgements if one.outcome == "held"] == []
    assert "S1: there was nothing to look at" in verdict.problems(complete=False)


def test_a_fault_that_struck_no_run_fails() -> None:
    idle = Strike("kill_worker", 1, "processes", 50.0, 50.0, (story.FIRST_PID,))
    strikes = (idle, *story.clean().strikes[1:])
    assert "fault kill_worker struck 1 times and no run was in flight" in judge(
        changed(strikes=strikes)
    ).problems(complete=False)


def test_a_fault_that_never_struck_fails() -> None:
    problems = judge(changed(strikes=story.clean().strikes[:1])).problems(complete=False)
    assert "fault stop_postgres struck 0 times and no run was in flight" in problems


def test_the_runs_in_flight_are_those_of_the_processes_that_were_struck() -> None:
    struck = {one.fault: one.in_flight for one in judge(story.clean()).faults}
    assert struck == {"kill_worker": 1, "stop_postgres": 1, "kill_publisher": 11}


def test_a_skipped_fault_fails_where_everything_must_be_there() -> None:
    skipped = changed(strikes=story.clean().strikes[:2], skipped={"kill_publisher": "for want of one"})
    assert judge(skipped).problems(complete=False) == []
    assert judge(skipped).problems(complete=True) == ["fault kill_publisher was skipped: for want of one"]


def test_a_death_that_costs_nothing_is_no_attempt() -> None:
    crash = Failure(story.RESCUED, 1006, "crash")
    assert crash in story.clean().failures
    assert outcome(story.clean(), "S11") == "held"


def test_a_process_may_end_by_the_signal_it_did_not_heed_yet() -> None:
    young = Exit("worker-1", 103, 50.0, 51.0, 51.5, -15, "terminate_storm")
    assert outcome(changed(exits=(*story.clean().exits, young)), "S23") == "held"


def test_a_history_survives_being_written_down() -> None:
    history = story.clean()
    assert msgspec.json.decode(msgspec.json.encode(history), type=History) == history


def test_a_slow_probe_among_fast_ones_is_no_violation_of_the_median() -> None:
    probes = (Probe("a", 0.01), Probe("b", 0.01), Probe("c", 3.0))
    assert outcome(changed(probes=probes), "L3") == "held"


def test_what_is_counted_is_nothing_left() -> None:
    assert outcome(changed(remains=Remains(counts={"notices": 0}, drained=1.0)), "S22") == "held"
