"""What each public function is given: a strategy for each of its parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from proofs.fuzz import values

if TYPE_CHECKING:
    from proofs.fuzz.values import Values

_ints = values.integers(32)
_bigints = values.integers(64)
_runs: Values = st.one_of(st.none(), values.counts, values.counts, values.counts, _bigints)
_workers: Values = st.one_of(st.integers(1, 20).map(str), st.integers(1, 20).map(str), _bigints)
_names: Values = st.one_of(values.names, values.names, values.names, values.texts)
_seconds: Values = st.one_of(st.sampled_from(("0.001", "1", "60", "3600")), values.numerics)
# Claims of a few, so that there is something left for the others.
_numbers: Values = st.one_of(st.integers(1, 5).map(str), st.integers(1, 5).map(str), _ints)
_queues = values.arrays(_names)

_json_number: st.SearchStrategy[Any] = st.one_of(
    st.integers(-5, 100),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**31, 10**30, "5", "x", True]),
)
_json_text: st.SearchStrategy[Any] = st.one_of(values.names, values.text, st.integers(), st.none())
_modes = st.sampled_from(("skip", "replace", "merge", "reject"))
_untils = st.sampled_from(("waiting", "started", "finished"))
_options: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("timeout", "priority", "max_retries", "ttl", "result_ttl", "failure_ttl"), _json_number),
    "queue": _json_text,
    "requires": st.one_of(st.lists(_json_text, max_size=3), _json_text),
    "backoff": st.one_of(st.lists(_json_number, max_size=3), _json_number),
    "unique": st.one_of(st.booleans(), st.lists(_json_text, max_size=2), values.json_values),
    "unique_mode": st.one_of(_modes, _json_text),
    "unique_until": st.one_of(_untils, _json_text),
    "unique_for": _json_number,
}
_jobs: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"task": _json_text},
    optional={
        **_options,
        "body": values.json_values,
        "key": st.one_of(values.keys, _json_text),
        "unique_key": st.one_of(values.keys, _json_text),
        "delay": _json_number,
        "scheduled_at": st.one_of(values.moments, _json_text),
        "headers": values.json_values,
        "meta": values.json_values,
        "at_front": st.one_of(st.booleans(), _json_text),
        "tenant": _json_text,
        "depends_on": st.one_of(st.lists(_json_text, max_size=3), _json_text),
        "allow_failure": st.one_of(st.booleans(), _json_text),
        "nonsense": st.just(1),
    },
)
_many: Values = st.one_of(st.lists(_jobs, max_size=4).map(json.dumps), values.documents)
_bodies: Values = st.one_of(
    st.lists(values.json_values, max_size=4).map(json.dumps),
    values.documents,
    st.sampled_from((values.nested(66), json.dumps(["x" * 2**20]))),
)
_tasks: Values = st.one_of(
    st.lists(
        st.fixed_dictionaries({"name": _json_text}, optional={**_options, "signature": _json_text}),
        max_size=3,
    ).map(json.dumps),
    values.documents,
)
_words = st.sampled_from(("succeeded", "failed", "snoozed", "released", "cancelled", "parked", "exploded", 7))
_outcome: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.integers(1, 120), st.integers(1, 120), _words, values.json_values, values.json_values),
    st.tuples(st.integers(1, 120), st.integers(1, 120), st.just("succeeded"), values.json_values),
    st.tuples(
        st.integers(1, 120),
        st.integers(1, 120),
        st.just("failed"),
        st.one_of(st.just("error"), values.text),
        values.text,
        values.text,
        st.one_of(st.none(), _json_number),
        st.one_of(st.booleans(), values.text),
    ),
    st.tuples(st.integers(1, 120), st.integers(1, 120), st.just("snoozed"), _json_number),
    st.tuples(
        st.integers(1, 120),
        st.integers(1, 120),
        st.just("parked"),
        st.sampled_from(("task", "arguments", "x")),
    ),
    st.tuples(_json_number, _json_number, _words),
)
_outcomes: Values = st.one_of(st.lists(_outcome, max_size=4).map(json.dumps), values.documents)
_lines: Values = st.one_of(
    st.lists(st.tuples(st.one_of(st.just("info"), values.text), values.text), max_size=3).map(json.dumps),
    values.documents,
)
_bulk: Values = st.one_of(
    st.none(),
    st.lists(
        st.fixed_dictionaries(
            {"task": st.one_of(values.names, values.text, st.none())},
            optional={
                "body": values.json_values,
                "scheduled_at": st.sampled_from(("infinity", "-infinity", "2040-01-01", "294276-12-31")),
                **dict.fromkeys(("timeout", "priority", "max_retries"), st.integers(-(2**31), 2**31 - 1)),
            },
        ),
        max_size=3,
    ).map(json.dumps),
)
_publication: dict[str, Values] = {
    "i_task": _names,
    "i_body": values.documents,
    "i_scheduled_at": values.moments,
    "i_timeout": _seconds,
    "i_priority": _ints,
    "i_max_retries": _ints,
    "i_queue": _names,
    "i_key": st.one_of(values.keys, values.texts),
    "i_delay": _seconds,
    "i_ttl": _seconds,
    "i_result_ttl": _seconds,
    "i_failure_ttl": _seconds,
    "i_backoff": values.arrays(_seconds),
    "i_headers": values.documents,
    "i_meta": values.documents,
    "i_concurrency_key": st.one_of(values.keys, values.texts),
    "i_concurrency_limit": _ints,
    "i_slots": _ints,
    "i_at_front": values.booleans,
    "i_tenant": _names,
    "i_requires": values.arrays(_names),
    "i_depends_on": values.arrays(st.one_of(values.job_ids, values.job_ids, values.keys, values.texts)),
    "i_allow_failure": values.booleans,
    "i_unique_key": st.one_of(values.keys, values.texts),
    "i_unique": st.one_of(st.sampled_from(("true", "false", '["a"]', '{"a": [0, 1]}')), values.documents),
    "i_unique_mode": st.one_of(_modes, values.texts),
    "i_unique_until": st.one_of(_untils, values.texts),
    "i_unique_for": _seconds,
}
_OF_ONE: Final = ("i_body", "i_key", "i_depends_on", "i_allow_failure")
_of_all = {
    name: strategy for name, strategy in _publication.items() if name not in _OF_ONE and "unique" not in name
}
_job: dict[str, Values] = {"i_job_id": values.job_ids}
_limit: dict[str, Values] = {"i_max_running": _ints, "i_rate": _ints, "i_per": values.intervals}
_run: dict[str, Values] = {**_job, "i_run_id": _runs}
# Nothing here may take long: only times that are over at once, or refused.
_moment_or_refused: Values = st.sampled_from(
    ("0", "0.001", "-1", "61", "NaN", "Infinity", "-Infinity", "1e300")
)
_over_at_once: Values = st.sampled_from(("0", "0.001"))
_refused_or_over: Values = st.sampled_from(("0", "0.001", "-1", "NaN", "-Infinity"))

STRATEGIES: Final[dict[str, dict[str, Values]]] = {
    "publish": _publication,
    "publish_each": {**_of_all, "i_bodies": _bodies},
    "publish_many": {"i_jobs": _many},
    "publish_bulk": {"i_jobs": _bulk},
    "consume": {"i_num": _numbers, "i_queues": _queues, "i_topic": values.topics, "i_labels": _queues},
    "consume_topic": {"i_num": _numbers, "i_queues": _queues, "i_topic": values.topics, "i_labels": _queues},
    "ack": {**_run, "i_result": values.documents},
    "nack": {
        **_run,
        "i_traceback": values.texts,
        "i_scheduled_at": values.moments,
        "i_kind": st.one_of(st.just("error"), values.texts),
        "i_error": values.texts,
        "i_delay": _seconds,
        "i_final": values.booleans,
    },
    "snooze": {**_run, "i_delay": _seconds},
    "release": _run,
    "heartbeat": {"i_worker_id": st.one_of(st.none(), _workers), "i_run_ids": values.arrays(_runs)},
    "worker_started": {
        "i_name": values.texts,
        "i_tasks": _tasks,
        "i_queues": _queues,
        "i_topic": values.topics,
        "i_allow": values.arrays(_names),
        "i_host": values.texts,
        "i_pid": _ints,
        "i_lease": _seconds,
        "i_labels": _queues,
    },
    "session_started": {"i_worker_id": _workers, "i_backend_pid": _ints},
    "worker_stopped": {"i_worker_id": _workers, "i_crashed": values.booleans},
    "exchange": {
        "i_worker_id": _workers,
        "i_outcomes": _outcomes,
        "i_num": _numbers,
        "i_sleep": values.booleans,
        "i_soon": values.booleans,
        "i_shares": values.arrays(_ints),
        "i_era": _ints,
    },
    "reconcile": {"i_worker_id": _workers, "i_held": values.arrays(_runs), "i_era": _ints},
    "run_died": {**_run, "i_error": values.texts},
    "cancel": {**_job, "i_reason": values.texts},
    "retry": _job,
    "delete": {**_job, "i_force": values.booleans},
    "wait": {**_job, "i_timeout": _moment_or_refused},
    "wait_for": {**_job, "i_timeout": _refused_or_over},
    "get": _job,
    "list": {
        "i_state": st.one_of(st.sampled_from(("ready", "running", "failed")), values.texts),
        "i_queue": _names,
        "i_task": values.topics,
        "i_limit": _ints,
    },
    "failures": _job,
    "log": {**_run, "i_lines": _lines},
    "logs": {**_job, "i_after": _bigints, "i_limit": _ints},
    "unfinished": {"i_queues": _queues, "i_topic": values.topics, "i_labels": _queues},
    "left_over": {"i_queues": _queues, "i_topic": values.topics, "i_labels": _queues},
    "why": _job,
    "relatives": {**_job, "i_limit": _ints},
    "stats": {},
    "fsck": {},
    "maintain": {"i_every": _seconds},
    "prune": {"i_older_than": values.intervals, "i_limit": _ints},
    "pause_queue": {"i_queue": _names, "i_reason": values.texts},
    "resume_queue": {"i_queue": _names},
    "set_queue": {
        "i_queue": _names,
        "i_result_ttl": _seconds,
        "i_failure_ttl": _seconds,
        "i_ageing": _seconds,
        "i_max_waiting": _ints,
        **_limit,
    },
    "set_task": {"i_task": _names, **_limit},
    "set_key": {"i_concurrency_key": st.one_of(values.keys, values.texts), **_limit},
    "purge_queue": {"i_queue": _names, "i_limit": _ints},
    "version": {},
    "list_queues": {},
    "list_tasks": {},
    "list_limits": {},
    "list_workers": {},
}
# Without these a call may wait for ever.
ALWAYS_GIVEN: Final = frozenset({("wait", "i_timeout"), ("wait_for", "i_timeout")})
