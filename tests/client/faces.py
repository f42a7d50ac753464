"""The sync methods behind the names of their async twins, so that one test covers both."""

from __future__ import annotations

import asyncio
from typing import Any

from howdah import Howdah, Job, Task

FACES = ("asyncpg", "psycopg", "sync")


def in_threads(value: Any) -> Any:
    """Wrap what has `*_sync` methods: `await it.publish(…)` calls `publish_sync(…)` in a thread then."""
    if isinstance(value, Howdah | Task | Job):
        return InThreads(value)
    return [in_threads(one) for one in value] if isinstance(value, list) else value


class InThreads:
    """An app, task or job whose awaited methods are its `*_sync` methods in a thread."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self.value, f"{name}_sync", None)
        if twin is None:
            found = getattr(self.value, name)
            return _wrapping(found) if callable(found) and not isinstance(found, type) else found

        async def call(*args: Any, **kwargs: Any) -> Any:
            return in_threads(await asyncio.to_thread(twin, *_bare(args), **kwargs))

        return call


def _wrapping(function: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        found = function(*_bare(args), **kwargs)
        return _wrapping(found) if callable(found) and not isinstance(found, Task) else in_threads(found)

    return call


def _bare(args: tuple[Any, ...]) -> list[Any]:
    return [one.value if isinstance(one, InThreads) else one for one in args]
