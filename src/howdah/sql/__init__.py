"""The engine's SQL, as files: which there are, in which order they are applied, and their digest."""

from __future__ import annotations

import hashlib
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
    return [f"{path.parent.name}/{path.stem}" for path in ordered] + ["install/grants"]


@cache
def digest() -> str:
    """Return the digest of everything a migration installs, the version that clients compare."""
    total = hashlib.sha256()
    for name in [*migrations(), *repeatable()]:
        total.update(name.encode() + b"\0" + read(name).encode() + b"\0")
    return total.hexdigest()[:16]
