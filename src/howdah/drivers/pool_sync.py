"""A few connections for the `*_sync` methods of one process, shared by its threads."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, TypeVar

from howdah.drivers.psycopg_sync import open_psycopg_connection_sync

if TYPE_CHECKING:
    from howdah.calls import Call
    from howdah.drivers.psycopg_sync import OpenSyncPsycopgConnection
    from howdah.models import PublishedJob

__all__ = ["SyncPool"]

T = TypeVar("T")


class SyncPool:
    """Up to `size` connections, opened when needed; a thread that finds none free waits for one."""

    def __init__(self, dsn: str, *, size: int = 10, name: str = "howdah") -> None:
        self._dsn = dsn
        self._name = name
        self._free = threading.Semaphore(size)
        # append and pop of a list need no lock.
        self._idle: list[OpenSyncPsycopgConnection] = []
        self._closed = False
        # When the pool is forgotten, or the program ends.
        weakref.finalize(self, _close, self._idle, os.getpid())

    def publish_sync(self, call: Call[PublishedJob]) -> PublishedJob:
        """Publish one job. Raises a `HowdahError`."""
        return self.execute_sync(call)

    def execute_sync(self, call: Call[T]) -> T:
        """Execute a call on a free connection. Raises a `HowdahError`."""
        with self._free:
            connection = self._take()
            whole = False
            try:
                value = connection.execute_sync(call)
                whole = True
            finally:
                self._put_back(connection, whole=whole)
            return value

    def _take(self) -> OpenSyncPsycopgConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return open_psycopg_connection_sync(self._dsn, name=self._name)
            if not connection.closed:
                return connection
            connection.close_sync()

    def _put_back(self, connection: OpenSyncPsycopgConnection, *, whole: bool) -> None:
        # An error of PostgreSQL leaves a connection as good as before, Ctrl-C perhaps in mid-sentence.
        if self._closed or (not whole and connection.closed):
            connection.close_sync()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close every connection; those in use when their call has ended."""
        self._closed = True
        _close(self._idle, os.getpid())


def _close(idle: list[OpenSyncPsycopgConnection], process: int) -> None:
    is_ours = process == os.getpid()
    while idle:
        connection = idle.pop()
        if is_ours:
            connection.close_sync()
        else:
            connection.abandon()
