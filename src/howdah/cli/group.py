"""The group of all commands. A command's file is imported when it is asked for, so that `--help` is quick."""

from __future__ import annotations

import importlib
import signal

import click

from howdah.cli.errors import one_line
from howdah.cli.options import example

# command → its file and one line about it, in the order in which `--help` shows them
COMMANDS = {
    "up": ("up", "Migrate and run a worker; Ctrl-C ends all of it."),
    "demo": ("demo", "Measure every file below a folder, by jobs."),
    "worker": ("worker", "Run jobs."),
    "migrate": ("schema", "Create or upgrade the schemas."),
    "publish": ("publish", "Publish one job."),
    "list": ("look", "Show the newest jobs."),
    "show": ("show", "Show one job, and follow what it logs."),
    "why": ("look", "Tell why a job is not running."),
    "wait": ("look", "Wait until a job ends."),
    "cancel": ("control", "Cancel a job."),
    "retry": ("control", "Run a job again, or now."),
    "delete": ("control", "Delete a job."),
    "prune": ("control", "Delete old finished jobs."),
    "queue": ("queue", "Look at queues, pause, resume, limit and empty them."),
    "limit": ("limit", "Limit what runs at once and how often it starts."),
    "workers": ("system", "Show who is alive; exit code 1 when nobody is."),
    "stats": ("system", "Show the numbers of the system."),
    "fsck": ("system", "Check the invariants."),
    "bench": ("bench", "Measure your own database."),
    "psql": ("server", "Open psql on the database."),
    "dsn": ("server", "Print the database's DSN."),
    "completion": ("completion", "Let your shell complete commands and options."),
}


class Commands(click.Group):
    """Loads a command's file when the command is used, and tells errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in our order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command, from its file."""
        if name not in COMMANDS:
            return None
        file, _ = COMMANDS[name]
        module = importlib.import_module(f"howdah.cli.{file}")
        command = getattr(module, f"{name}_command")
        assert isinstance(command, click.Command)  # noqa: S101  a mistake of ours, not of a user
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options of the group."""
        with one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Read the options of the command and run it."""
        # As Ctrl-C does, so that whoever holds the embedded server lets go of it. A worker has its own way.
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        with one_line():
            return super().invoke(ctx)


@click.command(cls=Commands, epilog=example("howdah demo src", "howdah worker --app shop.tasks:app"))
@click.version_option(package_name="howdah")
def main() -> None:
    """Jobs, schedules and workflows that live in PostgreSQL.

    Exit codes: 0, 1 (failed, or the answer is no), 2 (wrong usage).
    """
