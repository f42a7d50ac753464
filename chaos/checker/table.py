"""Every invariant, with the function that checks it or the reason why nothing is to be checked yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.checker import families, fencing, limits, liveness, publishing, remains, transitions, unique

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.checker.book import Book, Finding


@dataclass(frozen=True, slots=True)
class Invariant:
    """One promise. Without `check`, `reason` says why it does not apply.

    `needs`: faults without which there is nothing to look at; any one of them is enough.
    """

    name: str
    title: str
    check: Callable[[Book], Finding] | None = None
    reason: str = ""
    needs: tuple[str, ...] = ()


INVARIANTS: tuple[Invariant, ...] = (
    Invariant("S1", "no published job is lost, each ends as it must", publishing.no_loss),
    Invariant("S2", "nothing runs that nobody published", publishing.no_phantom),
    Invariant(
        "S3", "an unknown publish made one job or none, a repeat with a key one", publishing.unknown_once
    ),
    Invariant("S4", "a job ends once, what has ended stays", transitions.one_ending),
    Invariant("S5", "every transition is a known one", transitions.known_transitions),
    Invariant("S6", "run numbers grow, one run of a job at a time", transitions.growing_runs),
    Invariant("S7", "stale runs change nothing", fencing.fence),
    Invariant("S8", "effects happen exactly once", fencing.effects_once),
    Invariant("S9", "each run is executed at most once, by its claimant", fencing.explained_starts),
    Invariant("S10", "nobody goes on with a run that has ended", fencing.no_overtime),
    Invariant("S11", "attempts count failures only, and have an end", transitions.attempts),
    Invariant("S12", "nothing has more runs than slots", limits.slots),
    Invariant("S13", "nothing starts faster than its rate", limits.rates),
    Invariant("S14", "a key belongs to one job, a unique key to one at a time", unique.keys),
    Invariant("S15", "a job that waits for others runs or ends as they say", families.families),
    Invariant("S16", "steps and events", reason="there are no steps and no events yet"),
    Invariant("S17", "schedules", reason="there are no schedules yet"),
    Invariant(
        "S18",
        "ordering keys",
        reason="there are no ordering keys; a lane is FIFO by the time of becoming ready",
    ),
    Invariant("S19", "nothing starts before it is due or after it was cancelled", transitions.nothing_early),
    Invariant("S20", "every job lies in one place, fsck finds nothing", publishing.conservation),
    Invariant("S21", "arguments and results are what was given", publishing.fidelity),
    Invariant("S22", "nothing is left behind, nothing deadlocks", remains.nothing_left),
    Invariant("S23", "processes end only when asked to", remains.survival),
    Invariant(
        "S24",
        "roles see their own only",
        reason="one role for all here; tests/sql/test_roles.py tries them all",
    ),
    Invariant(
        "S25", "tables stay small", reason="minutes are too short; tests/plans and the soak measure it"
    ),
    Invariant(
        "L1",
        "runs of the dead come back in time",
        liveness.rescues,
        needs=("kill_worker", "kill_supervisor"),
    ),
    Invariant(
        "L2",
        "the first job ends soon after the server is back",
        liveness.first_completion,
        needs=("stop_postgres", "kill_postgres", "kill_backend"),
    ),
    Invariant("L3", "an idle worker wakes up at once", liveness.wake_up),
    Invariant("L4", "the backlog drains", liveness.drained),
    Invariant("L5", "SIGTERM ends a worker in time", liveness.gentle_exits),
    Invariant("L6", "fair shares", reason="counted over ten thousand starts by tests/worker/test_order.py"),
)
