"""What a worker is told when it starts; travels to worker processes as JSON."""

from __future__ import annotations

import msgspec

__all__ = ["WorkerOptions"]


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works.

    `queues`: serve these only, all when empty, one after the other; with `weights` in
    these parts. `labels`: what
    the worker has, for jobs that require it. `topic`: run tasks whose names match this pattern only.
    `concurrency`: jobs run at once. `burst`: end when there is nothing more to do. `allow`: packages whose
    functions may be run by name. `lease`, `grace` (seconds), `recycle_jobs`, `recycle_megabytes` and
    `overruns`: see `Settings`. `name`: a label. `reload`: a process of a `Supervisor` ends when a source file
    of the project changes, and a new one takes its place.

    >>> WorkerOptions(queues=("mail",)).concurrency
    10
    """

    queues: tuple[str, ...] = ()
    topic: str | None = None
    concurrency: int = 10
    burst: bool = False
    allow: tuple[str, ...] = ()
    lease: float = 15.0
    grace: float = 30.0
    name: str | None = None
    reload: bool = False
    recycle_jobs: int = 1000
    recycle_megabytes: int = 1024
    overruns: int = 10
    weights: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
