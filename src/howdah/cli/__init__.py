"""The command `howdah`: one file per group of commands, registered in `group`."""

import os
import signal
import sys

__all__ = ["main"]


def _end(number: int, frame: object) -> None:
    # Not by an exception: one that a handler raises during an import may get lost there, or be printed.
    os._exit(0)


# Before anything else is imported, which takes a moment: a worker that is told to end before it has begun has
# ended as it should. Nothing has been opened or written until the worker heeds signals itself.
if sys.argv[1:2] in (["worker"], ["up"]) and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    signal.signal(signal.SIGTERM, _end)

from howdah.cli.group import main  # noqa: E402 (see above)
