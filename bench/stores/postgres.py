"""One durable PostgreSQL server for all, an empty database for each measurement."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from howdah.embedded import binaries
from howdah.embedded.server import start_temporary
from howdah.embedded.settings import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.peers import Peer
    from howdah.embedded import Server

__all__ = ["Postgres"]

_NUMBERS = itertools.count(1)
_SHOWN = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
)


class Postgres:
    """A server with the settings of Howdah's embedded one, all of PostgreSQL's durability on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._admin = psycopg.connect(server.dsn(), autocommit=True)
        self._templates: set[str] = set()

    @property
    def process(self) -> int:
        """The server's first process."""
        return int((self._server.home / "data" / "postmaster.pid").read_text("utf-8").split()[0])

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[Postgres]:
        """Start a server that leaves nothing behind."""
        with start_temporary(binaries(18), 18, SERVER) as server:
            store = cls(server)
            try:
                yield store
            finally:
                store._admin.close()

    def make_template(self, name: str, setup: Callable[[str], object]) -> None:
        """Set a peer's schema up once; each database of this name is a copy of it."""
        if name not in self._templates:
            setup(self._server.ensure_database(self._template(name)))
            self._templates.add(name)

    @contextmanager
    def place(self, name: str) -> Iterator[str]:
        """Create a database from a template, drop it with the block; give its DSN."""
        own = sql.Identifier(f"{name}_{next(_NUMBERS)}")
        self._admin.execute(
            sql.SQL("create database {} template {}").format(own, sql.Identifier(self._template(name)))
        )
        try:
            yield self._server.dsn(own.as_string(None).strip('"'))
        finally:
            self._admin.execute(sql.SQL("drop database {} with (force)").format(own))

    def settle(self, dsn: str) -> None:
        """Give everybody good statistics, clean pages and nothing left to write before the clock starts."""
        with self.connect(dsn) as connection:
            connection.execute("vacuum (analyze)")
            connection.execute("checkpoint")

    def checkpoint(self) -> None:
        """Write what is dirty, so that no measurement pays for the one before."""
        self._admin.execute("checkpoint")

    @contextmanager
    def counter(self, dsn: str, peer: Peer, low: int, high: int) -> Iterator[Callable[[], int]]:
        """Give a function that tells how many of the jobs after the low-th, up to the high-th, are done."""
        statement = peer.done.replace("$1", str(low)).replace("$2", str(high))
        with self.connect(dsn) as connection:
            connection.execute("set max_parallel_workers_per_gather = 0")
            connection.execute("set jit = off")
            yield lambda: int(_one(connection, statement))

    def first(self, dsn: str, peer: Peer) -> int:
        """Return the number of the last job before the first one that is not done."""
        with self.connect(dsn) as connection:
            return int(_one(connection, peer.first))

    @contextmanager
    def old_snapshot(self, dsn: str) -> Iterator[None]:
        """Hold a snapshot open, as a dump or a forgotten transaction does."""
        with psycopg.connect(dsn) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("select count(*) from pg_class")
            yield

    @staticmethod
    def connect(dsn: str) -> psycopg.Connection:
        """Connect without a transaction around each statement, plans made anew each time."""
        return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)

    def shown(self) -> dict[str, str]:
        """Return the version and the settings that matter."""
        return {name: str(_one(self._admin, f"show {name}")) for name in _SHOWN}

    @staticmethod
    def _template(name: str) -> str:
        return f"{name}_template"


def _one(connection: psycopg.Connection, statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    return None if row is None else row[0]
