"""One server on one folder: create its data, start it, stop it. Who may do so when is `server`'s business."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from howdah.embedded.locks import FileLock
from howdah.embedded.status import PORT, SOCKET_NAME, Status, read_status, read_text
from howdah.errors import ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from howdah.embedded.account import Account

USER = "postgres"
# sun_path holds 104 bytes on macOS and 108 on Linux, its final NUL included; the lock file adds a suffix.
_LONGEST_SOCKET_PATH = 103
_PASSWORD = "howdah.password"  # noqa: S105 (a file's name)
_SPARE_PREFIX = "howdah-socket-"
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server's folder, programs, account and settings."""

    home: Path
    programs: Path
    version: int
    account: Account
    settings: Mapping[str, str]
    durable: bool = True

    @property
    def data(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The server's log since its last start."""
        return self.home / "server.log"

    @property
    def password(self) -> str:
        """The superuser's password."""
        return read_text(self.data / _PASSWORD)

    def dsn(self, database: str) -> str:
        """Return the URI of a database of the running server."""
        status = read_status(self.data)
        folder = status.socket_folder if status else self.home
        path = f"{quote(database, safe='')}?host={quote(str(folder), safe='')}&port={PORT}"
        return f"postgresql://{USER}:{self.password}@/{path}"

    def start(self) -> None:
        """Bring the server up, whatever an earlier one left behind; return when it accepts connections.

        Raises ServerUnavailable with the end of the server's log when it does not come up.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not self._up(deadline):
            if time.monotonic() > deadline:
                raise ServerUnavailable(
                    f"the embedded server did not start in {_START_SECONDS:.0f} s: see {self.log}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server, and return when all its processes are gone."""
        with FileLock(self.home / "alive.lock") as alive:
            for signal in ("INT", "QUIT"):  # fast, then immediate; either way what was committed stays
                status = read_status(self.data)
                if status is not None and not alive.take():
                    # Under the server's account: a pid from its file must not get a signal from root.
                    self.account.run([self.programs / "pg_ctl", "kill", signal, str(status.pid)])
                if alive.take_within(_STOP_SECONDS):
                    self._forget(status)
                    if status is not None and self._is_spare(status.socket_folder):
                        shutil.rmtree(status.socket_folder, ignore_errors=True)
                    return
        raise ServerUnavailable(f"the embedded server in {self.home} does not stop")

    def _up(self, deadline: float) -> bool:
        """Look once; start the server if no process of an earlier one is left.

        All processes of a server inherit the descriptor of `alive.lock`. So the lock says whether one is
        left, which no pid does: after a restart of the machine or container the pid may be anybody's.
        """
        with FileLock(self.home / "alive.lock") as alive:
            if not alive.take():
                status = read_status(self.data)
                return status is not None and status.answers()
            previous = read_status(self.data)
            self._forget(previous)
            if not self.data.exists():
                self._initialise(alive)
            self._launch(alive, previous)
        return self._wait_ready(deadline)

    def _initialise(self, alive: FileLock) -> None:
        """Create the data in a folder beside, and rename it: a half-made one is never taken for good.

        `initdb` holds `alive.lock` too: if we are killed, the next process waits until it is gone.
        """
        for leftover in self.home.glob("initdb-*"):
            shutil.rmtree(leftover)
        workplace = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.home))
        password = workplace / "password"
        part = workplace / "data"
        self.account.own(workplace)
        self.account.append(password, secrets.token_urlsafe(24))
        self._initdb(alive, *self._initdb_options(part, password))
        settings = "".join(f"{name} = '{value}'\n" for name, value in self.settings.items())
        self.account.append(part / "postgresql.conf", settings)
        password.rename(part / _PASSWORD)
        if self.durable:
            self._initdb(alive, "--sync-only", "--pgdata", str(part))
        part.rename(self.data)
        if self.durable:
            _sync_folder(self.home)
        shutil.rmtree(workplace)

    def _initdb(self, alive: FileLock, *options: str) -> None:
        failure = self.account.run([self.programs / "initdb", *options], keep=(alive.descriptor,))
        if failure is not None:
            raise ServerUnavailable(f"cannot create the embedded server's data: {failure}")

    def _initdb_options(self, data: Path, password: Path) -> list[str]:
        options = ["--pgdata", str(data), "--username", USER, "--pwfile", str(password)]
        options += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        if self.version >= 18:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.version >= 16:
            # Many rounds protect guessable passwords; ours has 192 random bits. Connecting gets 4 ms faster.
            options += ["--set", "scram_iterations=1"]
        return options

    def _launch(self, alive: FileLock, previous: Status | None) -> None:
        """Start the server in a session of its own, where no Ctrl-C of our terminal reaches it."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".old.log"))
        folder = self._socket_folder(previous)
        options = f"-c listen_addresses= -c unix_socket_permissions=0700 -c port={PORT}"
        options += f" -k {shlex.quote(str(folder))}"
        command = ["start", "--no-wait", "--silent", "--pgdata", str(self.data), "--log", str(self.log)]
        failure = self.account.run(
            [self.programs / "pg_ctl", *command, "--options", options], keep=(alive.descriptor,)
        )
        if failure is not None:
            raise ServerUnavailable(f"cannot start the embedded server: {failure}")

    def _wait_ready(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            status = read_status(self.data)
            if status is not None and status.answers():
                return True
            with FileLock(self.home / "alive.lock") as alive:
                if alive.take():
                    raise ServerUnavailable(f"the embedded server did not start: {self._last_words()}")
            time.sleep(_POLL_SECONDS)
        return False

    def _last_words(self) -> str:
        lines = [line.strip() for line in read_text(self.log).splitlines() if line.strip()]
        return "; ".join(lines[-3:])[:500] or f"its log {self.log} is empty"

    def _socket_folder(self, previous: Status | None) -> Path:
        """The home, or for a long path a private folder: the same after a crash, for the DSNs in use."""
        if len(str(self.home / SOCKET_NAME).encode()) <= _LONGEST_SOCKET_PATH:
            return self.home
        if previous is not None and self._is_spare(previous.socket_folder):
            return previous.socket_folder
        folder = Path(tempfile.mkdtemp(prefix=_SPARE_PREFIX, dir="/tmp"))
        self.account.own(folder)
        return folder

    def _forget(self, status: Status | None) -> None:
        """Remove what a server that is no more left: its pid and its socket would stop the next one."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        folder = status.socket_folder if status and self._is_spare(status.socket_folder) else self.home
        for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
            (folder / name).unlink(missing_ok=True)

    def _is_spare(self, folder: Path) -> bool:
        """Say whether a folder named by the pid file, which root must not trust, is a private one of ours."""
        try:
            found = folder.lstat()
        except OSError:
            return False
        ours = found.st_uid == self.account.uid and stat.S_IMODE(found.st_mode) == 0o700
        return ours and stat.S_ISDIR(found.st_mode) and folder.name.startswith(_SPARE_PREFIX)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder outlast a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
