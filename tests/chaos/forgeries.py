"""One small lie or more for each invariant: what the checker must notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from chaos.history import Effect, Failure, HandIn, Pause, ZombieCall
from tests.chaos import story
from tests.chaos.forged_ends import (
    a_child_died_by_itself,
    a_child_ran_without_its_parent,
    a_child_waits_for_ever,
    a_child_was_cancelled_for_nothing,
    a_lock_is_left,
    a_log_holds_a_traceback,
    a_rescue_came_late,
    a_worker_ended_badly,
    a_worker_ended_by_itself,
    a_worker_never_ended,
    a_worker_took_long_to_end,
    an_idle_worker_slept_on,
    more_ran_than_a_key_has_slots,
    moves,
    the_backlog_did_not_drain,
    the_backlog_drained_slowly,
    the_first_completion_came_late,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.history import FinalJob, History, Move

    Forge = Callable[[History], History]


def _job(history: History, number: int, **facts: Any) -> History:
    jobs = tuple(replace(job, **facts) if job.id == number else job for job in history.jobs)
    return replace(history, jobs=jobs)


def _without_job(history: History, number: int) -> History:
    return replace(
        history,
        jobs=tuple(job for job in history.jobs if job.id != number),
        moves=tuple(move for move in history.moves if move.job != number),
        executions=tuple(one for one in history.executions if one.job != number),
        effects=tuple(effect for effect in history.effects if effect.job != number),
    )


def _more_moves(history: History, *more: Move) -> History:
    return replace(history, moves=(*history.moves, *more))


def _late(history: History, number: int, place: str, verb: str, **facts: Any) -> History:
    """Add a move at the end of a job's history."""
    last = max(move.seq for move in history.moves)
    model = history.moves[0]
    more = replace(model, seq=last + 1, at=50.0, began=50.0, xid="9999", job=number, place=place, verb=verb)
    return _more_moves(history, replace(more, **facts))


def _job_of(history: History, number: int) -> FinalJob:
    return next(job for job in history.jobs if job.id == number)


def a_job_that_was_acknowledged_is_gone(history: History) -> History:
    return _without_job(history, story.WRITES)


def a_job_never_ended(history: History) -> History:
    return _job(history, story.WRITES, state="ready", run=None, result=None)


def a_job_failed_that_should_succeed(history: History) -> History:
    return _job(history, story.WRITES, state="failed", kind="error", result=None)


def a_job_that_nobody_published(history: History) -> History:
    stranger = replace(_job_of(history, story.WRITES), id=99, token="t99")
    return replace(history, jobs=(*history.jobs, stranger))


def an_execution_that_nobody_claimed(history: History) -> History:
    return replace(history, executions=(*history.executions, replace(history.executions[0], run=7777)))


def a_rolled_back_publish_left_a_job(history: History) -> History:
    ghost = replace(_job_of(history, story.KEYED), id=98, key=None, token="t20")
    return replace(history, jobs=(*history.jobs, ghost))


def an_unknown_publish_left_two_jobs(history: History) -> History:
    twin = replace(_job_of(history, story.KEYED), key=None, token="t21")
    return replace(history, jobs=(*history.jobs, replace(twin, id=97), replace(twin, id=96)))


def a_repeated_publish_with_a_key_left_two_jobs(history: History) -> History:
    return replace(history, jobs=(*history.jobs, replace(_job_of(history, story.KEYED), id=95, key=None)))


def half_of_a_batch_was_published(history: History) -> History:
    calls = [
        replace(call, call="batch") if call.token in ("t1", "t21") else call for call in history.publications
    ]
    return replace(history, publications=tuple(calls))


def a_job_ended_twice(history: History) -> History:
    return _late(history, story.WRITES, "finished", "in", state="failed", run=1001, attempt=1)


def an_ended_job_was_changed(history: History) -> History:
    return _late(history, story.WRITES, "finished", "changed", state="failed", run=1001, attempt=1)


def a_job_is_not_as_it_ended(history: History) -> History:
    return _job(history, story.FAILS, state="failed", kind="error", result=None)


def a_job_went_from_scheduled_to_running(history: History) -> History:
    return moves(
        history,
        lambda move: move.job == story.DELAYED and move.place == "ready",
        place="scheduled",
    )


def a_job_left_for_nowhere(history: History) -> History:
    return _late(history, story.WRITES, "ready", "out", attempt=0)


def a_run_number_went_back(history: History) -> History:
    return moves(history, lambda move: move.run == 1007, run=900)


def a_run_number_was_used_by_two_jobs(history: History) -> History:
    return moves(history, lambda move: move.run == 1005, run=1001)


def two_runs_of_a_job_at_once(history: History) -> History:
    kept = [
        move
        for move in history.moves
        if not (move.job == story.RESCUED and (move.run == 1006 and move.verb == "out"))
    ]
    return replace(history, moves=tuple(kept))


def a_zombie_was_believed(history: History) -> History:
    return replace(history, zombies=(ZombieCall("ack", 40.0, 1, ((story.WRITES, 1001),)),))


def a_late_ack_was_answered_ok(history: History) -> History:
    late = HandIn(story.BY_HAND, 1004, "ack", 8.0, 8.1, "ok")
    return replace(history, hand_ins=(late,))


def the_current_run_was_refused(history: History) -> History:
    early = HandIn(story.BY_HAND, 1004, "ack", 4.3, 4.4, "lost")
    return replace(history, hand_ins=(early,))


def a_nack_was_taken_for_a_release(history: History) -> History:
    wrong = HandIn(story.FAILS, 1002, "release", 3.15, 3.25, "ok")
    return replace(history, hand_ins=(wrong,))


def a_job_succeeded_by_a_run_that_was_not_its_last(history: History) -> History:
    return _job(history, story.RESCUED, run=1006)


def an_effect_happened_twice(history: History) -> History:
    return replace(history, effects=(*history.effects, *history.effects))


def an_effect_is_missing(history: History) -> History:
    return replace(history, effects=())


def a_failed_job_left_its_effect(history: History) -> History:
    return _job(history, story.WRITES, state="failed", kind="error", result=None)


def an_effect_is_that_of_another_run(history: History) -> History:
    return replace(history, effects=(Effect(story.WRITES, 1099, "t1"),))


def the_second_life_of_a_job_left_no_effect(history: History) -> History:
    return replace(history, effects=tuple(effect for effect in history.effects if effect.run != 1013))


def a_run_that_did_not_succeed_left_an_effect(history: History) -> History:
    return replace(history, effects=(*history.effects, Effect(story.ALONE, 1014, "t32")))


def a_child_was_published_twice(history: History) -> History:
    return replace(history, jobs=(*history.jobs, replace(_job_of(history, story.CHILD), id=94)))


def a_run_was_executed_twice(history: History) -> History:
    return replace(history, executions=(*history.executions, replace(history.executions[0], began=2.1)))


def a_run_was_executed_by_a_stranger(history: History) -> History:
    first = replace(history.executions[0], pid=story.SECOND_PID)
    return replace(history, executions=(first, *history.executions[1:]))


def a_run_was_told_another_attempt(history: History) -> History:
    first = replace(history.executions[0], attempt=2)
    return replace(history, executions=(first, *history.executions[1:]))


def a_run_went_on_after_its_lease(history: History) -> History:
    ended = {1006: {"ended": 29.0, "how": "returned"}}
    executions = tuple(replace(one, **ended.get(one.run, {})) for one in history.executions)
    return replace(history, executions=executions)


def two_executions_of_a_job_overlapped(history: History) -> History:
    began = {1007: {"began": 20.5}}
    executions = tuple(replace(one, **began.get(one.run, {})) for one in history.executions)
    return replace(history, executions=executions)


def a_rescue_cost_an_attempt(history: History) -> History:
    history = moves(
        history, lambda move: move.job == story.RESCUED and move.place == "ready" and move.at > 20, attempt=1
    )
    return moves(history, lambda move: move.run == 1007, attempt=2)


def a_job_made_too_many_attempts(history: History) -> History:
    return _job(history, story.WRITES, max_retries=0, attempt=2)


def a_failure_cost_no_attempt(history: History) -> History:
    return moves(
        history,
        lambda move: move.job == story.FAILS and move.at in (3.2, 3.5) and move.place != "running",
        attempt=0,
    )


def a_bystander_failed_for_the_deaths_of_workers(history: History) -> History:
    return replace(history, failures=(Failure(story.FAILS, 1002, "crash"),))


def a_run_that_never_began_timed_out(history: History) -> History:
    executions = tuple(one for one in history.executions if one.run != 1002)
    return replace(history, executions=executions)


def the_death_of_a_worker_cost_what_it_ran_alone(history: History) -> History:
    lives = tuple(replace(life, ended=15.2) if life.worker == story.FIRST else life for life in history.lives)
    return replace(history, lives=lives)


def a_job_outlived_a_fourth_death_alone(history: History) -> History:
    return replace(history, failures=(Failure(story.ALONE, 1014, "crash"),) * 4)


def a_retried_job_kept_its_attempts(history: History) -> History:
    return moves(history, lambda move: move.job == story.RETRIED and move.at == 13.0, attempt=1)


def a_job_became_ready_before_it_was_due(history: History) -> History:
    return moves(history, lambda move: move.job == story.DELAYED and move.place == "scheduled", due=11.0)


def a_cancelled_job_started(history: History) -> History:
    history = _late(history, story.CANCELLED, "finished", "out", state="cancelled", attempt=0)
    return _late(history, story.CANCELLED, "running", "in", run=1050, attempt=1, worker=story.SECOND)


def a_cancel_was_answered_and_forgotten(history: History) -> History:
    return _job(history, story.CANCELLED, state="succeeded", kind=None, run=1050)


def a_paused_queue_was_served(history: History) -> History:
    return replace(history, pauses=(Pause("mail", 1.5, 2.5),))


def fsck_found_something(history: History) -> History:
    return replace(history, remains=replace(history.remains, fsck=("job without a state 7 None",)))


def a_job_lies_nowhere(history: History) -> History:
    return _late(history, story.WRITES, "finished", "out", state="succeeded", run=1001, attempt=1)


def a_job_lies_in_two_places(history: History) -> History:
    return _late(history, story.WRITES, "ready", "in", attempt=0)


def a_job_was_deleted_by_nobody(history: History) -> History:
    return replace(history, jobs=tuple(job for job in history.jobs if job.id != story.CANCELLED))


def arguments_were_changed(history: History) -> History:
    return _job(history, story.WRITES, digest="other")


def a_task_was_given_other_arguments(history: History) -> History:
    first = replace(history.executions[0], digest="other")
    return replace(history, executions=(first, *history.executions[1:]))


def the_result_of_another_run_was_kept(history: History) -> History:
    return _job(history, story.RESCUED, result={"token": "t6", "run": 1006})


FORGERIES: dict[str, list[Forge]] = {
    "S1": [
        a_job_that_was_acknowledged_is_gone,
        a_job_never_ended,
        a_job_failed_that_should_succeed,
    ],
    "S2": [a_job_that_nobody_published, an_execution_that_nobody_claimed],
    "S3": [
        a_rolled_back_publish_left_a_job,
        an_unknown_publish_left_two_jobs,
        a_repeated_publish_with_a_key_left_two_jobs,
        half_of_a_batch_was_published,
    ],
    "S4": [a_job_ended_twice, an_ended_job_was_changed, a_job_is_not_as_it_ended],
    "S5": [a_job_went_from_scheduled_to_running, a_job_left_for_nowhere],
    "S6": [a_run_number_went_back, a_run_number_was_used_by_two_jobs, two_runs_of_a_job_at_once],
    "S7": [
        a_zombie_was_believed,
        a_late_ack_was_answered_ok,
        the_current_run_was_refused,
        a_nack_was_taken_for_a_release,
        a_job_succeeded_by_a_run_that_was_not_its_last,
    ],
    "S8": [
        an_effect_happened_twice,
        an_effect_is_missing,
        a_failed_job_left_its_effect,
        an_effect_is_that_of_another_run,
        the_second_life_of_a_job_left_no_effect,
        a_run_that_did_not_succeed_left_an_effect,
        a_child_was_published_twice,
    ],
    "S9": [a_run_was_executed_twice, a_run_was_executed_by_a_stranger, a_run_was_told_another_attempt],
    "S10": [a_run_went_on_after_its_lease, two_executions_of_a_job_overlapped],
    "S11": [
        a_rescue_cost_an_attempt,
        a_job_made_too_many_attempts,
        a_failure_cost_no_attempt,
        a_bystander_failed_for_the_deaths_of_workers,
        a_run_that_never_began_timed_out,
        the_death_of_a_worker_cost_what_it_ran_alone,
        a_job_outlived_a_fourth_death_alone,
        a_retried_job_kept_its_attempts,
    ],
    "S12": [more_ran_than_a_key_has_slots],
    "S15": [a_child_ran_without_its_parent, a_child_was_cancelled_for_nothing, a_child_waits_for_ever],
    "S19": [
        a_job_became_ready_before_it_was_due,
        a_cancelled_job_started,
        a_cancel_was_answered_and_forgotten,
        a_paused_queue_was_served,
    ],
    "S20": [fsck_found_something, a_job_lies_nowhere, a_job_lies_in_two_places, a_job_was_deleted_by_nobody],
    "S21": [arguments_were_changed, a_task_was_given_other_arguments, the_result_of_another_run_was_kept],
    "S22": [a_lock_is_left],
    "S23": [
        a_worker_ended_by_itself,
        a_worker_never_ended,
        a_worker_ended_badly,
        a_child_died_by_itself,
        a_log_holds_a_traceback,
    ],
    "L1": [a_rescue_came_late],
    "L2": [the_first_completion_came_late],
    "L3": [an_idle_worker_slept_on],
    "L4": [the_backlog_did_not_drain, the_backlog_drained_slowly],
    "L5": [a_worker_took_long_to_end],
}
