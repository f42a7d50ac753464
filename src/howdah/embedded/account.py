"""Under which account the server runs, and what that account can reach."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from howdah.errors import ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

if sys.platform != "win32":
    import pwd

# A dedicated account first: processes of the same account can read the data and stop the server.
_ACCOUNTS_FOR_ROOT = ("howdah", "postgres", "_postgres", "nobody")
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """Who owns the data and runs the server; `other` when that is not who we are."""

    name: str
    uid: int
    gid: int
    other: bool

    def run(self, command: Sequence[str | Path], *, keep: tuple[int, ...] = (), text: str = "") -> str | None:
        """Run a program to its end under this account; return None, or what it said when it failed.

        `keep` are file descriptors that the program inherits; `text` is its standard input.
        """
        identity: _Identity = {}
        if self.other:
            identity = {"user": self.uid, "group": self.gid, "extra_groups": []}
        try:
            done = subprocess.run(  # noqa: S603 (our own programs, no shell)
                command,
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment(),
                umask=0o077,
                pass_fds=keep,
                start_new_session=True,
                check=False,
                **identity,
            )
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        return None if done.returncode == 0 else _one_line(done.stdout) or f"exit code {done.returncode}"

    def append(self, path: Path, text: str) -> None:
        """Append to a file, mode 0600, under this account: root would follow links in a folder not its own.

        Raises ServerUnavailable when that fails.
        """
        failure = self.run(["/bin/sh", "-c", 'cat >> "$1"', "sh", path], text=text)
        if failure is not None:
            raise ServerUnavailable(f"cannot write {path}: {failure}")

    def reaches(self, folder: Path) -> bool:
        """Say whether this account can enter the folder; ask the system, since modes do not tell of ACLs."""
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", folder]) is None

    def own(self, path: Path) -> None:
        """Give a folder or file that we made to this account."""
        if self.other:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def server_account(folder: Path | None = None) -> Account:
    """Return the account the server runs under: our own, or an unprivileged one when we are root.

    `folder`: data that may exist; its owner goes on serving it when another account has been made since.
    Raises ServerUnavailable when we are root and there is no unprivileged account.
    """
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), other=False)
    accounts = [account for account in map(_account, _ACCOUNTS_FOR_ROOT) if account is not None]
    if not accounts:
        raise ServerUnavailable(
            "PostgreSQL does not run as root, and there is no account `howdah` or `nobody`"
        )
    owner = folder.stat().st_uid if folder is not None and folder.exists() else None
    return next((account for account in accounts if account.uid == owner), accounts[0])


def _account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid, other=True) if entry.pw_uid != 0 else None


def environment(**more: str) -> dict[str, str]:
    """Return the whole environment of PostgreSQL's programs: no PG* of the caller, none of its secrets."""
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": os.defpath, **inherited, "LC_ALL": "C", "TZ": "UTC", **more}


def _one_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "; ".join(lines[-3:])[:500]
