"""Runs coroutines for callers that have no event loop: the `*_sync` methods."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from howdah.errors import InsideEventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["run_sync"]

T = TypeVar("T")


class _Portal:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="howdah-sync", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C in the caller's thread ends the call as well
            future.cancel()
            raise

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._loop.shutdown_asyncgens(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


_portal: _Portal | None = None
_lock = threading.Lock()


def run_sync(name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine that `make` returns and wait for it; `name` is the async twin, for the message.

    Raises `InsideEventLoop` when an event loop runs in this thread: waiting would stop it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _started().run(make())
    raise InsideEventLoop(
        f"{name}_sync was called inside a running event loop, which it would stop",
        hint=f"use: await {name}(…)",
    )


def _started() -> _Portal:
    global _portal
    with _lock:
        if _portal is None:
            _portal = _Portal()
        return _portal


def _stop() -> None:
    if _portal is not None:
        _portal.stop()


def _forget() -> None:
    # The thread is not in the child; the loop and its sockets are the parent's.
    global _portal, _lock
    _inherited.append(_portal)
    _portal = None
    _lock = threading.Lock()


_inherited: list[_Portal | None] = []
atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
