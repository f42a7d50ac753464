"""How far a long command is, on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_SECONDS_BETWEEN_LINES = 2.0


class Progress:
    """A bar on a terminal, else a line now and then. `things`: what is counted, such as `files`.

    >>> with Progress("files") as progress:
    ...     progress(1, 2)
    """

    def __init__(self, things: str) -> None:
        self._things = things
        self._bar: Bar | None = None
        self._told_at = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar, self._place = _started_bar(self._things)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Tell that `done` of `total` are done."""
        if self._bar is not None:
            self._bar.update(self._place, completed=done, total=total)
        elif done == total or time.monotonic() - self._told_at >= _SECONDS_BETWEEN_LINES:
            self._told_at = time.monotonic()
            click.echo(f"{done} of {total} {self._things}", err=True)


def _started_bar(things: str) -> tuple[Bar, TaskID]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(things),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    bar.start()
    return bar, bar.add_task(things, total=None)
