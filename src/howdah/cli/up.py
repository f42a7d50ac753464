"""`howdah up`: all of it in one command."""

from __future__ import annotations

import sys
from typing import Any

import click

from howdah.cli import options
from howdah.cli.worker import run_worker, worker_options


@click.command("up", epilog=options.example("howdah up --app shop.tasks:app"))
@worker_options
def up_command(**given: Any) -> None:
    """Create or upgrade the schemas and run a worker, until Ctrl-C.

    While it runs, the embedded server does, so that every other command finds it at once.
    """
    sys.exit(run_worker(migrated=True, **given))
