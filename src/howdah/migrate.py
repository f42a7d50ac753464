"""Create or upgrade Howdah's schemas: numbered migrations once, functions and views whenever they changed."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, cast

from howdah import arguments, sql
from howdah.errors import DatabaseUnavailable, HowdahError

if TYPE_CHECKING:
    from collections.abc import Collection

    import psycopg

# What two migrations on two databases of one server can do to each other through the shared roles.
_ROLE_RACES = frozenset({"23505", "42710", "XX000", "40P01", "40001"})
_ROLE_TRIES = 50


def migrate(dsn: str) -> list[str]:
    """Bring the database up to date and return the names of what was applied.

    Safe when many run at once, on one database or on several of one server, and under live workers. All of it
    happens in one transaction, apart from the server-wide roles.

    Args:
        dsn: anything libpq takes.

    Raises:
        DatabaseUnavailable: the server cannot be reached.
        HowdahError: PostgreSQL refused; the message is its own.

    >>> migrate("postgresql://localhost/shop")  # doctest: +SKIP
    ['migrations/0001_engine', 'functions']
    """
    import psycopg

    with _connect(dsn) as connection:
        try:
            _make_roles(connection)
            with connection.transaction():
                _run(connection, "install/begin")
                return [_apply(connection, step) for step in _steps(*_applied(connection))]
        except psycopg.Error as error:
            raise HowdahError(f"migration refused: {_first_line(error)}") from error


def pending(dsn: str) -> list[str]:
    """Return the names of what `migrate` would apply; empty when the database is up to date."""
    import psycopg

    with _connect(dsn) as connection:
        try:
            installed = cast("tuple[bool]", connection.execute(_text("install/installed")).fetchone())[0]
            return _steps(*_applied(connection)) if installed else _steps({})
        except psycopg.Error as error:
            raise HowdahError(f"cannot read the schema's version: {_first_line(error)}") from error


def script(applied: Collection[str] = ()) -> str:
    """Return the SQL that `migrate` runs, for people who apply it with their own tool.

    Args:
        applied: names of numbered migrations that are in the database already.
    """
    parts = [sql.read("install/roles"), "begin;", sql.read("install/begin")]
    for step in _steps(dict.fromkeys(applied, "")):
        parts += [sql.read(name) for name in _files(step)]
        record = sql.read("install/record")
        for name, value in _record(step).items():
            record = record.replace(f"%({name})s", f"'{value}'")
        parts.append(record)
    return "\n".join([*parts, "commit;", ""])


def _steps(applied: dict[str, str], release: str | None = None) -> list[str]:
    """Decide what is due: missing numbers, then the functions when they or a table changed.

    Nothing when a later release was here: its functions serve us, ours would not serve its workers.
    """
    if sql.is_later(release):
        return []
    missing = [name for name in sql.migrations() if name not in applied]
    return [*missing, "functions"] if missing or applied.get("functions") != sql.digest() else []


def _files(step: str) -> list[str]:
    return sql.repeatable() if step == "functions" else [step]


def _apply(connection: psycopg.Connection[Any], step: str) -> str:
    for name in _files(step):
        _run(connection, name)
    connection.execute(_text("install/record"), _record(step))
    return step


def _make_roles(connection: psycopg.Connection[Any]) -> None:
    import psycopg

    for attempt in range(_ROLE_TRIES):
        try:
            with connection.transaction():
                return _run(connection, "install/roles")
        except psycopg.Error as error:
            if error.sqlstate not in _ROLE_RACES or attempt == _ROLE_TRIES - 1:
                raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311  # spreads the racers, no secret
    return None


def _record(step: str) -> dict[str, str]:
    return {"name": step, "digest": sql.digest(), "release": sql.release()}


def _applied(connection: psycopg.Connection[Any]) -> tuple[dict[str, str], str | None]:
    """Return the digest of each step, and the release whose functions are installed."""
    rows = connection.execute(_text("install/applied")).fetchall()
    releases = {name: release for name, _, release in rows}
    return {name: digest for name, digest, _ in rows}, releases.get("functions")


def _run(connection: psycopg.Connection[Any], name: str) -> None:
    connection.execute(_text(name))


def _text(name: str) -> Any:
    return sql.read(name).encode()


def _connect(dsn: str) -> psycopg.Connection[Any]:
    import psycopg

    try:
        # Nothing prepared: a pooler would give the next statement to another session.
        return psycopg.connect(
            _leading_to_the_writer(dsn),
            autocommit=True,
            application_name="howdah-migrate",
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        raise DatabaseUnavailable(_first_line(error)) from error


def _leading_to_the_writer(dsn: str) -> str:
    """Return the DSN, which of several hosts chooses the one that can be written to."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    given: dict[str, Any] = conninfo_to_dict(arguments.text(dsn, field="dsn"))
    if "," not in str(given.get("hostaddr") or given.get("host") or ""):
        return dsn
    return make_conninfo(**{"target_session_attrs": "read-write", **given})


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
