"""The command `howdah`: one file per group of commands, registered in `group`."""

from howdah.cli.group import main

__all__ = ["main"]
