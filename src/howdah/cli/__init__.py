"""The command `howdah`: one file per group of commands, registered in `group`."""

import signal
import sys

__all__ = ["main", "told_to_end"]

# Looked at once more where the worker begins: an exception that a handler raises may get lost in an import.
told_to_end: list[int] = []


def _end(number: int, frame: object) -> None:
    told_to_end.append(number)
    sys.exit(0)


# Before anything else is imported, which takes a moment: a worker that is told to end before it has begun has
# ended as it should.
if sys.argv[1:2] in (["worker"], ["up"]) and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    signal.signal(signal.SIGTERM, _end)

from howdah.cli.group import main  # noqa: E402 (see above)
