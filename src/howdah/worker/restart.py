"""A worker that is stuck starts anew: only the end of a process ends its threads.

Threads that go on after their runs have ended keep their slots. When half of the slots are taken so, or it
has happened too often, the worker ends as after SIGTERM, and its exit code says why; `howdah worker` and the
parent of several processes start a new one.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from howdah.executors.thread import ThreadExecutor
    from howdah.worker.options import WorkerOptions

__all__ = ["RESTART", "run_anew", "worn_out"]

# A worker that wants to be started anew ends so: EX_TEMPFAIL, after which process managers restart, too.
RESTART = 75


def worn_out(threads: ThreadExecutor, options: WorkerOptions) -> bool:
    """Tell whether too many threads go on, or did so."""
    return threads.overran >= options.overruns or 2 * threads.abandoned >= options.concurrency


def run_anew() -> NoReturn:
    """Run this program from its beginning, as the same process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (as we were called)
