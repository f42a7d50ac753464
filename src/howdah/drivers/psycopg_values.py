"""What both faces of psycopg share: arguments, results, errors and where to connect to."""

from __future__ import annotations

import datetime
import os
import select
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import StrDumperUnknown, TextLoader

from howdah.drivers.conninfo import asyncpg_arguments, wanted_session, without_password
from howdah.drivers.pooler import OTHER_PROCESS, drops_options
from howdah.errors import ConfigurationError, DatabaseUnavailable, InvalidInput, error_for

if TYPE_CHECKING:
    from psycopg.adapt import AdaptersMap
    from psycopg.pq.abc import PGconn

    from howdah.calls import Call
    from howdah.errors import HowdahError

__all__ = [
    "abandon",
    "adapt",
    "arguments_of",
    "connection_arguments",
    "connection_error",
    "translated",
    "was_ended",
    "whose_process",
]

# Seconds, but for the last: when a peer that is silent counts as gone.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
# Seconds for each of several hosts: one that is gone does not answer at all, and the next one waits.
_ONE_OF_SEVERAL = "3"
# The database's own default may be higher, and claims work at READ COMMITTED only.
_ISOLATION = r"-c default_transaction_isolation=read\ committed"


class _Text(str):
    """A value as text whose type the server finds out, as it does for a literal in psql."""

    __slots__ = ()


def arguments_of(call: Call[Any]) -> list[_Text]:
    """Return a call's arguments as text. Raises `InvalidInput`, which names the argument."""
    return [_argument(name.removeprefix("i_"), value) for name, value in call.arguments.items()]


def _argument(name: str, value: Any) -> _Text:
    text = _text(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} holds text with a lone surrogate", field=name) from None
    if "\x00" in text:
        raise InvalidInput(f"{name} holds a NUL character, which PostgreSQL cannot store", field=name)
    return _Text(text)


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return f"{{{','.join(_element(_text(item)) for item in value)}}}"
        case datetime.datetime():
            return value.isoformat()
        case datetime.timedelta():
            return f"{value.days} days {value.seconds}.{value.microseconds:06} seconds"
    return str(value)


def _element(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def adapt(adapters: AdaptersMap) -> None:
    """Make a cursor take our arguments and give JSON as text, whatever the caller taught its connection."""
    adapters.register_dumper(_Text, StrDumperUnknown)
    for kind in ("text", "json", "jsonb"):
        adapters.register_loader(kind, TextLoader)


def connection_arguments(dsn: str, name: str) -> dict[str, Any]:
    """Return what psycopg connects with. Raises `ConfigurationError`."""
    asyncpg_arguments(dsn, {})  # refuses what cannot be, in the same words for both drivers
    given = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value not in (None, "")}
    isolation = None if drops_options(dsn) else _ISOLATION
    if options := " ".join(filter(None, (given.get("options"), isolation))):
        given["options"] = options
    # In the environment it holds, as for libpq.
    if (wanted := wanted_session(given)) is not None and not os.environ.get("PGTARGETSESSIONATTRS"):
        given["target_session_attrs"] = wanted
    if "," in given.get("host", ""):
        given.setdefault("connect_timeout", _ONE_OF_SEVERAL)
    # Behind a transaction pooler the next statement may meet a session in which nothing was prepared.
    return {"fallback_application_name": name, "prepare_threshold": None, **_DEFAULTS, **given}


def whose_process(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bytes:
    """Return the question that has a row for an answer when a pooler stands between."""
    return OTHER_PROCESS.format(int(connection.info.backend_pid)).encode()


def connection_error(error: psycopg.Error, dsn: str) -> HowdahError:
    """Return our error for a connection that could not be made."""
    if isinstance(error, psycopg.ProgrammingError):
        return ConfigurationError("the DSN cannot be used", field="dsn", detail=_first_line(error))
    return DatabaseUnavailable(
        f"PostgreSQL at {without_password(dsn)} cannot be reached: {_first_line(error)}"
    )


def translated(error: psycopg.Error) -> HowdahError:
    """Return our error for psycopg's."""
    if error.sqlstate is None:
        return DatabaseUnavailable(f"PostgreSQL cannot be reached: {_first_line(error)}")
    said = error.diag
    return error_for(
        error.sqlstate,
        said.message_primary or _first_line(error),
        field=said.column_name,
        hint=said.message_hint,
        detail=said.message_detail,
    )


def was_ended(connection: PGconn) -> bool:
    """Tell whether a connection cannot be used any more, also when nobody has noticed yet.

    A server that ends an idle connection leaves something to read on its socket.
    """
    if connection.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        return True
    try:
        if _readable(connection.socket):
            connection.consume_input()
            return connection.status != psycopg.pq.ConnStatus.OK or _readable(connection.socket)
    except psycopg.Error:
        return True
    return False


def abandon(connection: PGconn) -> None:
    """Let go of a connection inherited by a fork, without a word to the server."""
    # libpq would say goodbye on the socket, which is the parent's as well, and end the parent's session.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, connection.socket)
    os.close(nowhere)
    connection.finish()


def _readable(socket: int) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([socket], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
