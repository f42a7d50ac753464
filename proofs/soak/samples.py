"""What is looked at: processes from outside, the server by its views."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

_PAGE = os.sysconf("SC_PAGE_SIZE")
# Our own look is not counted.
SESSIONS = (
    "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
)
_LOCKS = "select count(*) from pg_locks where pid <> pg_backend_pid()"
_ADVISORY = "select count(*) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()"


class Process(msgspec.Struct, frozen=True):
    """One process at one moment."""

    files: int
    threads: int
    tasks: int | None
    bytes: int


class Sample(msgspec.Struct, frozen=True):
    """Everything at one moment; `seconds` since the load began."""

    seconds: float
    connections: int
    locks: int
    advisory_locks: int
    processes: dict[str, Process]

    def counted(self) -> dict[str, int]:
        """Return everything that has to come back to where it was, memory apart."""
        found = {"connections": self.connections, "advisory locks": self.advisory_locks}
        for name, process in self.processes.items():
            found[f"files of {name}"] = process.files
            found[f"threads of {name}"] = process.threads
            if process.tasks is not None:
                found[f"tasks of {name}"] = process.tasks
        return found


def look(connection: psycopg.Connection[Any], pids: dict[str, int], folder: Path, seconds: float) -> Sample:
    """Take a sample."""
    return Sample(
        seconds=seconds,
        connections=_number(connection, SESSIONS),
        locks=_number(connection, _LOCKS),
        advisory_locks=_number(connection, _ADVISORY),
        processes={name: _process(pid, folder) for name, pid in pids.items()},
    )


def drift(samples: Sequence[Sample], name: str, warm: float) -> tuple[float, float]:
    """Return a process's mean memory after its warm-up, and by how much it grew until the end, in percent."""
    later = [sample for sample in samples if sample.seconds >= warm]
    width = max(len(later) // 5, 1)
    first, last = (
        statistics.mean(sample.processes[name].bytes for sample in part)
        for part in (later[:width], later[-width:])
    )
    return first, (last / first - 1) * 100


def _process(pid: int, folder: Path) -> Process:
    home = Path(f"/proc/{pid}")
    told = [int(path.read_text() or 0) for path in folder.glob(f"*-{pid}")]
    return Process(
        files=len(list((home / "fd").iterdir())),
        threads=len(list((home / "task").iterdir())),
        tasks=told[0] if told else None,
        bytes=int((home / "statm").read_text().split()[1]) * _PAGE,
    )


def _number(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
