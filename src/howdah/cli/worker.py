"""`howdah worker · up`: run jobs."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from howdah.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from howdah.app import Howdah
    from howdah.settings import Settings

_OPTIONS = (
    click.option(
        "--queues",
        metavar="A,B",
        help="Serve these queues only, in this order; A:3,B:1 in these parts.  [default: every queue]",
    ),
    click.option(
        "--order",
        type=click.Choice(["strict", "round-robin"]),
        help="How the queues are served: the first that has jobs, or in equal parts.  [default: strict]",
    ),
    click.option(
        "--labels", metavar="A,B", help="What the worker has; a job may require it, as in gpu,zone=a."
    ),
    click.option("--topic", metavar="PATTERN", help="Run tasks with such names only; % matches anything."),
    click.option("--processes", type=click.IntRange(1), metavar="N", help="Worker processes.  [default: 1]"),
    click.option(
        "--concurrency",
        type=click.IntRange(1),
        metavar="N",
        help="Jobs run at once by a process.  [default: 10]",
    ),
    click.option(
        "--allow", multiple=True, metavar="PACKAGE", help="Run any function of this package; may be repeated."
    ),
    click.option(
        "--grace", type=click.FloatRange(0), metavar="SECONDS", help="What running jobs get at the end."
    ),
    click.option("--verbose", is_flag=True, help="Log each start and success."),
    options.app,
    options.dsn,
)


def worker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a worker to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("worker", epilog=options.example("howdah worker --app shop.tasks:app --queues mail,default"))
@click.option("--burst", is_flag=True, help="End when there is nothing more to do.")
@click.option("--reload", is_flag=True, help="Start anew when a source file of the project changes.")
@worker_options
def worker_command(**given: Any) -> None:
    """Run jobs until SIGTERM or Ctrl-C: the first ends it gently, the second at once."""
    sys.exit(run_worker(**given))


def run_worker(
    *,
    dsn: str | None = None,
    app_path: str | None = None,
    queues: str | None = None,
    allow: tuple[str, ...] = (),
    verbose: bool = False,
    burst: bool = False,
    reload: bool = False,
    migrated: bool = False,
    **given: Any,
) -> int:
    """Run a worker, or several processes of it, and return the exit code.

    `migrated`: create or upgrade the schemas first. Raises a HowdahError when it cannot start.
    """
    import atexit
    import logging
    from functools import partial

    from howdah.settings import load_settings
    from howdah.worker import Supervisor, Worker, WorkerOptions
    from howdah.worker.log import set_up_logging
    from howdah.worker.restart import heed_from_here, run_anew
    from howdah.worker.shares import weighed
    from howdah.worker.signals import Signals, ignore_signals

    signals = Signals(ends=True)
    heed_from_here(signals)
    atexit.register(ignore_signals)
    level = logging.DEBUG if verbose else logging.INFO
    set_up_logging(level)
    settings = load_settings(app=app_path, queues=queues, allow=allow or None, **given)
    names, weights = weighed(settings.queues, settings.order)
    chosen = WorkerOptions(
        queues=names,
        weights=weights,
        labels=settings.labels,
        topic=settings.topic,
        concurrency=settings.concurrency,
        burst=burst,
        allow=settings.allow,
        lease=settings.lease,
        grace=settings.grace,
        reload=reload,
        recycle_jobs=settings.recycle_jobs,
        recycle_megabytes=settings.recycle_megabytes,
        overruns=settings.overruns,
    )
    with _app(dsn, settings) as app:
        if migrated:
            _migrate(app.database.dsn())
        if settings.processes == 1 and not reload:
            return Worker(app, chosen, on_restart=partial(run_anew, signals)).main()
        found = app.database.dsn()
        return Supervisor(
            found, settings.processes, chosen, app=settings.app, imports=settings.imports, log_level=level
        ).main()


@contextmanager
def _app(dsn: str | None, settings: Settings) -> Iterator[Howdah]:
    """Yield the app, on the database that was given; its tasks are found in the current folder too."""
    from howdah.app import Howdah, load_app

    sys.path.insert(0, os.getcwd())
    app = load_app(settings.app) if settings.app else Howdah(dsn, settings=settings)
    if dsn:
        app.use(dsn)
    try:
        yield app
    finally:
        app.database.release()


def _migrate(dsn: str) -> None:
    from howdah.migrate import migrate, pending
    from howdah.worker.log import logger

    # Looked at first: whoever only runs jobs need not be allowed to change schemas.
    for name in migrate(dsn) if pending(dsn) else ():
        logger.info("applied %s", name)
