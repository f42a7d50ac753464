"""`howdah demo`: the run, its progress and its table."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from howdah.cli import options
from howdah.cli.database import database
from howdah.cli.output import print_json, print_table
from howdah.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from howdah.demo.outcomes import FileOutcome, Report

_ALL_UP_TO = 40
_LARGEST = 20
_DIGEST_WIDTH = 64


@click.command("demo", epilog=options.example("howdah demo src", "howdah demo --json src > src.json"))
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@options.as_json
@options.dsn
def demo_command(folder: str, dsn: str | None, as_json: bool) -> None:
    """Measure every file below DIR: bytes, lines and words as wc gives them, and SHA-256.

    Each file is a job, run by two worker processes. Progress goes to stderr, the result to stdout.
    """
    from howdah.demo.run import run

    with database(dsn) as found, Progress("files") as progress:
        report = run(os.fsencode(os.path.abspath(folder)), found, progress)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: Report) -> None:
    succeeded = [file for file in report.files if file.state == "succeeded"]
    failed = [file for file in report.files if file.state != "succeeded"]
    if len(succeeded) > _ALL_UP_TO:
        succeeded = sorted(succeeded, key=lambda file: -(file.bytes or 0))[:_LARGEST]
        click.echo(f"the {_LARGEST} largest files (--json has all)")
    if succeeded:
        _print_measured(succeeded)
    _print_reasons("failed", [(file.path, file.error or file.state) for file in failed])
    _print_reasons("skipped", [(entry.path, entry.reason) for entry in report.skipped])
    click.echo(_sum(report))


def _print_measured(files: Sequence[FileOutcome]) -> None:
    shown = (
        16
        if sys.stdout.isatty() and shutil.get_terminal_size().columns < 2 * _DIGEST_WIDTH
        else _DIGEST_WIDTH
    )
    rows = ((file.bytes, file.lines, file.words, (file.sha256 or "")[:shown], file.path) for file in files)
    print_table(("bytes", "lines", "words", "sha256", "path"), rows)


def _print_reasons(title: str, rows: Sequence[tuple[str, str]]) -> None:
    if not rows:
        return
    click.echo()
    print_table((title, "reason"), rows[:_ALL_UP_TO])
    if len(rows) > _ALL_UP_TO:
        click.echo(f"… and {len(rows) - _ALL_UP_TO} more")


def _sum(report: Report) -> str:
    total = report.total
    return (
        f"\ntotal: {total.files} files, {total.bytes} bytes, {total.lines} lines, {total.words} words; "
        f"{total.failed} failed, {total.skipped} skipped; "
        f"{total.processes} worker processes, {total.seconds:.1f} s"
    )
