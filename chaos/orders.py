"""What publishers publish, drawn from a seed: pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

# Queues of the workers; the consumer serves `plain`.
QUEUES = ("default", "mail", "bulk")
PLAIN = "plain"
TENANTS = ("one", "two", "three")
# Jobs of one of these keys run one, two or three at a time.
_SLOT_KEYS = 30
# One order in eight is for unique jobs, of one of these tasks, for one of so many things: some have names, of
# the others the database makes keys.
UNIQUE = ("gathers", "gathers_in_thread", "by_hand")
_UNIQUE = 0.125
_NAMED, _MADE = 2, 2
# What the workers have, and some jobs require.
LABEL = "chaos"
# Tasks whose jobs legitimately wait when a run ends.
WAITING = {"far": "scheduled", "nobody_knows": "blocked"}

# Tasks that run in a process of their own.
ISOLATED = frozenset({"writes_alone", "writes_alone_async"})

# Tasks that no worker has registered.
UNKNOWN = frozenset({"by_hand", "far", "nobody_knows"})

# Publishers wait while there are more jobs to do; the ledger leaves room for the others.
BACKLOG, LEDGER_BACKLOG = 700, 650
# So many jobs wait for others.
_CHILDREN = 0.12
# Jobs in one order of the ledger.
LEDGER = 25

_PAYLOADS: tuple[Any, ...] = (
    None,
    "ключ \u2028 \U0001f418",
    {"nested": [1, 2.5, None, True, {"deep": "\\u0000"}], "": "empty"},
    [0, -1, 2**53, 0.1],
    "x" * 5000,
)


@dataclass(frozen=True, slots=True)
class Order:
    """One job to publish: how it is done, and which states it may end in.

    `mode`: plain, sync, many (`number` jobs), transaction, rollback. `keyed`: published with a key, and again
    until answered. `cancel_after`: seconds after which it is cancelled. `things`: for which its jobs are
    unique, in turn. `open`: seconds for which its transaction stays open.
    """

    task: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    mode: str = "plain"
    keyed: bool = False
    twice: bool = False
    cancel_after: float | None = None
    expect: tuple[str, ...] = ("succeeded",)
    number: int = 4
    things: tuple[int, ...] = ()
    open: float = 0.0

    def arguments(self, tokens: Sequence[str]) -> list[dict[str, Any]]:
        """Return the arguments of each job."""
        given = [{"token": token, **self.kwargs} for token in tokens]
        if self.things:
            for n, one in enumerate(given):
                one |= {"thing": self.things[n % len(self.things)], "batch": [one["token"]]}
        return given

    def unique_names(self, number: int) -> list[str] | None:
        """Return what the harness calls the unique key of each of so many jobs."""
        if not self.things:
            return None
        return [f"{self.task} {self.things[n % len(self.things)]}" for n in range(number)]


def draw_order(draw: random.Random) -> Order:
    """Return the next order."""
    return _unique(draw) if draw.random() < _UNIQUE else _ordinary(draw)


def _ordinary(draw: random.Random) -> Order:
    (kind,) = draw.choices([kind for kind, _ in _KINDS], [weight for _, weight in _KINDS])
    task, kwargs, options, expect = kind(draw)
    if task not in WAITING and "queue" not in options:
        options["queue"] = draw.choice(QUEUES)
    if draw.random() < 0.3:
        options["priority"] = draw.randint(-2, 2)
    elif draw.random() < 0.1:
        options["at_front"] = True
    options |= _shared(draw, task)
    if "delay" not in options and draw.random() < 0.15:
        options["delay"] = round(draw.uniform(0.05, 1.5), 2)
    mode = draw.choices(("plain", "sync", "many", "transaction", "rollback"), (10, 2, 3, 4, 1))[0]
    if task in UNKNOWN and mode == "many":
        mode = "plain"
    keyed = mode in ("plain", "sync") and draw.random() < 0.4
    cancel = round(draw.uniform(0, 0.5), 2) if task not in WAITING and draw.random() < 0.06 else None
    twice = keyed and draw.random() < 0.2
    return Order(task, kwargs, options, mode, keyed, twice, cancel, expect)


def _unique(draw: random.Random) -> Order:
    """Return an order for jobs of which there may be one for each thing.

    It is never repeated: without an answer nobody knows whether that was merged already.
    """
    task = draw.choice(UNIQUE)
    how = draw.choices(("plain", "sync", "many", "transaction", "rollback"), (6, 2, 3, 5, 2))[0]
    how = "plain" if task in UNKNOWN and how == "many" else how
    thing = draw.randrange(_NAMED + _MADE)
    things: tuple[int, ...] = (thing,)
    if how == "many":
        things = tuple(_NAMED + draw.randrange(_MADE) for _ in range(3))
    mode = draw.choices(("skip", "replace", "merge", "reject"), (4, 3, 3, 2))[0]
    options: dict[str, Any] = {"unique_mode": mode, **_shared(draw, task)}
    options |= {"unique": ["thing"]} if things[0] >= _NAMED else {"unique_key": f"{task} {thing}"}
    untils = (
        ("waiting", "started") if mode in ("replace", "merge") else ("waiting", "started", "finished", None)
    )
    if until := draw.choice(untils):
        options["unique_until"] = until
    if mode in ("skip", "reject") and draw.random() < 0.3:
        options["unique_for"] = round(draw.uniform(0.2, 1), 2)
    if draw.random() < (0.8 if mode in ("replace", "merge") else 0.3):
        options["delay"] = round(draw.uniform(0.05, 1.5), 2)
    kwargs, expect = _thing(draw, task, options)
    cancel = round(draw.uniform(0, 0.5), 2) if draw.random() < 0.05 else None
    opened = round(draw.uniform(0, 0.2), 2)
    return Order(task, kwargs, options, how, cancel_after=cancel, expect=expect, things=things, open=opened)


def _thing(draw: random.Random, task: str, options: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a unique job is told, and where it ends. Those of one task are tried equally often."""
    if task == "by_hand":
        _, kwargs, more, expect = _plain(draw)
        options |= more
        return kwargs, expect
    options["queue"] = draw.choice(QUEUES)
    failures = draw.choice((0, 0, 0, 0, 1, 2))
    return {"seconds": round(draw.uniform(0, 0.6), 3), "failures": failures}, _SUCCEEDS


def _shared(draw: random.Random, task: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if draw.random() < 0.3:
        options["tenant"] = draw.choice(TENANTS)
    if task not in UNKNOWN and draw.random() < 0.2:
        options["requires"] = [LABEL]
    if task not in UNKNOWN and draw.random() < 0.2:
        number = draw.randrange(_SLOT_KEYS)
        options |= {"concurrency_key": f"slot {number}", "concurrency_limit": 1 + number % 3}
    return options


def with_parents(order: Order, draw: random.Random, recent: Sequence[int]) -> Order:
    """Return the order, now and then for a job that waits for some of these."""
    if not recent or order.task in WAITING or order.things or draw.random() > _CHILDREN:
        return order
    options = {"depends_on": draw.sample(recent, min(len(recent), draw.randint(1, 3)))}
    if draw.random() < 0.5:
        return replace(order, options=order.options | options | {"allow_failure": True})
    return replace(order, options=order.options | options, expect=(*order.expect, "cancelled"))


def draw_ledger(draw: random.Random) -> Order:
    """Return the next order of many short jobs that write."""
    task, options = draw.choice(("writes", "writes", "writes_in_thread")), {"queue": draw.choice(QUEUES)}
    return Order(task, {"failures": int(draw.random() < 0.02)}, options, "many", number=LEDGER)


_Drawn = tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...]]
_SUCCEEDS = ("succeeded",)


def _quick(draw: random.Random) -> _Drawn:
    task = draw.choice(("quick", "quick_in_thread"))
    return task, {"payload": draw.choice(_PAYLOADS)}, {}, _SUCCEEDS


def _naps(draw: random.Random) -> _Drawn:
    seconds = round(draw.choice((draw.uniform(0.01, 0.2), draw.uniform(0.2, 1.5))), 3)
    return draw.choice(("naps", "naps", "naps_in_thread")), {"seconds": seconds}, {}, _SUCCEEDS


def _lingers(draw: random.Random) -> _Drawn:
    return "naps", {"seconds": round(draw.uniform(4, 6), 1)}, {}, _SUCCEEDS


def _writes(draw: random.Random) -> _Drawn:
    kwargs: dict[str, Any] = {"seconds": round(draw.choice((0.0, draw.uniform(0, 0.4))), 3)}
    options: dict[str, Any] = {}
    expect = _SUCCEEDS
    if draw.random() < 0.2:
        kwargs["failures"] = draw.randint(1, 2)
        if draw.random() < 0.5:
            options["max_retries"] = kwargs["failures"] - 1
            expect = ("failed",)
    return draw.choice(("writes", "writes_in_thread")), kwargs, options, expect


def _writes_alone(draw: random.Random) -> _Drawn:
    kwargs = {"seconds": round(draw.uniform(0, 1.5), 3), "failures": draw.choice((0, 0, 0, 1))}
    return draw.choice(sorted(ISOLATED)), kwargs, {}, _SUCCEEDS


def _fails(draw: random.Random) -> _Drawn:
    failures, retries = draw.randint(1, 3), draw.randint(0, 3)
    expect = _SUCCEEDS if failures <= retries else ("failed",)
    return "fails", {"failures": failures}, {"max_retries": retries}, expect


def _plain(draw: random.Random) -> _Drawn:
    # The consumer nacks, abandons and puts off what it likes, so that either end is right.
    options = {"queue": PLAIN, "timeout": 1.5, "max_retries": 5, "backoff": [0.1]}
    return "by_hand", {"payload": draw.choice(_PAYLOADS)}, options, ("succeeded", "failed")


def _named(task: str, expect: tuple[str, ...] = _SUCCEEDS, **options: Any) -> Any:
    def drawn(draw: random.Random) -> _Drawn:
        return task, {}, dict(options), expect

    return drawn


_KINDS: list[tuple[Any, float]] = [
    (_quick, 30),
    (_naps, 18),
    (_lingers, 0.7),
    (_writes, 22),
    (_writes_alone, 3),
    (_fails, 6),
    (_plain, 10),
    (_named("spawns"), 6),
    (_named("snoozes"), 4),
    (_named("asks_again"), 3),
    (_named("withdraws", ("cancelled",)), 2),
    (_named("overruns", ("failed",)), 2),
    (_named("overruns_in_thread", ("failed",)), 1),
    (_named("far", ("scheduled",), delay=86400), 0.5),
    (_named("nobody_knows", ("blocked", "ready")), 0.5),
]
