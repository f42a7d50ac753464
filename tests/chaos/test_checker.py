"""The checker accepts a history in which all is well, and refuses one forged for each promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from chaos.checker import judge
from chaos.checker.table import INVARIANTS
from chaos.history import NEVER, Exit, Failure, History, Lateness, Probe, Remains, Strike
from tests.chaos import story
from tests.chaos.forged_keys import FORGED_KEYS
from tests.chaos.forgeries import FORGERIES
from tests.chaos.story_of_keys import GATHERED

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
    [(name, forge) for some in (FORGERIES, FORGED_KEYS) for name, many in some.items() for forge in many],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_forged_history_is_refused(name: str, forge: Callable[[History], History]) -> None:
    verdict = judge(forge(story.clean()))
    found = next(one for one in verdict.judgements if one.name == name)
    assert found.outcome == "violated"
    assert verdict.problems(complete=False)


def test_every_invariant_that_is_checked_has_a_forgery() -> None:
    assert {*FORGERIES, *FORGED_KEYS} == {*CHECKED}


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
    assert struck == {"kill_worker": 1, "stop_postgres": 1, "kill_publisher": 14}


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


def test_what_an_operator_may_have_done_explains_an_end_that_was_left() -> None:
    for name in ("S1", "S4", "S5", "S20"):
        assert outcome(changed(operations=()), name) == "violated", name


def test_what_an_operator_was_refused_explains_nothing() -> None:
    refused = tuple(msgspec.structs.replace(one, outcome="JB004") for one in story.clean().operations)
    assert outcome(changed(operations=refused), "S4") == "violated"


def test_an_operator_explains_only_what_happened_during_the_call() -> None:
    first, *others = story.clean().operations
    earlier = msgspec.structs.replace(first, began=12.3, ended=12.4)
    assert outcome(changed(operations=(earlier, *others)), "S4") == "violated"


def test_a_job_whose_processes_were_killed_three_times_may_end_failed() -> None:
    moves = (
        msgspec.structs.replace(move, state="failed") if move.run == 1015 and move.state else move
        for move in story.clean().moves
    )
    jobs = (
        msgspec.structs.replace(job, state="failed", kind="crash", result=None)
        if job.id == story.ALONE
        else job
        for job in story.clean().jobs
    )
    deaths = (Failure(story.ALONE, run, "crash") for run in (1014, 1014, 1015))
    once = changed(moves=tuple(moves), jobs=tuple(jobs))
    thrice = msgspec.structs.replace(once, failures=tuple(deaths))
    assert [outcome(once, "S1"), outcome(thrice, "S1")] == ["violated", "held"]


@pytest.mark.parametrize("name", ["L1", "L2", "L3", "L4", "L5"])
def test_time_spent_waiting_for_the_machine_is_left_out(name: str) -> None:
    for forge in FORGERIES[name]:
        late = forge(story.clean())
        if late.remains.drained is not None:
            excused = msgspec.structs.replace(late, lateness=(Lateness(0.0, 100.0, 95.0),))
            assert [outcome(late, name), outcome(excused, name)] == ["violated", "held"], forge.__name__


def test_a_late_machine_excuses_only_what_happened_then() -> None:
    slow = next(iter(FORGERIES["L5"]))(story.clean())
    before = msgspec.structs.replace(slow, lateness=(Lateness(0.0, 50.0, 45.0),))
    assert outcome(before, "L5") == "violated"


def test_a_poison_job_explains_the_end_of_its_worker() -> None:
    poison = msgspec.structs.replace(
        story.clean().executions[0], task="poisons", pid=104, how=None, run=2000, job=2000
    )
    executions = (*story.clean().executions, poison)
    for cause in (None, "terminate_storm"):
        exits = (*story.clean().exits, Exit("worker-3", 104, 0.0, NEVER, 33.0, -9, cause))
        assert outcome(changed(exits=exits), "S23") == "violated"
        assert outcome(changed(exits=exits, executions=executions), "S23") == "held"
    hung = (*story.clean().exits, Exit("worker-3", 104, 0.0, 33.0, 60.0, -9, "hung"))
    assert outcome(changed(exits=hung, executions=executions), "S23") == "violated"


def test_a_slow_probe_among_fast_ones_is_no_violation_of_the_median() -> None:
    probes = (Probe("a", 0.01), Probe("b", 0.01), Probe("c", 3.0))
    assert outcome(changed(probes=probes), "L3") == "held"


def test_what_is_counted_is_nothing_left() -> None:
    assert outcome(changed(remains=Remains(counts={"notices": 0}, drained=1.0)), "S22") == "held"


# ── Limits set by hand, unique keys ──


def test_a_limit_that_was_being_set_may_or_may_not_have_held() -> None:
    first, *others = story.clean().limits
    during = msgspec.structs.replace(first, max_running=0, began=54.55, ended=54.7)
    before = msgspec.structs.replace(during, ended=54.58)
    assert outcome(changed(limits=(first, during, *others)), "S12") == "held"
    assert outcome(changed(limits=(first, before, *others)), "S12") == "violated"


def test_a_limit_that_was_never_answered_may_or_may_not_hold() -> None:
    first, *others = story.clean().limits
    unknown = msgspec.structs.replace(first, max_running=0, rate=1, began=51.0, ended=NEVER)
    limits = (first, msgspec.structs.replace(unknown, outcome="unknown"), *others)
    assert [outcome(changed(limits=limits), name) for name in ("S12", "S13")] == ["held", "held"]


def test_what_started_while_there_was_no_rate_does_not_count() -> None:
    first, *others = story.clean().limits
    free = msgspec.structs.replace(first, rate=None)
    rated = msgspec.structs.replace(first, rate=1, began=52.2, ended=52.35)
    lifted = msgspec.structs.replace(free, began=53.0, ended=53.1)
    assert outcome(changed(limits=(free, rated, lifted, *others)), "S13") == "held"
    assert outcome(changed(limits=(first, rated, lifted, *others)), "S13") == "violated"


@pytest.mark.parametrize(("committed", "expected"), [(52.05, "violated"), (52.15, "held")])
def test_a_job_that_waits_again_holds_its_key_if_nobody_was_asking_for_it_yet(
    committed: float, expected: str
) -> None:
    """GATHERED is given back at 52.04; NEXT asks for the key at 52.19 and is given it at 52.2."""
    again: dict[tuple[str, str], dict[str, Any]] = {
        ("running", "in"): {"at": 52.02},
        ("ready", "out"): {"at": 52.02},
        ("running", "out"): {"at": 52.04, "committed": committed},
        ("finished", "in"): {
            "at": 52.04,
            "committed": committed,
            "place": "ready",
            "run": None,
            "state": None,
            "attempt": 0,
        },
    }
    moves = (
        msgspec.structs.replace(move, **again.get((move.place, move.verb), {}))
        if move.job == GATHERED
        else move
        for move in story.clean().moves
    )
    assert outcome(changed(moves=tuple(moves)), "S14") == expected


def test_unique_keys_are_not_judged_before_every_mode_has_met_a_holder() -> None:
    calls = story.clean().publications
    for met in ("u2", "u4", "u6 u8", "u7"):
        fewer = tuple(call for call in calls if call.token not in met.split())
        judged = judge(changed(publications=fewer, bodies=(), jobs=(), executions=()))
        assert next(one.examined for one in judged.judgements if one.name == "S14") == 0
    assert outcome(story.clean(), "S14") == "held"


@pytest.mark.parametrize(
    ("asked", "mode", "expected"),
    [
        (51.05, "replace", "violated"),
        (50.9, "replace", "held"),
        (50.9, "skip", "violated"),
    ],
)
def test_who_would_replace_a_job_that_is_being_started_waits_a_second_for_it(
    asked: float, mode: str, expected: str
) -> None:
    """GATHERED holds the key until 52.0; NEXT is given it at 51.95."""
    forged = story.clean()
    bodies = tuple(
        msgspec.structs.replace(body, asked=asked, at=51.95) if body.token == "u3" else body
        for body in forged.bodies
    )
    calls = tuple(
        msgspec.structs.replace(call, mode=mode, began=50.5) if call.token == "u3" else call
        for call in forged.publications
    )
    assert outcome(changed(bodies=bodies, publications=calls), "S14") == expected
