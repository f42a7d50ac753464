"""What RQ's worker imports."""

from __future__ import annotations

from driver import moment as write_moment


def nothing() -> None:
    """Do nothing."""


def moment(published: float) -> None:
    """Write down when it starts."""
    write_moment(published)
