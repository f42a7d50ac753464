"""A worker process that a `Supervisor` started: `python -m howdah.worker.child LIFE REPORT`.

LIFE is the pipe with its orders; when it ends, the parent has died. On REPORT it tells its worker numbers.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress

import msgspec

from howdah.app import Howdah, load_app
from howdah.errors import HowdahError
from howdah.settings import load_settings
from howdah.worker.log import logger, set_up_logging
from howdah.worker.parent import die_with_the_parent
from howdah.worker.processes import CANNOT_START, ChildOrders
from howdah.worker.reload import RELOAD, Watch, source_files
from howdah.worker.worker import Worker

__all__ = ["main"]

_SECONDS_TO_END = 3.0


def main() -> int:
    """Be a worker process; return the exit code."""
    life, report = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(life, False)
    os.set_inheritable(report, False)
    die_with_the_parent(signal.SIGTERM)  # before the worker heeds signals it ends so, too
    with os.fdopen(life, "rb", buffering=0) as pipe:
        line = _first_line(pipe.fileno())
        if not line:
            return 1  # the parent died before it gave orders
        orders = msgspec.json.decode(line, type=ChildOrders)
        threading.Thread(target=_watch, args=(pipe.fileno(),), name="howdah-parent", daemon=True).start()
        set_up_logging(orders.log_level)
        try:
            return Worker(_app(orders), orders.options, on_registered=lambda i: _tell(report, i)).main()
        except HowdahError as error:
            logger.error("%s", error)
            if not orders.options.reload:
                return CANNOT_START
            logger.info("waiting for a change of the sources")
            logger.info("%s has changed: starting anew", Watch(source_files).wait())
            return RELOAD


def _app(orders: ChildOrders) -> Howdah:
    if orders.app is None:
        return Howdah(orders.dsn, imports=orders.imports, settings=load_settings(dsn=orders.dsn))
    app = load_app(orders.app)
    app.use(orders.dsn)
    return app


def _tell(report: int, worker_id: int) -> None:
    with suppress(OSError):  # the parent has died, and we are about to end
        os.write(report, b"%d\n" % worker_id)


def _first_line(pipe: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(pipe, 65536)
        if not more:
            return b""
        line += more
    return line


def _watch(pipe: int) -> None:
    """End with the parent: the kernel closes its end of the pipe, however it died."""
    while os.read(pipe, 1):
        pass
    logger.warning("the parent process has died: ending")
    for _ in range(2):  # at once: running jobs are given back
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_SECONDS_TO_END / 10)
    time.sleep(_SECONDS_TO_END)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
