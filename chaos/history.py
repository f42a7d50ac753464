"""The history of a run, as values: what the checker judges. Times are seconds of CLOCK_MONOTONIC."""

from __future__ import annotations

from typing import Any

import msgspec

# A time that JSON can hold, and that comes after everything.
NEVER = 1e15


class Move(msgspec.Struct, frozen=True):
    """One committed change of a state table. `began` is the start of its transaction, `committed` the end.

    `place` is the table, `verb` in, out or changed; `due`: of a scheduled row.
    """

    seq: int
    at: float
    began: float
    xid: str
    job: int
    place: str
    verb: str
    run: int | None = None
    worker: int | None = None
    attempt: int | None = None
    state: str | None = None
    due: float | None = None
    queue: str | None = None
    committed: float | None = None


class Body(msgspec.Struct, frozen=True):
    """What a job with a unique key carries from then on. `seq` counts together with that of moves.

    `token` is that of the publish which came last, `batch` holds those that were merged. `asked`: when the
    statement began that wrote it; `until`: the part of its life in which the job holds its key.
    """

    seq: int
    at: float
    asked: float
    xid: str
    job: int
    created: bool
    key: str
    until: str
    token: str
    batch: tuple[str, ...]
    queue: str = "default"
    slot_key: str | None = None
    slots: int = 1
    committed: float | None = None


class Life(msgspec.Struct, frozen=True):
    """A registered worker, from its registration to its end."""

    worker: int
    pid: int | None
    lease: float
    began: float
    ended: float = NEVER


class Beat(msgspec.Struct, frozen=True):
    """A heartbeat that was committed."""

    worker: int
    at: float


class FinalJob(msgspec.Struct, frozen=True):
    """A job as the database shows it at the end; `digest` is that of its arguments.

    `slot_key`: its concurrency key, which has so many `slots`. `batch`: tokens of those merged into it.
    """

    id: int
    key: str | None
    task: str
    token: str
    digest: str
    state: str
    attempt: int
    max_retries: int
    run: int | None = None
    kind: str | None = None
    result: Any = None
    parents: tuple[int, ...] = ()
    allow_failure: bool = False
    slot_key: str | None = None
    slots: int = 1
    queue: str = "default"
    batch: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """A failed attempt, or a death, as the database keeps it."""

    job: int
    run: int
    kind: str


class Effect(msgspec.Struct, frozen=True):
    """A row that a task wrote with `ctx.connection`."""

    job: int
    run: int
    token: str


class Publication(msgspec.Struct, frozen=True):
    """One call that published, of one token, and what came of it.

    `outcome`: ok, refused, unknown or rolled back. `expect`: the states in which the job may end.
    `unique`: the harness's own name of the unique key. `period`: the seconds for which the key was to be held
    in any case. `holder`: the job that a refusal named.
    """

    token: str
    began: float
    ended: float
    outcome: str
    task: str
    expect: tuple[str, ...]
    digest: str
    pid: int = 0
    key: str | None = None
    call: str = ""
    max_retries: int | None = None
    cancels: bool = False
    job: int | None = None
    created: bool | None = None
    unique: str | None = None
    mode: str = "skip"
    period: float = 0.0
    holder: int | None = None


class Cancellation(msgspec.Struct, frozen=True):
    """An answered call that cancelled; `state` is what it answered."""

    job: int
    began: float
    ended: float
    state: str


class Execution(msgspec.Struct, frozen=True):
    """What a process did for one run; `how` is None when it was never seen to end.

    `pid` is the worker's. `alone`: it was in a process of its own, which that worker had started.
    """

    job: int
    run: int
    attempt: int
    task: str
    token: str
    digest: str
    pid: int
    began: float
    ended: float = NEVER
    how: str | None = None
    in_thread: bool = False
    alone: bool = False
    batch: tuple[str, ...] = ()


class HandIn(msgspec.Struct, frozen=True):
    """What a consumer that is no worker was answered: ok, lost, unknown, or the text of an error."""

    job: int
    run: int
    verb: str
    began: float
    ended: float
    outcome: str


class ZombieCall(msgspec.Struct, frozen=True):
    """Calls for runs that had ended before; `accepted` must be empty."""

    verb: str
    at: float
    calls: int
    accepted: tuple[tuple[int, int], ...] = ()


class Strike(msgspec.Struct, frozen=True):
    """A fault, when it struck and whom. `scope`: see `chaos.faults.fault`."""

    fault: str
    number: int
    scope: str
    at: float
    healed: float
    pids: tuple[int, ...] = ()
    parent: int | None = None
    supervised: bool = False


class Exit(msgspec.Struct, frozen=True):
    """A process under test that ended, by itself without a `cause`. `began`: when it was told to."""

    name: str
    pid: int
    born: float
    began: float
    at: float
    code: int
    cause: str | None


class Pause(msgspec.Struct, frozen=True):
    """A queue that was paused: from the answer to the pause to the call that resumed it."""

    queue: str
    began: float
    ended: float


class Probe(msgspec.Struct, frozen=True):
    """A job published when nothing else was to be done: from its publish, `at`, to its start, in seconds."""

    token: str
    latency: float
    at: float = 0.0


class Operation(msgspec.Struct, frozen=True):
    """What an operator did to a job: retry, cancel, delete; `outcome`: ok, unknown or an SQLSTATE."""

    verb: str
    job: int
    token: str
    began: float
    ended: float
    outcome: str


class LimitChange(msgspec.Struct, frozen=True):
    """A limit that was set by hand, or removed; `outcome`: ok or unknown.

    `kind`: queue or task. None: there is none; `rate`: starts in any `per` seconds.
    """

    kind: str
    name: str
    max_running: int | None
    rate: int | None
    per: float
    began: float
    ended: float
    outcome: str


class Lateness(msgspec.Struct, frozen=True):
    """For how many seconds between two moments a process waited for the machine."""

    since: float
    until: float
    late: float


class Config(msgspec.Struct, frozen=True):
    """What the run was made with: seconds, and the seed."""

    seed: int
    seconds: float
    lease: float
    grace: float
    faults: tuple[str, ...] = ()


class Remains(msgspec.Struct, frozen=True):
    """What was left when everything had ended: counts of what should be none, and lines of logs."""

    counts: dict[str, int] = {}
    fsck: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()
    deaths: tuple[int, ...] = ()
    drained: float | None = None
    drain_began: float = 0.0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known about a run."""

    config: Config
    moves: tuple[Move, ...] = ()
    bodies: tuple[Body, ...] = ()
    lives: tuple[Life, ...] = ()
    beats: tuple[Beat, ...] = ()
    jobs: tuple[FinalJob, ...] = ()
    failures: tuple[Failure, ...] = ()
    effects: tuple[Effect, ...] = ()
    publications: tuple[Publication, ...] = ()
    cancellations: tuple[Cancellation, ...] = ()
    executions: tuple[Execution, ...] = ()
    hand_ins: tuple[HandIn, ...] = ()
    zombies: tuple[ZombieCall, ...] = ()
    strikes: tuple[Strike, ...] = ()
    skipped: dict[str, str] = {}
    exits: tuple[Exit, ...] = ()
    pauses: tuple[Pause, ...] = ()
    probes: tuple[Probe, ...] = ()
    operations: tuple[Operation, ...] = ()
    limits: tuple[LimitChange, ...] = ()
    lateness: tuple[Lateness, ...] = ()
    remains: Remains = Remains()
