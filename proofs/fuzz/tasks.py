"""Tasks that take anything, return what cannot be kept, and raise what cannot be told."""

from __future__ import annotations

import datetime
from typing import Any

from howdah import Howdah
from howdah.settings import Settings

__all__ = ["RESULTS", "app_on"]


class _Untold(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class _Unshown:
    def __repr__(self) -> str:
        raise ValueError("no shape")


def _deep(levels: int) -> list[Any]:
    document: list[Any] = []
    for _ in range(levels):
        document = [document]
    return document


def _own_tail() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


RESULTS: tuple[Any, ...] = (
    float("nan"),
    float("inf"),
    "a\x00b",
    {"a\x00b": 1},
    "\ud800",
    {"\udfff": 1},
    10**400,
    10**5000,
    object(),
    _Unshown(),
    _deep(63),
    _deep(64),
    _deep(5000),
    _own_tail(),
    "x" * 2**20,
    {1: 2, "1": 3},
    datetime.datetime.max,
    datetime.timedelta.max,
    b"\xff\x00",
    {1, 2},
    range(3),
    None,
    lambda: None,
)
_ERRORS: tuple[BaseException, ...] = (
    ValueError("a\x00b"),
    ValueError("\ud800"),
    ValueError("x" * 200_000),
    ValueError("\x1b[31m\n\r\u2028red"),
    ValueError(_Unshown()),
    _Untold(),
    KeyError(None),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
    ExceptionGroup("many", [ValueError("a\x00"), _Untold()]),
    StopIteration(1),
    StopAsyncIteration(),
    GeneratorExit(),
    RecursionError(),
    MemoryError(),
    AssertionError(),
)


def app_on(dsn: str) -> Howdah:
    """Return an app with tasks for what the fuzzers publish."""
    app = Howdah(dsn, settings=Settings())

    @app.task(name="fuzz.any", max_retries=0)
    def anything(*args: Any, **kwargs: Any) -> Any:
        return [args, kwargs]

    @app.task(name="fuzz.number", max_retries=0)
    async def number(a: int, *, b: float = 0.0) -> float:
        return a / b

    @app.task(name="fuzz.odd", max_retries=0)
    async def odd(*args: Any, **kwargs: Any) -> Any:
        position = _position(args)
        if position < len(RESULTS):
            return RESULTS[position]
        raise _ERRORS[position - len(RESULTS)]

    return app


def _position(args: tuple[Any, ...]) -> int:
    """Make a number of whatever is given: each stands for a result or an error."""
    whole = args[0] if args and isinstance(args[0], int) else len(repr(args))
    return int(whole) % (len(RESULTS) + len(_ERRORS))
