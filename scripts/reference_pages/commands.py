"""The page of commands, from their `--help`."""

from __future__ import annotations

import click

from howdah.cli import main, pgjobs

_WIDTH = 100
_INTRODUCTION = """\
# Commands

What `--help` says. Exit codes: 0, 1 (failed, or the answer is no), 2 (wrong usage). Errors are one line. A
setting may also stand in `howdah.toml`, in `[tool.howdah]` of `pyproject.toml`, or in a variable
`HOWDAH_…`; arguments come first, then variables, then files.
"""


def page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, *_command("howdah", main, None, 2)]
    for name, command in (("jobs-migrate", pgjobs.migrate), ("jobs-worker", pgjobs.worker)):
        parts += _command(name, command, None, 2)
    return "\n".join(parts)


def _command(name: str, command: click.Command, parent: click.Context | None, level: int) -> list[str]:
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH, color=False
    )
    with context:
        parts = [
            f"{'#' * level} {context.command_path}\n",
            f"```text\n{command.get_help(context).rstrip()}\n```\n",
        ]
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                if found is not None and not found.hidden:
                    parts += _command(child, found, context, level + 1)
    return parts
