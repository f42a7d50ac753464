"""Lies about keys, about unique keys and about limits set by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from chaos.history import LimitChange, Operation
from tests.chaos import story
from tests.chaos.story_of_keys import GATHERED, NEXT, THROTTLED

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.history import Body, History

    Forge = Callable[[History], History]


def _calls(history: History, token: str, **facts: Any) -> History:
    assert any(call.token == token for call in history.publications)
    calls = (replace(call, **facts) if call.token == token else call for call in history.publications)
    return replace(history, publications=tuple(calls))


def _bodies(history: History, token: str, **facts: Any) -> History:
    assert any(body.token == token for body in history.bodies)
    bodies = (replace(body, **facts) if body.token == token else body for body in history.bodies)
    return replace(history, bodies=tuple(bodies))


def _final(history: History, number: int, **facts: Any) -> History:
    jobs = tuple(replace(job, **facts) if job.id == number else job for job in history.jobs)
    return replace(history, jobs=jobs)


def _ran(history: History, run: int, **facts: Any) -> History:
    executions = tuple(replace(one, **facts) if one.run == run else one for one in history.executions)
    return replace(history, executions=executions)


def _body(history: History, token: str) -> Body:
    return next(body for body in history.bodies if body.token == token)


# ── Keys ──


def a_key_belongs_to_two_jobs(history: History) -> History:
    keyed = next(job for job in history.jobs if job.id == story.KEYED)
    return replace(history, jobs=(*history.jobs, replace(keyed, id=93)))


def two_calls_created_one_key(history: History) -> History:
    calls = tuple(replace(call, created=True) if call.key else call for call in history.publications)
    return replace(history, publications=calls)


def an_answer_named_another_job(history: History) -> History:
    calls = tuple(
        replace(call, job=story.WRITES) if call.call == "c4b" else call for call in history.publications
    )
    return replace(history, publications=calls)


# ── Who holds a unique key ──


def two_waiting_jobs_held_a_key(history: History) -> History:
    return _bodies(history, "u3", asked=51.8, at=51.8)


def a_key_was_taken_from_a_running_job(history: History) -> History:
    return _bodies(history, "u1", until="finished")


def a_key_was_taken_within_its_period(history: History) -> History:
    return _calls(history, "u5", period=2.0)


def a_key_was_taken_before_its_holder_had_committed(history: History) -> History:
    moves = (replace(move, committed=52.22) if move.run == 1040 else move for move in history.moves)
    return replace(history, moves=tuple(moves))


def a_retried_job_took_the_key_of_another(history: History) -> History:
    """Let a job go from its end to ready while another one runs under its key."""
    ended = next(move for move in history.moves if move.run == 1042 and move.place == "finished")
    again = replace(ended, at=54.8, began=54.8, xid="again")
    out = replace(again, seq=1390, verb="out")
    ready = replace(again, seq=1391, place="ready", run=None, state=None, attempt=0)
    retry = Operation("retry", THROTTLED, "u5", 54.75, 54.85, "ok")
    return replace(history, moves=(*history.moves, out, ready), operations=(*history.operations, retry))


def one_thing_got_two_keys(history: History) -> History:
    return _bodies(history, "u10", key="thing three")


def two_things_got_one_key(history: History) -> History:
    bodies = tuple(replace(body, key="thing") for body in history.bodies)
    return replace(history, bodies=bodies)


# ── What publishers are told ──


def a_skip_named_a_job_that_had_let_go(history: History) -> History:
    return _calls(history, "u5", period=0.0)


def a_skip_named_a_job_that_came_later(history: History) -> History:
    return _calls(history, "u6", began=52.5, ended=52.6)


def a_skip_named_a_job_of_another_key(history: History) -> History:
    return _calls(history, "u6", job=GATHERED)


def a_skip_named_a_job_that_was_never_committed(history: History) -> History:
    return _calls(history, "u6", job=99)


def a_skip_published_something(history: History) -> History:
    return _calls(history, "u10", mode="skip", created=False, job=THROTTLED)


def a_reject_was_refused_for_nobody(history: History) -> History:
    return _calls(history, "u7", began=57.0, ended=57.1)


def a_reject_was_answered_with_a_job(history: History) -> History:
    return _calls(history, "u7", outcome="ok", job=THROTTLED, created=False, holder=None)


def what_was_refused_is_there(history: History) -> History:
    return _calls(history, "u10", outcome="refused", holder=THROTTLED, job=None, created=None)


def a_retry_was_refused_for_nobody(history: History) -> History:
    return replace(history, operations=(Operation("retry", GATHERED, "u1", 57.0, 57.1, "JB009"),))


# ── What a job carries ──


def what_was_merged_is_lost(history: History) -> History:
    history = replace(history, bodies=tuple(body for body in history.bodies if body.token != "u2"))
    history = _ran(history, 1040, token="u1", batch=("u1",))
    return _final(history, GATHERED, token="u1", batch=("u1",), digest="du1")


def what_was_merged_first_is_lost(history: History) -> History:
    history = _final(_bodies(history, "u2", batch=("u2",)), GATHERED, batch=("u2",))
    return _ran(history, 1040, batch=("u2",))


def what_was_merged_is_there_twice(history: History) -> History:
    batch = ("u1", "u2", "u2")
    history = _final(_bodies(history, "u2", batch=batch), GATHERED, batch=batch)
    return _ran(history, 1040, batch=batch)


def what_was_merged_is_in_two_jobs(history: History) -> History:
    batch = ("u3", "u2")
    more = replace(_body(history, "u2"), job=NEXT, seq=1103, at=52.22, xid="twice", batch=batch)
    return replace(history, bodies=(*history.bodies, more))


def a_job_was_replaced_when_it_had_started(history: History) -> History:
    return _bodies(history, "u4", seq=1125)


def a_replaced_job_ran_with_what_was_there_before(history: History) -> History:
    return _ran(history, 1041, token="u3", batch=("u3",), digest="du3")


def a_replaced_job_carries_what_was_there_before(history: History) -> History:
    return _final(history, NEXT, token="u3", batch=("u3",), digest="du3")


def a_merged_job_ran_without_the_last(history: History) -> History:
    return _ran(history, 1040, batch=("u1",))


def a_skip_changed_the_job_that_is_there(history: History) -> History:
    return _calls(history, "u4", mode="skip")


def a_rolled_back_publish_was_merged(history: History) -> History:
    more = replace(_body(history, "u2"), token="u9", seq=1006, at=51.6, batch=("u1", "u2", "u9"))
    return replace(history, bodies=(*history.bodies, more))


def a_part_of_a_call_was_merged(history: History) -> History:
    history = _calls(history, "u9", outcome="unknown", call="batch")
    return _calls(history, "u2", call="batch")


def what_was_said_last_is_not_done(history: History) -> History:
    return _final(history, NEXT, state="failed", kind="error", result=None)


def a_replaced_job_has_other_arguments(history: History) -> History:
    return _final(history, NEXT, digest="du3")


def a_job_was_put_forward_by_nobody(history: History) -> History:
    return _bodies(history, "u4", xid="another")


# ── Limits ──


def _limits(history: History, **facts: Any) -> History:
    first, *others = history.limits
    return replace(history, limits=(replace(first, **facts), *others))


def more_ran_than_a_limit_says(history: History) -> History:
    return _limits(history, max_running=0)


def a_run_began_under_a_lowered_limit(history: History) -> History:
    lowered = LimitChange("task", "quick", 0, None, 1.0, 54.3, 54.4, "ok")
    return replace(history, limits=(*history.limits, lowered))


def more_started_than_a_rate_says(history: History) -> History:
    return _limits(history, rate=1)


def more_started_than_a_lowered_rate_says(history: History) -> History:
    lowered = LimitChange("queue", "mail", 2, 1, 1.0, 52.32, 52.35, "ok")
    first, *others = history.limits
    return replace(history, limits=(first, lowered, *others))


FORGED_KEYS: dict[str, list[Forge]] = {
    "S1": [what_was_said_last_is_not_done],
    "S3": [a_rolled_back_publish_was_merged, a_part_of_a_call_was_merged],
    "S12": [more_ran_than_a_limit_says, a_run_began_under_a_lowered_limit],
    "S13": [more_started_than_a_rate_says, more_started_than_a_lowered_rate_says],
    "S14": [
        a_key_belongs_to_two_jobs,
        two_calls_created_one_key,
        an_answer_named_another_job,
        two_waiting_jobs_held_a_key,
        a_key_was_taken_from_a_running_job,
        a_key_was_taken_within_its_period,
        a_key_was_taken_before_its_holder_had_committed,
        a_retried_job_took_the_key_of_another,
        one_thing_got_two_keys,
        two_things_got_one_key,
        a_skip_named_a_job_that_had_let_go,
        a_skip_named_a_job_that_came_later,
        a_skip_named_a_job_of_another_key,
        a_skip_named_a_job_that_was_never_committed,
        a_skip_published_something,
        a_reject_was_refused_for_nobody,
        a_reject_was_answered_with_a_job,
        what_was_refused_is_there,
        a_retry_was_refused_for_nobody,
        what_was_merged_is_lost,
        what_was_merged_first_is_lost,
        what_was_merged_is_there_twice,
        what_was_merged_is_in_two_jobs,
        a_job_was_replaced_when_it_had_started,
        a_replaced_job_ran_with_what_was_there_before,
        a_replaced_job_carries_what_was_there_before,
        a_merged_job_ran_without_the_last,
        a_skip_changed_the_job_that_is_there,
        a_rolled_back_publish_was_merged,
    ],
    "S19": [a_job_was_put_forward_by_nobody],
    "S21": [a_replaced_job_has_other_arguments],
}
