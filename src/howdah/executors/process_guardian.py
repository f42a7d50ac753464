"""A small process that kills the process groups of a worker that died without a word.

The kernel ends a child with its parent on Linux, and everywhere a child ends when its pipe does; but programs
that a task has started know neither.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress

__all__ = ["Guardian"]

# Ends when the pipe does; until then it is not to be ended by the signal that ends the worker's whole unit.
_SCRIPT = """
trap '' TERM INT HUP
groups=
while read -r verb group; do
    case $verb in
        watch) groups="$groups $group" ;;
        forget)
            left=
            for each in $groups; do [ "$each" = "$group" ] || left="$left $each"; done
            groups=$left ;;
    esac
done
for each in $groups; do kill -s KILL -- "-$each" 2>/dev/null; done
"""


class Guardian:
    """Is told which groups live, and kills them when the worker's end of the pipe closes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (a fixed script)
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        """Kill this group when the worker dies."""
        self._tell(f"watch {group}\n")

    def forget(self, group: int) -> None:
        """Leave this group alone: it is no more, and its number may be somebody else's."""
        self._tell(f"forget {group}\n")

    def dismiss(self) -> None:
        """End the watch; what is still watched is killed."""
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=5)

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        with suppress(OSError):  # somebody killed it: the other two ways are left
            if pipe is not None:
                pipe.write(line.encode())
                pipe.flush()
