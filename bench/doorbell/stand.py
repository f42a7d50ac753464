"""A durable server of the measurement's own, with databases and worker processes."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench.processes import running
from howdah.embedded import binaries
from howdah.embedded.server import start_temporary
from howdah.embedded.settings import SERVER
from howdah.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.processes import Running
    from howdah.embedded import Server

__all__ = ["Stand"]

_SILENT = """
create or replace function howdah.ring(i_queues text[], i_tasks text[] default null, i_most integer default 2)
    returns void language plpgsql as $$ begin end; $$;
create or replace function howdah.ring_for(i_ids bigint[])
    returns void language plpgsql as $$ begin end; $$;
"""


class Stand:
    """Databases on one server: `dsn()` makes one, `dsn(bell=False)` one in which nobody is ever rung."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._made = 0

    @classmethod
    @contextmanager
    def start(cls, connections: int = 200, folder: Path | None = None) -> Iterator[Stand]:
        """Start a server, gone with the block, all durability on; in a folder, say of a memory disk."""
        settings = {**SERVER, "max_connections": str(connections)}
        with start_temporary(binaries(18), 18, settings, folder) as server:
            yield cls(server)

    def dsn(self, *, bell: bool = True) -> str:
        """Create a database with Howdah's schemas."""
        self._made += 1
        dsn = self._server.ensure_database(f"bell_{self._made}")
        migrate(dsn)
        if not bell:
            with psycopg.connect(dsn) as connection:
                connection.execute(_SILENT)
        return dsn

    def processor_seconds(self) -> float:
        """Return the time that all processes of the server have spent on a processor, to the nanosecond."""
        first = int((self._server.home / "data" / "postmaster.pid").read_text("utf-8").split()[0])
        return sum(_ran(process) for process in (first, *_children(first)))

    @contextmanager
    def workers(self, dsn: str, number: int, concurrency: int = 10) -> Iterator[list[Running]]:
        """Run worker processes beside the block: the public command with its defaults."""
        command = [sys.executable, "-m", "howdah", "worker", "--app", "bench.doorbell.work:app"]
        command += ["--concurrency", str(concurrency)]
        with ExitStack() as stack:
            yield [stack.enter_context(running(command, {"HOWDAH_DSN": dsn})) for _ in range(number)]


def _children(process: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()[1]
            except OSError:
                continue
            if parent == str(process):
                found.append(int(folder.name))
    return found


def _ran(process: int) -> float:
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text("utf-8").split()[0]) / 1e9
    except FileNotFoundError:
        if os.path.exists(f"/proc/{process}"):
            raise
        return 0.0
