"""The options that many commands share, and the shape of a help text's example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

dsn: Decorator = click.option(
    "--dsn",
    metavar="DSN",
    help="The database, in any form libpq takes.  [default: $HOWDAH_DSN, else the embedded server]",
)

app: Decorator = click.option(
    "--app",
    "app_path",
    metavar="MODULE:APP",
    help="The app whose tasks are meant.  [default: $HOWDAH_APP]",
)

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def example(*lines: str) -> str:
    r"""Return the epilog of a help text that shows commands as they are typed.

    >>> example("howdah dsn")
    '\x08\nExample:\n  howdah dsn'
    """
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
