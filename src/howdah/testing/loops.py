"""For tests that are no coroutines: an event loop for one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from howdah.errors import InsideEventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def in_own_loop(name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine that `make` returns; `name` is its function's, for the error.

    Raises `InsideEventLoop` when an event loop runs in this thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    raise InsideEventLoop(f"{name}_sync was called inside a running event loop", hint=f"use: await {name}(…)")
