"""Every method that waits has two faces, such as `publish` and `publish_sync`; a mix-up of them is named."""

from __future__ import annotations

import asyncio
import sys

from howdah.errors import InsideEventLoop

__all__ = ["called_method", "refuse_inside_loop"]

_FACES = ("howdah._async", "howdah._sync")


def called_method() -> str:
    """Return the name of the method that a user called, without `_sync`: read from the stack, for errors."""
    frame = sys._getframe()
    name = "execute"
    entered = False
    while (caller := frame.f_back) is not None:
        frame = caller
        inside = frame.f_globals.get("__name__", "").startswith(_FACES)
        if inside:
            name = frame.f_code.co_name
        elif entered:
            break
        entered = inside
    return name.removesuffix("_sync")


def refuse_inside_loop() -> None:
    """Raise `InsideEventLoop` when an event loop runs in this thread: waiting would stop it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    name = called_method()
    raise InsideEventLoop(
        f"{name}_sync was called inside a running event loop, which it would stop",
        hint=f"use: await {name}(…)",
    )
