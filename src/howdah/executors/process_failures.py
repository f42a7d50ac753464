"""How a run in a process of its own fails, as an exception in the worker."""

from __future__ import annotations

__all__ = ["ProcessDied", "ProcessUnfit", "RemoteError"]


class RemoteError(Exception):
    """What a task raised in its process, in words: exceptions do not travel, their texts do.

    `kind`, `message` and `trace` are those of the failure to record; `final`: there is no point in a retry.
    """

    def __init__(
        self, message: str, *, kind: str = "error", trace: str | None = None, final: bool = False
    ) -> None:
        super().__init__(message)
        self.message: str = message
        self.kind: str = kind
        self.trace: str | None = trace
        self.final: bool = final


class ProcessDied(Exception):
    """The process ended in the middle of a run; the text says how."""


class ProcessUnfit(ProcessDied):
    """The process ended before it could run anything: it cannot import what it would need."""
