"""The API functions that the pair tests combine, and the states they start from."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MOVES: Final = MappingProxyType(
    {
        "publish": "select jobs.publish('demo.task', i_key => 'k', i_queue => 'q')",
        "publish many": (
            """select jobs.publish_many('[{"task": "demo.task", "queue": "q", "key": "z"},"""
            """ {"task": "demo.task", "queue": "q"}, {"task": "demo.task", "queue": "q", "key": "k"}]')"""
        ),
        "publish unique": "select jobs.publish('demo.task', i_queue => 'q', i_unique_key => 'u')",
        "replace": (
            "select jobs.publish('demo.task', '7', i_queue => 'q', i_unique_key => 'u',"
            " i_unique_mode => 'replace')"
        ),
        "publish each": """select jobs.publish_each('demo.task', '[1, 2]', i_queue => 'q')""",
        "publish for a tenant": (
            "select jobs.publish('demo.task', i_queue => 'q', i_tenant => 'one', i_at_front => true)"
        ),
        "publish for labels": "select jobs.publish('demo.task', i_queue => 'q', i_requires => array['gpu'])",
        "publish for a slot": (
            "select jobs.publish('demo.task', i_key => 'n', i_queue => 'q', i_concurrency_key => 's')"
        ),
        "set a limit": "select jobs.set_key('s', i_max_running => 2)",
        "publish child": "select jobs.publish('demo.task', i_key => 'c', i_depends_on => '{k}')",
        "consume": "select id from jobs.consume(10)",
        "consume with labels": "select id from jobs.consume(10, array['q', 'r'], array['gpu'])",
        "consume topic": "select id from jobs.consume_topic('%', 10)",
        "ack": "select jobs.ack('k', '1', race.run())",
        "nack": "select jobs.nack('k', 'Error: no', i_run_id => race.run())",
        "snooze": "select jobs.snooze('k', 60, race.run())",
        "release": "select jobs.release('k', race.run())",
        "heartbeat of a run": "select * from jobs.heartbeat(i_run_ids => array[coalesce(race.run(), 0)])",
        "heartbeat of the worker": "select * from jobs.heartbeat(race.worker())",
        "exchange claims": "select jobs.exchange(race.eager_worker(), null, 10)",
        "exchange hands in": "select jobs.exchange(race.eager_worker(), race.outcomes('succeeded'))",
        "exchange hands back": "select jobs.exchange(race.eager_worker(), race.outcomes('released'))",
        "cancel": "select jobs.cancel('k')",
        "retry": "select jobs.retry('k')",
        "delete": "select jobs.delete('k')",
        "delete by force": "select jobs.delete('k', true)",
        "pause": "select jobs.pause_queue('q')",
        "resume": "select jobs.resume_queue('q')",
        "maintain": "select * from jobs.maintain()",
        "prune": "select jobs.prune()",
        "worker started": (
            """select jobs.worker_started('v', '[{"name": "demo.task"}, {"name": "other.task"}]')"""
        ),
        "worker stopped": "select jobs.worker_stopped(race.worker())",
        "worker crashed": "select jobs.worker_stopped(race.worker(), true)",
    }
)

STATES: Final = (
    "ready",
    "ready_tenant",
    "running_plain",
    "running_worker",
    "scheduled",
    "due",
    "blocked",
    "finished",
    "overdue",
    "orphaned",
    "outlived",
    "asked",
    "waiting",
    "told",
    "slotted",
)

_EXCHANGES: Final = frozenset({"exchange claims", "exchange hands in", "exchange hands back"})

# They take rows with SKIP LOCKED: what somebody holds is left for the next call.
SKIP_LOCKED: Final = (
    frozenset({"consume", "consume with labels", "consume topic", "maintain", "prune"}) | _EXCHANGES
)

# They end the registration of a worker that is past its lease, or that asks for it.
BURY: Final = frozenset(
    {"consume", "consume with labels", "consume topic", "maintain", "worker stopped", "worker crashed"}
)

# They answer 55P03 (try again) at once when somebody is about to end the worker's registration.
HOLD_WORKER: Final = frozenset({"heartbeat of the worker"}) | _EXCHANGES

# JB005 above READ COMMITTED.
READ_COMMITTED_ONLY: Final = (
    frozenset(
        {
            "consume",
            "consume with labels",
            "consume topic",
            "cancel",
            "maintain",
            "worker stopped",
            "worker crashed",
        }
    )
    | _EXCHANGES
)

ISOLATIONS: Final = ("read committed", "repeatable read", "serializable")
ENDINGS: Final = ("commit", "rollback", "terminate")


@dataclass(frozen=True, slots=True)
class Case:
    """Two calls that meet: the first one's transaction is open when the second one starts."""

    state: str
    first: str
    second: str
    ending: str
    first_isolation: str = ISOLATIONS[0]
    second_isolation: str = ISOLATIONS[0]
