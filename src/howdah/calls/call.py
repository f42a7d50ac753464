"""A call of a database function: its arguments and how its rows are read."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from howdah import arguments, json, rows
from howdah.json import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a database function.

    >>> from howdah.calls import cancel
    >>> cancel("welcome-42").body
    {'i_job_id': 'welcome-42'}
    """

    function: str
    arguments: Mapping[str, Any]
    decode: Callable[[rows.Rows], T]
    # Whether its rows hold JSON, which a caller's own connection may decode in its own way.
    holds_json: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """The arguments as one JSON object: the body of a PostgREST RPC."""
        return {name: plain(value) for name, value in self.arguments.items()}


def plain(value: Any) -> Any:
    """Return an argument as JSON has it."""
    if isinstance(value, Document):
        return json.decode(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds()} seconds"
    if isinstance(value, tuple):
        return list(value)
    return value


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given, by their names in SQL."""
    return {f"i_{name}": value for name, value in arguments.items() if value is not None}


def names_given(field: str, names: Sequence[str] | None) -> list[str] | None:
    """Return names that were given; none at all counts as not given."""
    return None if names is None else arguments.names(names, field=field) or None


def text_given(field: str, value: str | None) -> str | None:
    """Return a text that was given."""
    return None if value is None else arguments.text(value, field=field)
