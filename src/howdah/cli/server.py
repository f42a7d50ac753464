"""`howdah dsn · psql`: the database itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from howdah.cli import options
from howdah.cli.database import database
from howdah.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@click.command("dsn", epilog=options.example('pg_dump "$(howdah dsn)"'))
@options.as_json
@options.dsn
def dsn_command(dsn: str | None, as_json: bool) -> None:
    """Print the DSN of the database, password included.

    The embedded server runs as long as somebody uses it: `howdah up` keeps it running.
    """
    with database(dsn) as found:
        if as_json:
            print_json({"dsn": found})
        else:
            click.echo(found)


@click.command(
    "psql",
    epilog=options.example("howdah psql", "howdah psql -c 'table jobs.job'"),
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@options.dsn
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
def psql_command(dsn: str | None, arguments: tuple[str, ...]) -> None:
    """Open psql on the database; every ARG goes to psql, --dsn comes first."""
    with database(dsn) as found:
        address, secrets = without_secrets(found)
        sys.exit(_run([_program(), "--dbname", address, *arguments], secrets))


def without_secrets(dsn: str) -> tuple[str, dict[str, str]]:
    """Return a DSN for a command line, which everybody can read, and the variables that complete it.

    >>> without_secrets("postgresql://ann:secret@db.example/shop")
    ('user=ann dbname=shop host=db.example', {'PGPASSWORD': 'secret'})
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from howdah.errors import ConfigurationError

    try:
        parts = conninfo_to_dict(dsn)
    except ProgrammingError:
        raise ConfigurationError("the DSN cannot be read", field="dsn") from None
    password = parts.pop("password", None)
    return make_conninfo("", **parts), {} if password is None else {"PGPASSWORD": str(password)}


def _program() -> str:
    """The user's own psql has the terminal support that the wheel's may lack."""
    from howdah.embedded import binaries

    return shutil.which("psql") or str(binaries() / "psql")


def _run(command: Sequence[str], variables: Mapping[str, str]) -> int:
    # Ctrl-C is psql's: it cancels the statement. We stay, because the embedded server stops with us.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(  # noqa: S603  psql, no shell
            command, env={**os.environ, **variables}, check=False, preexec_fn=_heed_interrupts
        ).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
