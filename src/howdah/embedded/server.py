"""Start, share and stop embedded servers."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import weakref
from typing import TYPE_CHECKING, Self

from howdah.embedded import settings
from howdah.embedded.account import environment, server_account
from howdah.embedded.cluster import USER, Cluster
from howdah.embedded.guardian import Guardian
from howdah.embedded.locks import FileLock
from howdah.embedded.places import data_folder, make_temporary_folder, prepare_folder
from howdah.embedded.wheel import binaries, runnable
from howdah.errors import ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from howdah.embedded.account import Account

_GATE_SECONDS = 180.0


class Server:
    """A running server that stays up until it is released. Also a context manager."""

    def __init__(
        self, cluster: Cluster, hold: FileLock | None = None, guardian: Guardian | None = None
    ) -> None:
        self._cluster = cluster
        self._hold = hold
        self._guardian = guardian
        self._released = False
        _held.add(self)
        atexit.register(self.release)

    @property
    def home(self) -> Path:
        """The folder with the server's data and log."""
        return self._cluster.home

    def dsn(self, database: str = "postgres") -> str:
        """Return the DSN of a database, password included.

        >>> with acquire_temporary() as server:
        ...     server.dsn("shop").startswith("postgresql://postgres:")
        True
        """
        return self._cluster.dsn(database)

    def ensure_database(self, name: str) -> str:
        """Create the database unless it exists, and return its DSN. Safe when several do so at once.

        Raises ServerUnavailable when it cannot be created.

        >>> with acquire_temporary() as server:
        ...     server.ensure_database("shop") == server.dsn("shop")
        True
        """
        with FileLock(self._cluster.home / "databases.lock") as lock:
            if not lock.take_within(_GATE_SECONDS):
                raise ServerUnavailable("another process has been creating a database for minutes")
            failure = _create_database(self._cluster.programs / "createdb", self.dsn(), name)
        if failure and "already exists" not in failure:
            raise ServerUnavailable(f"cannot create the database {name}: {failure}")
        return self.dsn(name)

    def release(self) -> None:
        """Let go of the server; the last one to do so stops it. A second call does nothing."""
        if self._released:
            return
        self._released = True
        _held.discard(self)
        atexit.unregister(self.release)
        if self._hold is None:
            self._remove()
        else:
            self._leave(self._hold)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _leave(self, hold: FileLock) -> None:
        """Under the gate nobody can join, so a lock taken alone means that we are the last."""
        with hold:
            try:
                gate = _pass_gate(self._cluster.home)
            except FileNotFoundError:  # somebody removed the data: a server without its pid file stops itself
                return
            with gate:
                if hold.take():
                    self._cluster.stop()

    def _remove(self) -> None:
        try:
            self._cluster.stop()
        except FileNotFoundError:  # somebody removed the folder: a server without its pid file stops itself
            pass
        finally:
            shutil.rmtree(self._cluster.home, ignore_errors=True)
            if self._guardian is not None:
                self._guardian.dismiss()

    def _forked(self) -> None:
        """In a forked child: hold nothing, and release nothing of the parent's."""
        self._released = True
        atexit.unregister(self.release)
        if self._hold is not None:
            self._hold.close()
        if self._guardian is not None:
            self._guardian.abandon()


_held: weakref.WeakSet[Server] = weakref.WeakSet()


def _after_fork() -> None:
    for server in list(_held):
        server._forked()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def acquire(data: Path | None = None, *, version: int = 18) -> Server:
    """Start the user's server, or join it when another process already runs it.

    `data`: the data folder, else $HOWDAH_DATA, else the user's data folder. `version`: 16 or 18; each has
    its own server and data. Raises ServerUnavailable, in one line, when there can be no server.

    >>> with acquire(Path("/tmp/howdah-example")) as server:      # doctest: +SKIP
    ...     server.ensure_database("shop")
    """
    programs = binaries(version)
    place = data_folder(data)
    account = server_account(place)
    home = prepare_folder(place, account) / str(version)
    _make_home(home, account)
    cluster = Cluster(home, runnable(programs, account), version, account, settings.SERVER)
    with _pass_gate(home):
        hold = FileLock(home / "users.lock")
        try:
            hold.share()
            cluster.start()
        except BaseException:
            hold.close()
            raise
        return Server(cluster, hold)


def acquire_temporary(version: int = 18) -> Server:
    """Start a server of one's own that leaves nothing behind when it is released, or its owner dies.

    Raises ServerUnavailable, in one line, when there can be no server.

    >>> with acquire_temporary() as server:
    ...     server.home.exists()
    True
    """
    return start_temporary(binaries(version), version, settings.TEMPORARY)


def start_temporary(
    programs: Path, version: int, chosen: Mapping[str, str], base: Path | None = None
) -> Server:
    """Start a temporary server from any folder of programs, with any settings, below any folder."""
    account = server_account()
    home = make_temporary_folder(account, base)
    try:
        cluster = Cluster(home, runnable(programs, account), version, account, chosen, durable=False)
        guardian = Guardian(cluster)
        try:
            cluster.start()
        except BaseException:
            guardian.dismiss()
            raise
        return Server(cluster, guardian=guardian)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def _make_home(home: Path, account: Account) -> None:
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        account.own(home)
    except OSError as error:
        raise ServerUnavailable(f"cannot use {home}: {error.strerror}") from error
    if home.is_symlink():
        raise ServerUnavailable(f"{home} is a link, not a folder")


def _pass_gate(home: Path) -> FileLock:
    """Return the lock under which servers of this folder are started and stopped, one at a time."""
    gate = FileLock(home / "gate.lock")
    if not gate.take_within(_GATE_SECONDS):
        gate.close()
        raise ServerUnavailable(
            f"another process has been starting or stopping the server in {home} for minutes"
        )
    return gate


def _create_database(createdb: Path, dsn: str, name: str) -> str | None:
    """Return None, or why not. The password travels in the environment: `ps` shows arguments."""
    address, password = _without_password(dsn)
    done = subprocess.run(  # noqa: S603 (our own program, no shell)
        [createdb, "--maintenance-db", address, "--template", "template0", "--", name],
        env=environment(PGPASSWORD=password),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else " ".join(done.stderr.split())


def _without_password(dsn: str) -> tuple[str, str]:
    credentials, address = dsn.removeprefix("postgresql://").split("@", 1)
    return f"postgresql://{USER}@{address}", credentials.split(":", 1)[1]
