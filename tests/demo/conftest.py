"""Commands that are started and do not outlive their test."""

from tests.cli.command import start

__all__ = ["start"]
