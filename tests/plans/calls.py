"""The calls whose cost is measured, each with the size of its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plans.conftest import Crowd

_MANY = """(select jsonb_agg(jsonb_build_object('task', 'demo.task', 'queue', 'q1', 'key', {key}))
              from generate_series(1, 100) n)"""

_OUTCOMES = """(select jsonb_agg(jsonb_build_array(x.id, x.run_id, {verb}))
                  from (select id, run_id from howdah.running where worker_id = {worker} limit 100) x)"""

_LANES = 15  # a tick looks at the head of each
_PLAIN_JOB = "(select id::text from howdah.running where worker_id is null order by id limit 1)"
_PLAIN_RUNS = "array(select run_id from howdah.running where worker_id is null order by id limit 20)"


def calls(crowd: Crowd) -> dict[str, tuple[str, int]]:
    """Return the statements by name, with how many jobs each touches."""
    ready, scheduled, finished, blocked, waiting = (
        crowd.job(state) for state in ("ready", "scheduled", "finished", "blocked", "waiting")
    )
    parent = crowd.count + 1  # a tenth of those that wait are its children
    children = f"null, 'depends_on', array[{parent}]"

    def exchange(verb: str) -> str:
        outcomes = _OUTCOMES.format(verb=verb, worker=crowd.worker)
        return f"select jobs.exchange({crowd.worker}, {outcomes}, 100)"

    return {
        "publish": ("select * from jobs.publish('demo.task', '{}', i_queue => 'q1')", 1),
        "publish a new key": ("select * from jobs.publish('demo.task', i_key => 'new')", 1),
        "publish a known key": (f"select * from jobs.publish('demo.task', i_key => 'key-{finished}')", 1),
        "publish a child": (f"select * from jobs.publish('a', i_depends_on => '{{{scheduled}}}')", 1),
        "publish a child of many": (
            f"""select * from jobs.publish('a', i_depends_on => (
                select array_agg(n::text) from generate_series({parent}, {parent} + 99) n))""",
            100,
        ),
        "publish many children": (
            f"select * from jobs.publish_many({_MANY.format(key=children)})",
            100,
        ),
        "settle new edges": (
            f"""with p as materialized (select jobs.publish('a', i_depends_on => '{{{scheduled}}}'))
                select jobs.maintain() from p""",
            2 * _LANES,
        ),
        "cancel a parent of many and settle": (
            f"with c as materialized (select jobs.cancel('{parent}')) select jobs.maintain() from c",
            4000,
        ),
        "cancel a child": (f"select * from jobs.cancel('{waiting}')", 1),
        "retry a child": (f"select * from jobs.retry('{waiting}')", 1),
        "why a child": (f"select * from jobs.why('{waiting}')", 1),
        "relatives of a child": (f"select * from jobs.relatives('{waiting}')", 1),
        "relatives of a parent": (f"select * from jobs.relatives('{parent}', 100)", 100),
        "publish for later": ("select * from jobs.publish('demo.task', i_delay => 60)", 1),
        "publish each": (
            "select jobs.publish_each('plan.task', (select jsonb_agg(n) from generate_series(1, 100) n))",
            100,
        ),
        "publish many": (f"select * from jobs.publish_many({_MANY.format(key='null')})", 100),
        "publish many keys": (f"""select * from jobs.publish_many({_MANY.format(key="'new-' || n")})""", 100),
        "publish many known keys": (
            f"""select * from jobs.publish_many({_MANY.format(key="'key-' || n * 10")})""",
            100,
        ),
        "consume": ("select * from jobs.consume(100)", 100),
        "consume one": ("select * from jobs.consume(1)", 1),
        "consume a queue": ("select * from jobs.consume(100, array['q3'])", 100),
        "consume queues in an order": ("select * from jobs.consume(100, array['q3', 'q1'])", 100),
        "consume one of two queues": ("select * from jobs.consume(1, array['q3', 'q1'])", 1),
        "publish for a tenant": (
            "select * from jobs.publish('demo.task', i_tenant => 'a', i_requires => '{gpu}')",
            1,
        ),
        "consume topic": ("select * from jobs.consume_topic('demo.%', 100)", 100),
        "exchange claims": (f"select jobs.exchange({crowd.worker}, null, 100)", 100),
        "exchange acks and claims": (exchange("'succeeded', 1"), 200),
        "exchange fails and claims": (exchange("'failed', 'error', 'no', null, null, false"), 200),
        "exchange hands back and claims": (exchange("'released'"), 200),
        "exchange looks before sleep": (f"select jobs.exchange({crowd.worker}, null, 1, true)", _LANES),
        "ack": (f"select * from jobs.ack({_PLAIN_JOB}, '1')", 1),
        "nack": (f"select * from jobs.nack({_PLAIN_JOB}, 'Error: no')", 1),
        "snooze": (f"select * from jobs.snooze({_PLAIN_JOB}, 60)", 1),
        "release": (f"select * from jobs.release({_PLAIN_JOB})", 1),
        "heartbeat of runs": (f"select * from jobs.heartbeat(i_run_ids => {_PLAIN_RUNS})", 20),
        "heartbeat of a worker": (f"select * from jobs.heartbeat({crowd.worker})", 1),
        "cancel ready": (f"select * from jobs.cancel('{ready}')", 1),
        "cancel scheduled": (f"select * from jobs.cancel('{scheduled}')", 1),
        "cancel blocked": (f"select * from jobs.cancel('{blocked}')", 1),
        "cancel by key": (f"select * from jobs.cancel('key-{ready}')", 1),
        "cancel finished": (f"select * from jobs.cancel('{finished}')", 1),
        "cancel running": (f"select * from jobs.cancel({_PLAIN_JOB})", 1),
        "retry scheduled": (f"select * from jobs.retry('{scheduled}')", 1),
        "retry finished": (f"select * from jobs.retry('{finished}')", 1),
        "delete ready": (f"select * from jobs.delete('{ready}')", 1),
        "delete finished": (f"select * from jobs.delete('{finished}')", 1),
        "get ready": (f"select * from jobs.get('{ready}')", 1),
        "get scheduled": (f"select * from jobs.get('{scheduled}')", 1),
        "get finished": (f"select * from jobs.get('{finished}')", 1),
        "get by key": (f"select * from jobs.get('key-{finished}')", 1),
        "failures": (f"select * from jobs.failures('{finished}')", 1),
        "why scheduled": (f"select * from jobs.why('{scheduled}')", 1),
        "why blocked": (f"select * from jobs.why('{blocked}')", 1),
        "why finished": (f"select * from jobs.why('{finished}')", 1),
        "wait": (f"select * from jobs.wait('{finished}', 1)", 1),
        "list": ("select * from jobs.list(null, null, null, 50)", 50),
        "maintain": ("select * from jobs.maintain()", 2 * _LANES),
        "prune nothing": ("select * from jobs.prune()", 1),
        "prune by age": ("select * from jobs.prune(interval '1 min', 100)", 100),
        "prune for a queue": (
            "with q as materialized (select jobs.set_queue('q1', 60)) select jobs.prune(null, 100) from q",
            300,  # looks at the jobs of the other four queues, too
        ),
        "worker starts": ("select jobs.worker_started('v', '[{\"name\": \"demo.task\"}]')", 1),
        "worker stops": (f"select jobs.worker_stopped({crowd.worker})", 200),
        "pause": ("select jobs.pause_queue('q1')", 1),
    }
