"""What a task may return instead of a result, and how retries are spaced."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from howdah.arguments import shown
from howdah.errors import InvalidInput

__all__ = ["Backoff", "Cancel", "Retry", "Snooze", "backoff_delays", "seconds"]

Backoff = Sequence[float | timedelta] | float | timedelta


def seconds(value: float | timedelta, *, field: str) -> float:
    """Return a duration as seconds, from seconds or a timedelta.

    Raises `InvalidInput`, which names the field, for NaN, infinity and what is no number.

    >>> seconds(timedelta(minutes=1), field="delay")
    60.0
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number beyond all floats
            number = float(value)
            if math.isfinite(number):
                return number
    raise InvalidInput(f"{field} must be seconds or a timedelta, not {shown(value)}", field=field)


def backoff_delays(backoff: Backoff, *, field: str = "backoff") -> list[float]:
    """Return the seconds before the first, second … retry; the last repeats.

    Raises `InvalidInput`.

    >>> backoff_delays([1, 10, timedelta(minutes=5)])
    [1.0, 10.0, 300.0]
    """
    if isinstance(backoff, int | float | timedelta):
        return [seconds(backoff, field=field)]
    if not isinstance(backoff, Iterable) or isinstance(backoff, str | bytes) or not backoff:
        raise InvalidInput(f"{field} must be a list of delays", field=field)
    return [seconds(delay, field=field) for delay in backoff]


def _not_negative(owner: object, value: Any) -> None:
    if seconds(value, field="delay") < 0:
        raise InvalidInput(f"{type(owner).__name__}: delay is negative: {shown(value)}", field="delay")


@dataclass(frozen=True, slots=True)
class Retry:
    """Say that this attempt failed, without raising; it counts as an attempt.

    `delay` is seconds or a timedelta until the next attempt, the task's backoff when not given.

    >>> Retry(delay=5).seconds
    5.0
    """

    delay: float | timedelta | None = None
    reason: str = "the task asked for a retry"

    def __post_init__(self) -> None:
        """Refuse a delay that is no duration."""
        if self.delay is not None:
            _not_negative(self, self.delay)

    @property
    def seconds(self) -> float | None:
        """The delay in seconds."""
        return None if self.delay is None else seconds(self.delay, field="delay")


@dataclass(frozen=True, slots=True)
class Snooze:
    """Say that it is too early: run again after `delay` seconds, without costing an attempt.

    >>> Snooze(timedelta(hours=1)).seconds
    3600.0
    """

    delay: float | timedelta

    def __post_init__(self) -> None:
        """Refuse a delay that is no duration."""
        _not_negative(self, self.delay)

    @property
    def seconds(self) -> float:
        """The delay in seconds."""
        return seconds(self.delay, field="delay")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Say that this job shall not run any more; it ends `cancelled` with the reason.

    >>> Cancel("the order was withdrawn")
    Cancel(reason='the order was withdrawn')
    """

    reason: str | None = None
