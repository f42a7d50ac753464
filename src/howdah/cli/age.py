"""Ages as people write them: 90s, 15m, 12h, 7d, 4w."""

from __future__ import annotations

import datetime
import re

import click

__all__ = ["parse_age"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str, option: str) -> datetime.timedelta:
    """Return an age given to an option.

    Raises:
        click.BadParameter: it is none.

    >>> parse_age("12h", "--older-than")
    datetime.timedelta(seconds=43200)
    """
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no age such as 12h or 7d", param_hint=option)
    return datetime.timedelta(**{_UNITS[match[2]]: int(match[1])})
