"""A worker that is stuck starts anew: only the end of a process ends its threads.

Threads that go on after their runs have ended keep their slots. When half of the slots are taken so, or it
has happened too often, the worker ends as after SIGTERM, and its exit code says why; `howdah worker` and the
parent of several processes start a new one.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from howdah.worker.signals import NUMBERS

if TYPE_CHECKING:
    from howdah.executors.thread import ThreadExecutor
    from howdah.worker.options import WorkerOptions
    from howdah.worker.signals import Signals

__all__ = ["RESTART", "heed_from_here", "run_anew", "worn_out"]

# A worker that wants to be started anew ends so: EX_TEMPFAIL, after which process managers restart, too.
RESTART = 75


def worn_out(threads: ThreadExecutor, options: WorkerOptions) -> bool:
    """Tell whether too many threads go on, or did so."""
    return threads.overran >= options.overruns or 2 * threads.abandoned >= options.concurrency


def run_anew(signals: Signals) -> None:
    """Run this program from its beginning, as the same process; return when a signal came to end it."""
    sys.stdout.flush()
    sys.stderr.flush()
    # One that comes from now on is kept for the program that begins, which unblocks them (`heed_from_here`);
    # if another thread gets it, it ends the process.
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)
    if not signals.received:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (as we were called)
    heed_from_here(signals)


def heed_from_here(signals: Signals) -> None:
    """Take the signals, also those that came while this program was starting itself anew."""
    signals.install()
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
