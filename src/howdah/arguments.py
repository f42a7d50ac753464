"""What callers give, refused with its name when it is of another kind."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from howdah.errors import InvalidInput

__all__ = ["job_ids", "moment", "names", "shown", "text", "truth", "whole"]

_SHOWN_CHARACTERS = 200


def shown(value: Any) -> str:
    """Return a value as an error message shows it, whatever its own `repr` does.

    >>> shown("a"), shown(10**5000)
    ("'a'", 'a value of type int')
    """
    try:
        told = repr(value)
    except Exception:
        return f"a value of type {type(value).__name__}"
    return told if len(told) <= _SHOWN_CHARACTERS else f"{told[:_SHOWN_CHARACTERS]}…"


def text(value: Any, *, field: str) -> str:
    """Return text that PostgreSQL can store. Raises `InvalidInput`, as they all do.

    >>> text("q", field="queue")
    'q'
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be text, not {shown(value)}", field=field)
    if "\x00" in value:
        raise InvalidInput(f"{field} holds a NUL character, which PostgreSQL cannot store", field=field)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(f"{field} holds text with a lone surrogate", field=field)
    return value


def whole(value: Any, *, field: str, bits: int = 32) -> int:
    """Return a whole number that has so many bits in PostgreSQL.

    >>> whole(7, field="priority")
    7
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{field} must be a whole number, not {shown(value)}", field=field)
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise InvalidInput(f"{field} is out of range: {shown(value)}", field=field)
    return value


def truth(value: Any, *, field: str) -> bool:
    """Return True or False when it is one of them.

    >>> truth(True, field="final")
    True
    """
    if not isinstance(value, bool):
        raise InvalidInput(f"{field} must be True or False, not {shown(value)}", field=field)
    return value


def moment(value: Any, *, field: str) -> datetime.datetime:
    """Return a datetime that has a time zone.

    >>> moment(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC), field="scheduled_at").year
    2030
    """
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        raise InvalidInput(f"{field} must be a datetime with a time zone", field=field)
    try:
        value.astimezone(datetime.UTC)
    except OverflowError:
        raise InvalidInput(f"{field} is out of range: {shown(value)}", field=field) from None
    return value


def names(values: Any, *, field: str) -> list[str]:
    """Return a list of texts.

    >>> names(("mail", "billing"), field="queues")
    ['mail', 'billing']
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidInput(f"{field} must be a list of names, not {shown(values)}", field=field)
    return [text(value, field=field) for value in values]


def job_ids(value: Any, *, field: str) -> list[str]:
    """Return the ids of one or several jobs: handles, numbers or keys.

    >>> job_ids(7, field="depends_on"), job_ids(["import", 8], field="depends_on")
    (['7'], ['import', '8'])
    """
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    return [_job_id(each, field) for each in (value if several else [value])]


def _job_id(value: Any, field: str) -> str:
    number = getattr(value, "id", value)
    if isinstance(number, int) and not isinstance(number, bool):
        return str(whole(number, field=field, bits=64))
    named = getattr(value, "job_id", value)
    if not isinstance(named, str):
        raise InvalidInput(f"{field} must be jobs or their ids, not {shown(value)}", field=field)
    return text(named, field=field)
