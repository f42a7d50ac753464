"""All faults by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chaos.faults import network, postgres, processes
from chaos.faults.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

FaultName = str
FAULTS: Final[dict[FaultName, Fault]] = {
    fault.name: fault
    for fault in (
        Fault("kill_worker", "processes", processes.kill_worker),
        Fault("kill_supervisor", "processes", processes.kill_supervisor),
        Fault("pause_worker", "processes", processes.pause_worker),
        Fault("terminate_worker", "processes", processes.terminate_worker),
        Fault("terminate_storm", "processes", processes.terminate_storm),
        Fault("kill_consumer", "processes", processes.kill_consumer),
        Fault("kill_publisher", "processes", processes.kill_publisher),
        Fault("kill_isolated", "processes", processes.kill_isolated),
        Fault("poison_job", "processes", processes.poison_job),
        Fault("jump_clock", "processes", processes.jump_clock, processes.lacks_faketime),
        Fault("upgrade", "processes", processes.upgrade),
        Fault("stop_postgres", "server", postgres.stop_postgres),
        Fault("kill_postgres", "server", postgres.kill_postgres),
        Fault("kill_backend", "server", postgres.kill_backend),
        Fault("terminate_backends", "server", postgres.terminate_backends),
        Fault("exhaust_connections", "server", postgres.exhaust_connections),
        Fault("fill_disk", "server", postgres.fill_disk, postgres.lacks_room),
        Fault("stall", "server", network.stall),
        Fault("delay", "server", network.delay),
        Fault("reset", "server", network.reset),
        Fault("swallow_commit", "server", network.swallow_commit),
        Fault("swallow_reply", "server", network.swallow_reply),
    )
}


def chosen(names: Sequence[FaultName]) -> list[Fault]:
    """Return the faults of these names, all without one. Raises ValueError for a name that does not exist."""
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise ValueError(f"there is no fault {unknown[0]!r}; there are {', '.join(FAULTS)}")
    return [FAULTS[name] for name in names or FAULTS]
