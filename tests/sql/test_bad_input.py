"""Bad input gets an error that names the field and the fix, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.steps import consume, counts, exchange, publish, refused, start_worker, state, take

if TYPE_CHECKING:
    from tests.fixtures.sessions import Session

MEGABYTE = 1024 * 1024


def nested(levels: int) -> Jsonb:
    document: Any = []
    for _ in range(levels - 1):
        document = [document]
    return Jsonb(document)


def text_of(length: int) -> Jsonb:
    """Return a document whose text has this many bytes."""
    return Jsonb("x" * (length - 2))


BAD_OPTIONS: dict[str, tuple[str, object, str]] = {
    "an empty task": ("task", "", "200"),
    "a task with a space": ("task", "a b", "letters"),
    "a task with a quote": ("task", "a'; drop table job; --", "letters"),
    "a task with a newline at its end": ("task", "a.b\n", "letters"),
    "a task outside ASCII": ("task", "t\u00e4sk", "letters"),
    "a task of 201 characters": ("task", "t" * 201, "200"),
    "no task": ("task", None, "name"),
    "a queue with a percent sign": ("queue", "q%", "letters"),
    "a queue of 201 characters": ("queue", "q" * 201, "200"),
    "an empty queue": ("queue", "", "200"),
    "a body of more than 1 MiB": ("body", text_of(MEGABYTE + 1), "reference"),
    "a body of 65 levels": ("body", nested(65), "Flatten"),
    "a body of 10,000 levels": ("body", nested(900), "Flatten"),
    "headers of more than 16 KiB": ("headers", text_of(16385), "reference"),
    "headers of 65 levels": ("headers", nested(65), "Flatten"),
    "headers that are text": ("headers", Jsonb("x"), "name"),
    "headers that are a list": ("headers", Jsonb([1]), "name"),
    "a body with a number of 4001 digits": ("body", Jsonb([{"n": -(10**4000)}]), "text"),
    "meta that is a number of 4001 digits": ("meta", Jsonb(10**4000), "text"),
    "meta of more than 16 KiB": ("meta", text_of(16385), "reference"),
    "an empty key": ("key", "", "200"),
    "a key of 201 characters": ("key", "k" * 201, "200"),
    "a key of digits": ("key", "12345", "letter"),
    "a key with a newline": ("key", "a\nb", "printable"),
    "a key with an escape": ("key", "a\x1b[31m", "printable"),
    "a key with a delete": ("key", "a\x7f", "printable"),
    "a key with a C1 control": ("key", "a\x85b", "printable"),
    "a timeout of zero": ("timeout", 0, "from"),
    "a negative timeout": ("timeout", -1, "from"),
    "a timeout of NaN": ("timeout", "NaN", "from"),
    "an infinite timeout": ("timeout", "Infinity", "from"),
    "negative retries": ("max_retries", -1, "from"),
    "too many retries": ("max_retries", 10001, "10000"),
    "a priority above smallint": ("priority", 32768, "32766"),
    "the priority of what is at the front": ("priority", 32767, "32766"),
    "a priority below smallint": ("priority", -32769, "-32768"),
    "a negative delay": ("delay", -0.1, "from"),
    "a delay of NaN": ("delay", "NaN", "from"),
    "a negative ttl": ("ttl", -1, "from"),
    "an infinite ttl": ("ttl", "Infinity", "from"),
    "a result_ttl below -1": ("result_ttl", -2, "from"),
    "a failure_ttl below -1": ("failure_ttl", -2, "from"),
    "a moment that never comes": ("scheduled_at", "infinity", "moment"),
    "a moment that no client can read": ("scheduled_at", "9999-01-01 00:00:00+00", "moment"),
    "a negative backoff": ("backoff", [1, -1], "from"),
    "a null in backoff": ("backoff", [1, None], "seconds"),
    "a backoff of 101 delays": ("backoff", [1] * 101, "repeats"),
}
JSON_OPTIONS = {
    name: (field, value)
    for name, (field, value, _) in BAD_OPTIONS.items()
    if value not in ("NaN", "Infinity")  # no words of JSON
}
GOOD_OPTIONS: dict[str, tuple[str, object]] = {
    "a task of 200 characters": ("task", "aZ09_.:-" * 25),
    "a task of one character": ("task", "t"),
    "a queue of 200 characters": ("queue", "q" * 200),
    "a body of 1 MiB": ("body", text_of(MEGABYTE)),
    "a body of 64 levels": ("body", nested(64)),
    "headers of 16 KiB": ("headers", Jsonb({"h": "x" * (16384 - 9)})),
    "a body with a number of 4000 digits": ("body", Jsonb([10**3999])),
    "a body with digits in text": ("body", Jsonb(["7" * 5000])),
    "a key of 200 characters": ("key", "\u00e9" * 200),
    "a key with a digit and a letter": ("key", "1a"),
    "a key of odd but printable characters": ("key", "a'\"\\%_; \u202e\U0001f418"),
    "the smallest timeout": ("timeout", 0.001),
    "no retries": ("max_retries", 0),
    "most retries": ("max_retries", 10000),
    "the highest priority": ("priority", 32766),
    "the lowest priority": ("priority", -32768),
    "a result for ever": ("result_ttl", -1),
    "an empty backoff": ("backoff", []),
    "the distant past": ("scheduled_at", "-infinity"),
}
NO_JOBS = [
    "{}",
    "null",
    '"x"',
    "[1]",
    "[null]",
    "[[]]",
    '[{"task": "a", "i_body": {}}]',
    '[{"task": "a", "timeout": "x"}]',
    '[{"task": "a", "priority": 1.5}]',
    '[{"task": "a", "scheduled_at": "soon"}]',
    '[{"task": "a", "backoff": {}}]',
    '[{"task": "a", "max_retries": 1e30}]',
    '[{"task": {}, "timeout": true}]',
]
ERRORS = {
    "long": "x" * 200_000,
    "long and wide": "\u00e9" * 200_000,
    "many lines": "\n".join(["line"] * 50_000),
    "control characters": "\x1b[31m\x01\r\u2028\u202e",
    "empty": "",
    "blank": " \n ",
}
TYPES = {"backoff": "::numeric[]"}


def call(field: str) -> str:
    if field == "task":
        return "select job_id from jobs.publish(%s)"
    return f"select job_id from jobs.publish('a.b', i_{field} => %s{TYPES.get(field, '')})"


def plain(value: object) -> object:
    return str(value) if isinstance(value, float) else value


@pytest.mark.parametrize(("field", "value", "fix"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_publish_refuses(sql: Session, field: str, value: object, fix: str) -> None:
    publish(sql, key="kept")
    before = counts(sql)

    said = refused(sql, "JB001", call(field), plain(value))

    assert said.column_name == field
    assert (said.message_primary or "").startswith(f"{field}: ")
    assert len(said.message_primary or "") < 300
    assert fix in (said.message_hint or "")
    assert counts(sql) == before
    assert take(sql)["job_id"] == "kept"


@pytest.mark.parametrize(("field", "value"), GOOD_OPTIONS.values(), ids=GOOD_OPTIONS.keys())
def test_publish_takes(sql: Session, field: str, value: object) -> None:
    job_id = sql.value(call(field), plain(value))

    assert take(sql)["job_id"] == job_id
    sql.execute("select jobs.ack(%s)", job_id)
    assert sql.rows("select * from jobs.fsck()") == []


@pytest.mark.parametrize(("field", "value"), JSON_OPTIONS.values(), ids=JSON_OPTIONS.keys())
def test_publish_many_refuses_all_for_one(sql: Session, field: str, value: object) -> None:
    element = {"task": "a.b", field: value.obj if isinstance(value, Jsonb) else value}

    said = refused(sql, "JB001", "select * from jobs.publish_many(%s)", Jsonb([{"task": "good"}, element]))

    assert said.column_name == field
    assert set(counts(sql).values()) == {0}


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("task", "(null, null, null, null, null, null)"),
        ("task", "('a b', null, null, null, null, null)"),
        ("timeout", "('a', null, null, 0, null, null)"),
        ("priority", "('a', null, null, null, 40000, null)"),
        ("max_retries", "('a', null, null, null, null, -1)"),
        ("scheduled_at", "('a', null, 'infinity', null, null, null)"),
    ],
)
def test_publish_bulk_refuses_all_for_one(sql: Session, field: str, row: str) -> None:
    good = "('good', null, null, null, null, null)"
    query = f"select * from jobs.publish_bulk(array[{good}, {row}]::jobs.bulk_job[])"

    said = refused(sql, "JB001", query)

    assert said.column_name == field
    assert set(counts(sql).values()) == {0}


@pytest.mark.parametrize("document", NO_JOBS)
def test_publish_many_refuses_what_is_no_list_of_jobs(sql: Session, document: str) -> None:
    said = refused(sql, "JB001", "select * from jobs.publish_many(%s)", document)

    assert said.column_name == "jobs"
    assert said.message_hint
    assert set(counts(sql).values()) == {0}


@pytest.mark.parametrize("document", [None, "{}", "1", '"x"', "null"])
def test_publish_each_refuses_what_is_no_list_of_bodies(sql: Session, document: str | None) -> None:
    said = refused(sql, "JB001", "select jobs.publish_each('a', %s)", document)

    assert said.column_name == "bodies"
    assert said.message_hint
    assert set(counts(sql).values()) == {0}


@pytest.mark.parametrize("body", ["[" * 65 + "]" * 65, '{"a": "' + "x" * 1048577 + '"}', "1e131071"])
def test_publish_each_names_the_body_that_it_refuses(sql: Session, body: str) -> None:
    query = "select jobs.publish_each('a', jsonb_build_array(1, %s::jsonb))"
    said = refused(sql, "JB001", query, body)

    assert said.column_name == "bodies[1]"
    assert set(counts(sql).values()) == {0}


@pytest.mark.parametrize(
    ("field", "value"), [("timeout", 0), ("delay", -1), ("queue", "a b"), ("ttl", "NaN")]
)
def test_publish_each_refuses_what_publish_refuses(sql: Session, field: str, value: object) -> None:
    said = refused(sql, "JB001", f"select jobs.publish_each('a', '[1]', i_{field} => %s)", value)

    assert said.column_name == field
    assert set(counts(sql).values()) == {0}


def test_delay_and_scheduled_at_exclude_each_other(sql: Session) -> None:
    said = refused(sql, "JB001", "select jobs.publish('a', i_delay => 1, i_scheduled_at => '2040-01-01')")

    assert said.column_name == "delay"


def test_a_caller_s_transaction_survives_a_refused_publish_in_a_savepoint(sql: Session) -> None:
    sql.begin()
    publish(sql, key="kept")
    sql.execute("savepoint s")
    refused(sql, "JB001", "select jobs.publish('a b')")
    sql.execute("rollback to s")
    sql.commit()

    assert [job["job_id"] for job in consume(sql)] == ["kept"]


def worker_with(tasks: str) -> str:
    return f"select jobs.worker_started('w', '{tasks}')"


OTHER_CALLS: dict[str, tuple[str, str]] = {
    "consume none": ("num", "select * from jobs.consume(0)"),
    "consume a negative number": ("num", "select * from jobs.consume(-1)"),
    "consume too many": ("num", "select * from jobs.consume(10001)"),
    "consume null": ("num", "select * from jobs.consume(null::int)"),
    "consume none of a topic": ("num", "select * from jobs.consume_topic('a.%', 0)"),
    "nack with an odd kind": ("kind", "select jobs.nack('j', i_kind => 'a b')"),
    "nack without a kind": ("kind", "select jobs.nack('j', i_kind => null)"),
    "nack with a negative delay": ("delay", "select jobs.nack('j', i_delay => -1)"),
    "nack for too late": ("scheduled_at", "select jobs.nack('j', i_scheduled_at => '294276-12-31')"),
    "nack for never": ("scheduled_at", "select jobs.nack('j', i_scheduled_at => 'infinity')"),
    "ack with a large result": ("result", "select jobs.ack('j', to_jsonb(repeat('x', 1048576)))"),
    "ack with a deep result": ("result", "select jobs.ack('j', (repeat('[', 65) || repeat(']', 65))::jsonb)"),
    "snooze without a delay": ("delay", "select jobs.snooze('j', null)"),
    "snooze with a negative delay": ("delay", "select jobs.snooze('j', -1)"),
    "snooze with NaN": ("delay", "select jobs.snooze('j', 'NaN')"),
    "wait too long": ("timeout", "select jobs.wait('j', 61)"),
    "wait a negative time": ("timeout", "select jobs.wait('j', -1)"),
    "wait null": ("timeout", "select jobs.wait('j', null)"),
    "wait NaN": ("timeout", "select jobs.wait('j', 'NaN')"),
    "list an odd state": ("state", "select * from jobs.list('sleeping')"),
    "list none": ("limit", "select * from jobs.list(i_limit => 0)"),
    "list null": ("limit", "select * from jobs.list(i_limit => null)"),
    "prune what is older than the world": ("older_than", "select jobs.prune('178000000 years')"),
    "wait for NaN seconds": ("timeout", "call jobs.wait_for('j', 'NaN')"),
    "wait for a negative time": ("timeout", "call jobs.wait_for('j', -1)"),
    "prune what is newer than now": ("older_than", "select jobs.prune('-1 day')"),
    "prune none": ("limit", "select jobs.prune(null, 0)"),
    "purge an odd queue": ("queue", "select jobs.purge_queue('a b')"),
    "purge none": ("limit", "select jobs.purge_queue('a', 0)"),
    "log what is no list": ("lines", "select jobs.log('j', 1, '{}')"),
    "read no lines of a log": ("limit", "select * from jobs.logs('j', 0, 0)"),
    "pause an odd queue": ("queue", "select jobs.pause_queue('a b')"),
    "pause nothing": ("queue", "select jobs.pause_queue(null)"),
    "resume an odd queue": ("queue", "select jobs.resume_queue('')"),
    "set an odd queue": ("queue", "select jobs.set_queue('a b', 60)"),
    "keep results for -2 s": ("result_ttl", "select jobs.set_queue('mail', -2)"),
    "keep failures for NaN": ("failure_ttl", "select jobs.set_queue('mail', i_failure_ttl => 'NaN')"),
    "a worker with a short lease": ("lease", "select jobs.worker_started('w', i_lease => 0)"),
    "a worker with a lease of NaN": ("lease", "select jobs.worker_started('w', i_lease => 'NaN')"),
    "a worker whose tasks are no list": ("tasks", "select jobs.worker_started('w', '{}')"),
    "a worker with a task without a name": ("task", "select jobs.worker_started('w', '[{}]')"),
    "a worker with a task of numbers": ("tasks", "select jobs.worker_started('w', '[1]')"),
    "a worker with an odd task": ("task", worker_with('[{"name": "a b"}]')),
    "a worker with an odd queue": ("queue", worker_with('[{"name": "a", "queue": ""}]')),
    "a worker with an odd timeout": ("timeout", worker_with('[{"name": "a", "timeout": 0}]')),
    "a worker with a textual timeout": ("tasks", worker_with('[{"name": "a", "timeout": "x"}]')),
    "a worker with huge retries": ("tasks", worker_with('[{"name": "a", "max_retries": 1e30}]')),
}


@pytest.mark.parametrize(("field", "query"), OTHER_CALLS.values(), ids=OTHER_CALLS.keys())
def test_other_functions_refuse(sql: Session, field: str, query: str) -> None:
    publish(sql, key="j")
    run_id = take(sql)["run_id"]
    before = counts(sql)

    said = refused(sql, "JB001", query)

    assert (said.column_name, bool(said.message_hint)) == (field, True)
    assert counts(sql) == before
    assert sql.value("select run_id from jobs.running") == run_id
    assert sql.rows("select * from jobs.workers") == []


OUTCOMES: dict[str, str] = {
    "an object": '{"a": 1}',
    "a number": "7",
    "numbers": "[1, 2]",
    "objects": '[{"id": 1}]',
    "texts for numbers": '[["x", "y", "succeeded"]]',
    "numbers too large": '[[1e30, 1e30, "succeeded"]]',
    "nothing": "[[]]",
    "an unknown verb": '[[{id}, {run}, "exploded"]]',
    "no verb": "[[{id}, {run}]]",
    "an odd pause": '[[{id}, {run}, "snoozed", "soon"]]',
    "an endless pause": '[[{id}, {run}, "snoozed", 1e400]]',
    "an unknown reason to park": '[[{id}, {run}, "parked", "weather", "rain"]]',
    "no reason to park": '[[{id}, {run}, "parked"]]',
    "an odd finality": '[[{id}, {run}, "failed", "error", "x", null, null, "perhaps"]]',
}


@pytest.mark.parametrize("outcomes", OUTCOMES.values(), ids=OUTCOMES.keys())
def test_exchange_refuses_outcomes_that_cannot_be_read(sql: Session, outcomes: str) -> None:
    for _ in range(2):
        publish(sql, "a.b")
    worker = start_worker(sql, "a.b")
    (first, second) = exchange(sql, worker, num=2, sleep=True)["jobs"]
    before = counts(sql)
    given = outcomes.replace("{id}", str(first[0])).replace("{run}", str(first[1]))
    if given.startswith("[["):
        given = f'[[{second[0]}, {second[1]}, "succeeded", 1], {given[1:]}'

    said = refused(sql, "JB001", "select jobs.exchange(%s, %s)", worker, given)

    assert (said.column_name, bool(said.message_hint)) == ("outcomes", True)
    assert counts(sql) == before, "nothing of the call counts"


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_of_any_size_and_content_is_kept_truncated(sql: Session, error: str) -> None:
    job_id = publish(sql, max_retries=0)
    take(sql)

    assert sql.value("select state from jobs.nack(%s, %s)", job_id, error) == "failed"

    row = sql.row("select error, traceback, octet_length(traceback) as bytes from jobs.job")
    assert row["bytes"] <= 65536
    assert error.startswith(row["traceback"])
    assert row["error"]
    assert len(row["error"]) <= 1000
    assert row["error"].isprintable() or error.startswith("\x1b")
    assert not set(row["error"]) & set("\x1b\x01\r\n\u2028")


@pytest.mark.parametrize("body", ['"\\u0000"', '{"a": "\\u0000"}', '"\\ud800"', '{"a": NaN}', "1e400000"])
def test_what_json_cannot_say_is_refused_by_postgresql_and_loses_nothing(sql: Session, body: str) -> None:
    before = counts(sql)

    with pytest.raises(psycopg.DataError):
        sql.rows("select jobs.publish('a', %s)", body)

    assert counts(sql) == before


ABOVE_READ_COMMITTED = {
    "consume": "select * from jobs.consume(1)",
    "consume by topic": "select * from jobs.consume('%', 1)",
    "consume_topic": "select * from jobs.consume_topic('%', 1)",
    "exchange": "select jobs.exchange(1)",
    "cancel": "select jobs.cancel('j')",
    "wait": "select jobs.wait('j', 0)",
    "maintain": "select * from jobs.maintain()",
    "worker_stopped": "select jobs.worker_stopped(1)",
    "reconcile": "select jobs.reconcile(1, '{}')",
}


@pytest.mark.parametrize("query", ABOVE_READ_COMMITTED.values(), ids=ABOVE_READ_COMMITTED.keys())
@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_what_needs_new_snapshots_is_refused_above_read_committed(
    sql: Session, query: str, isolation: str
) -> None:
    publish(sql, key="j")
    start_worker(sql, "a")
    sql.begin(isolation)

    said = refused(sql, "JB005", query)

    sql.rollback()
    assert isolation in (said.message_primary or "")
    assert "READ COMMITTED" in (said.message_hint or "")
    assert state(sql, "j") == "ready"


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_ack_and_nack_work_at_every_level(sql: Session, isolation: str) -> None:
    for key in ("good", "bad"):
        publish(sql, key=key, max_retries=0)
    consume(sql)

    sql.begin(isolation)
    sql.execute("select jobs.ack('good')")
    sql.execute("select jobs.nack('bad')")
    sql.commit()

    assert (state(sql, "good"), state(sql, "bad")) == ("succeeded", "failed")


def test_each_error_has_its_own_code_and_a_hint(sql: Session) -> None:
    publish(sql, key="ready")
    publish(sql, "w.b", key="worked", queue="w")
    worker = start_worker(sql, "w.b", queues=["w"])
    exchange(sql, worker, num=1, sleep=True)
    calls = {
        "JB001": "select jobs.publish('a b')",
        "JB002": "select jobs.ack('ready')",
        "JB003": "select jobs.ack('missing')",
        "JB004": "select jobs.retry('worked')",
        "JB006": "select jobs.ack('worked')",
        "JB007": "select jobs.exchange(4711)",
    }

    said = {code: refused(sql, code, query) for code, query in calls.items()}

    assert len({one.message_primary for one in said.values()}) == len(calls)
    assert all(one.message_hint and "\n" not in one.message_hint for one in said.values())
