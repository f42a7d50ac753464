"""Where the data lies, and what a project's database is called."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from howdah.embedded.locks import FileLock
from howdah.embedded.wheel import SHARED_FOLDER, make_open_folder
from howdah.errors import ServerUnavailable

if TYPE_CHECKING:
    from howdah.embedded.account import Account

_MARKER = "howdah.data"
_PROJECT_FILES = ("pyproject.toml", ".git")
_SLUG_LENGTH = 40
_LONGEST_BASE = 60  # the socket lies in the folder, and its path is limited


def data_folder(data: Path | None = None) -> Path:
    """Return the user's data folder: the argument, else $HOWDAH_DATA, else the platform's place for data.

    Root's server runs under another account, which cannot enter root's home: its place is /var/lib/howdah/0.

    >>> str(data_folder(Path("/srv/howdah")))
    '/srv/howdah'
    """
    given = data or os.environ.get("HOWDAH_DATA")
    if given:
        return Path(given).expanduser().absolute()
    if sys.platform != "win32" and os.geteuid() == 0:
        return SHARED_FOLDER / "0"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "howdah"
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "howdah"


def project_database(directory: Path) -> str:
    """Return the name of the database for the project a folder belongs to, at most 63 bytes.

    The project is the nearest folder at or above that holds `pyproject.toml` or `.git`, else the folder.

    >>> project_database(Path("/srv/Blue Shop")).startswith("blue_shop_")
    True
    """
    start = directory.resolve()
    root = next((place for place in (start, *start.parents) if _is_project(place)), start)
    slug = re.sub(r"[^a-z0-9]+", "_", root.name.lower()).strip("_")[:_SLUG_LENGTH] or "project"
    return f"{slug}_{hashlib.sha256(os.fsencode(root)).hexdigest()[:10]}"


def prepare_folder(folder: Path, account: Account) -> Path:
    """Create the data folder, mode 0700 and owned by the server's account, or check that it is ours.

    Raises ServerUnavailable when it holds other files, belongs to somebody else, or cannot be reached.
    """
    folder = folder.resolve()
    try:
        _create(folder, account)
        _refuse_foreign(folder, account)
        folder.chmod(0o700)
        account.own(folder)
        FileLock(folder / _MARKER).close()
    except OSError as error:
        raise ServerUnavailable(f"cannot use the data folder {folder}: {error.strerror}") from error
    if account.other and not account.reaches(folder):
        raise ServerUnavailable(
            f"root's server runs as {account.name}, which cannot reach {folder}",
            hint=f"set HOWDAH_DATA to a folder such as {SHARED_FOLDER / '0'}",
        )
    return folder


def make_temporary_folder(account: Account, preferred: Path | None = None) -> Path:
    """Create a private folder for a server that leaves nothing behind."""
    first = str(preferred or tempfile.gettempdir())
    for base in dict.fromkeys((first, "/tmp", "/var/tmp")):  # noqa: S108 (mkdtemp below)
        if len(os.fsencode(base)) <= _LONGEST_BASE and account.reaches(Path(base)):
            folder = Path(tempfile.mkdtemp(prefix="howdah-", dir=base))
            account.own(folder)
            return folder
    raise ServerUnavailable(f"account {account.name} cannot reach any folder for temporary files")


def _is_project(folder: Path) -> bool:
    try:
        return any((folder / name).exists() for name in _PROJECT_FILES)
    except OSError:
        return False


def _create(folder: Path, account: Account) -> None:
    if account.other:
        make_open_folder(folder.parent)
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _refuse_foreign(folder: Path, account: Account) -> None:
    """Close and give away no folder but ours: HOWDAH_DATA=$HOME must not lock anybody out."""
    if folder.stat().st_uid not in (os.geteuid(), account.uid):
        raise ServerUnavailable(f"the data folder {folder} belongs to another user")
    # In this order: a process that starts at the same time creates the marker before anything else.
    occupied = any(folder.iterdir())
    if occupied and not (folder / _MARKER).exists():
        raise ServerUnavailable(f"the data folder {folder} holds other files: choose an empty one")
