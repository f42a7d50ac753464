"""`async def` tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["CoroutineExecutor"]


class CoroutineExecutor:
    """Runs coroutine functions in the event loop."""

    def execute(
        self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Return the function's own coroutine: nothing lies between it and the loop."""
        coroutine: Coroutine[Any, Any, Any] = function(*args, **kwargs)
        return coroutine
