"""How data is printed: a table for people, one JSON document for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def print_json(value: object) -> None:
    """Print one JSON document; times are ISO 8601."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, as one of several."""
    import msgspec

    click.echo(msgspec.json.encode(value).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their column names: ruled on a terminal, else aligned by spaces."""
    values = [list(row) for row in rows]
    cells = [[cell(value) for value in row] for row in values]
    numeric = [all(isinstance(row[place], int | float) for row in values) for place in range(len(columns))]
    if sys.stdout.isatty():
        _ruled(columns, cells, numeric)
    else:
        click.echo("\n".join(_aligned([list(columns), *cells], numeric)))


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair a line; values of several lines are indented."""
    pairs = [(name, cell(value, lines=True)) for name, value in fields]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        indented = text.replace("\n", "\n" + " " * (width + 2))
        click.echo(f"{name:<{width}}  {indented}".rstrip())


def cell(value: object, *, lines: bool = False) -> str:
    """Return a value as text for a cell: nothing for None, JSON for documents, control characters escaped.

    >>> cell(None), cell({"a": 1}), cell("two\\nlines")
    ('', '{"a":1}', 'two\\\\nlines')
    """
    import datetime

    match value:
        case None:
            return ""
        case str():
            return _escaped(value, keep="\n" if lines else "")
        case datetime.datetime():
            return value.isoformat(sep=" ", timespec="milliseconds")
        case dict() | list() | tuple():
            import msgspec

            return _escaped(msgspec.json.encode(value).decode())
        case _:
            return str(value)


def _escaped(text: str, keep: str = "") -> str:
    # What a job wrote must not move the cursor, clear the screen or fake a row.
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _aligned(rows: list[list[str]], numeric: Sequence[bool]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_placed, row, widths, numeric)).rstrip() for row in rows]


def _placed(text: str, width: int, numeric: bool) -> str:
    return text.rjust(width) if numeric else text.ljust(width)


def _ruled(columns: Sequence[str], rows: list[list[str]], numeric: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    for name, is_number in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
