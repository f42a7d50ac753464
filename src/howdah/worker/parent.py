"""A child's tie to its parent."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal

__all__ = ["die_with_the_parent"]

_PR_SET_PDEATHSIG = 1


def die_with_the_parent(number: signal.Signals) -> None:
    """Have the kernel send this signal to us when the thread that started us ends; only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
