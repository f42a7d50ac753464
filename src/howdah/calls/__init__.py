"""One pure function per function of the schema `jobs`: its arguments and how its rows are read.

A `Call` says nothing about how it is executed: a driver renders a statement, PostgREST takes its `body`.
Arguments that were not given are left out, so that defaults exist once, in the database.
"""

from howdah.calls.call import Call
from howdah.calls.consuming import ack, consume, nack, release, snooze
from howdah.calls.control import (
    cancel,
    delete,
    pause_queue,
    purge_queue,
    resume_queue,
    retry,
    set_key,
    set_queue,
    set_task,
)
from howdah.calls.looking import (
    failures,
    fsck,
    get,
    left_over,
    list_jobs,
    list_queues,
    list_tasks,
    list_workers,
    logs,
    maintain,
    prune,
    relatives,
    stats,
    unfinished,
    version,
    why,
)
from howdah.calls.publishing import merged, publish, publish_all, publish_each
from howdah.calls.working import (
    exchange,
    heartbeat,
    log,
    reconcile,
    run_died,
    session_started,
    worker_started,
    worker_stopped,
)

__all__ = [
    "Call",
    "ack",
    "cancel",
    "consume",
    "delete",
    "exchange",
    "failures",
    "fsck",
    "get",
    "heartbeat",
    "left_over",
    "list_jobs",
    "list_queues",
    "list_tasks",
    "list_workers",
    "log",
    "logs",
    "maintain",
    "merged",
    "nack",
    "pause_queue",
    "prune",
    "publish",
    "publish_all",
    "publish_each",
    "purge_queue",
    "reconcile",
    "relatives",
    "release",
    "resume_queue",
    "retry",
    "run_died",
    "session_started",
    "set_key",
    "set_queue",
    "set_task",
    "snooze",
    "stats",
    "unfinished",
    "version",
    "why",
    "worker_started",
    "worker_stopped",
]
