"""Threads with a session each, that start together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from tests.fixtures.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")


def run_together(dsn: str, bodies: Sequence[Callable[[Session], _T]]) -> list[_T]:
    """Run each body in a thread with a session of its own, behind one barrier; return what they return."""
    barrier = threading.Barrier(len(bodies))

    def work(body: Callable[[Session], _T]) -> _T:
        session = Session(dsn)
        try:
            barrier.wait(10)
            return body(session)
        finally:
            session.close()

    with ThreadPoolExecutor(len(bodies)) as threads:
        return [done.result() for done in [threads.submit(work, body) for body in bodies]]
