"""Functions that a worker may run because their package is allowed."""

from __future__ import annotations

import os


def pid() -> int:
    """Tell where it runs."""
    return os.getpid()
