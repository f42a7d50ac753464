"""A PostgreSQL server of our own, gone afterwards, and migrated databases on it."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from howdah.embedded import binaries
from howdah.embedded.server import start_temporary
from howdah.embedded.settings import TEMPORARY
from howdah.migrate import migrate
from howdah.testing.databases import fastest_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from howdah.embedded import Server

_SETTINGS = {**TEMPORARY, "deadlock_timeout": "100ms", "max_wal_size": "256MB"}
_MEMORY_BYTES = 4 << 30
_TEMPLATE = "ground"


@dataclass(slots=True)
class Ground:
    """Makes migrated databases, each a copy of one template."""

    server: Server
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def database(self) -> str:
        """Make a fresh database, and return its DSN."""
        name = f"ground_{next(self._numbers)}"
        self._execute(f'create database "{name}" template "{_TEMPLATE}" strategy file_copy')
        return self.server.dsn(name)

    def drop(self, dsn: str) -> None:
        """Drop a database, whoever is connected."""
        name = dsn.rsplit("/", 1)[1].split("?")[0]
        self._execute(f'drop database "{name}" with (force)')

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def ground(version: int = 18, **settings: str) -> Iterator[Ground]:
    """Start a server with a migrated template for the block."""
    chosen = _SETTINGS | settings
    with start_temporary(binaries(version), version, chosen, fastest_folder(_MEMORY_BYTES)) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(f"create database {_TEMPLATE} template template0".encode())
        migrate(server.dsn(_TEMPLATE))
        yield Ground(server)


def violations(dsn: str) -> list[tuple[Any, ...]]:
    """Return what fsck finds."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute("select violation, job_id, detail from jobs.fsck()").fetchall()
