"""The engine's SQL, as files: which there are, in which order they are applied, their release and digest."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


def read(name: str) -> str:
    """Return the text of one file, given by its path below this folder without `.sql`."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def migrations() -> list[str]:
    """Return the numbered migrations in their order: tables and types, each applied once."""
    return sorted(f"migrations/{path.stem}" for path in (_FOLDER / "migrations").glob("*.sql"))


def repeatable() -> list[str]:
    """Return functions, views and grants in their order: applied anew whenever one of them changed."""
    files = [*(_FOLDER / "functions").glob("*.sql"), *(_FOLDER / "views").glob("*.sql")]
    ordered = sorted(files, key=lambda path: path.name)
    return [f"{path.parent.name}/{path.stem}" for path in ordered] + ["install/plans", "install/grants"]


@cache
def digest() -> str:
    """Return the digest of everything a migration installs, the version that clients compare."""
    total = hashlib.sha256()
    for name in [*migrations(), *repeatable()]:
        total.update(name.encode() + b"\0" + read(name).encode() + b"\0")
    return total.hexdigest()[:16]


@cache
def release() -> str:
    """Return the release of Howdah that this is."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("howdah")
    except PackageNotFoundError:  # run from its sources
        return "0"


def version() -> str:
    """Return what `jobs.version()` answers on a database that this release migrated."""
    return f"{release()} {digest()}"


def serves(installed: str | None) -> bool:
    """Tell whether a database with this version does all that this release needs.

    It does when it is the same, or of a later release: functions are only ever added. An older one, or
    another state of the same release, does not.

    >>> serves(version()), serves(None), serves("999.0 0123456789abcdef"), serves("0.0.1 0123456789abcdef")
    (True, False, True, False)
    """
    found, _, installed_digest = (installed or "").rpartition(" ")
    return installed_digest == digest() or is_later(found)


def is_later(installed: str | None) -> bool:
    """Tell whether a release is later than this one.

    >>> is_later("999.1rc1"), is_later(None), is_later(release())
    (True, False, False)
    """
    return _numbers(installed or "") > _numbers(release())


def _numbers(text: str) -> list[int]:
    """Return the numbers of a release; what comes after them, such as `rc1`, does not count."""
    found = re.match(r"\d+(\.\d+)*", text)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
