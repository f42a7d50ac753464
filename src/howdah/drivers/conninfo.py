"""What libpq takes as a DSN, for asyncpg, which takes less."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from howdah.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["asyncpg_arguments", "wanted_session", "without_password"]

_RENAMED = {
    "user": "user",
    "password": "password",
    "dbname": "database",
    "passfile": "passfile",
    "service": "service",
}
_TLS = ("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation")
_SERVER = ("application_name", "options")
# asyncpg reads the other PG* variables itself.
_ENVIRONMENT = {
    "hostaddr": "PGHOSTADDR",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def asyncpg_arguments(dsn: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the arguments with which asyncpg connects to a libpq DSN.

    Takes a URI, key=value pairs, unix sockets, several hosts; PG* variables fill in what is missing.
    Raises `ConfigurationError`.

    >>> asyncpg_arguments("host=/run/pg dbname=shop")
    {'host': '/run/pg', 'database': 'shop'}
    """
    environ = os.environ if environ is None else environ
    given = {name: environ[variable] for name, variable in _ENVIRONMENT.items() if environ.get(variable)}
    given |= _parsed(dsn)
    arguments: dict[str, Any] = _hosts(given)
    arguments |= {ours: given[libpq] for libpq, ours in _RENAMED.items() if libpq in given}
    if (wanted := wanted_session(given)) is not None:
        arguments["target_session_attrs"] = wanted
    if tls := {name: given[name] for name in _TLS if name in given}:
        arguments["dsn"] = f"postgresql://?{urlencode(tls)}"
    if (patience := _number("connect_timeout", given.get("connect_timeout", "0"))) > 0:
        arguments["timeout"] = float(max(patience, 2))
    if settings := {name: given[name] for name in _SERVER if name in given}:
        arguments["server_settings"] = settings
    return arguments


def wanted_session(given: Mapping[str, str]) -> str | None:
    """Return which of several hosts will do: the one that can be written to, unless the DSN says otherwise.

    >>> wanted_session({"host": "one.example,two.example"})
    'read-write'
    """
    several = "," in (given.get("hostaddr") or given.get("host") or "")
    return given.get("target_session_attrs") or ("read-write" if several else None)


def without_password(dsn: str) -> str:
    """Return where a DSN leads to, for messages: nothing secret is in it.

    >>> without_password("postgresql://ann:secret@db.example:5433/shop")
    'db.example:5433/shop'
    """
    given = _parsed(dsn)
    place = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
    port = given.get("port") or os.environ.get("PGPORT")
    name = given.get("dbname") or os.environ.get("PGDATABASE") or ""
    return f"{place}{f':{port}' if port else ''}{f'/{name}' if name else ''}"


def _parsed(dsn: str) -> dict[str, str]:
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value not in (None, "")}
    except Error as error:
        raise ConfigurationError(f"the DSN cannot be read: {_first_line(error)}", field="dsn") from None


def _first_line(error: Exception) -> str:
    # libpq repeats the whole text in some messages, the password with it.
    return str(error).splitlines()[0].partition('"')[0].strip(" :")


def _hosts(given: Mapping[str, str]) -> dict[str, Any]:
    hosts = (given.get("hostaddr") or given.get("host") or "").split(",")
    ports = given.get("port", "").split(",")
    if len(hosts) == 1:
        single: dict[str, Any] = {"host": hosts[0]} if hosts[0] else {}
        return single | ({"port": _number("port", ports[0])} if ports[0] else {})
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ConfigurationError("the DSN names a different number of hosts and ports", field="dsn")
    return {"host": hosts, "port": [_number("port", port or "5432") for port in ports]}


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        # Without the text: in a DSN that is written wrongly it may be anything, a password too.
        raise ConfigurationError(f"the DSN cannot be used: its {name} is not a number", field="dsn") from None
