"""Executors run a task's function; which one is chosen once, by the kind of function.

* ``coroutine``: an `async def` runs in the worker's event loop
* ``thread``: a `def` runs in a thread of its own
* ``process``: a task with `isolation="process"`, of either kind, runs in a process of its own
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Executor"]


class Executor(Protocol):
    """Runs functions; cancelling the coroutine ends the run, or abandons what cannot be ended."""

    def execute(
        self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Return the coroutine that runs the function and returns its value."""
        ...
