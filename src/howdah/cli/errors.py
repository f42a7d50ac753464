"""Errors in one line, without a traceback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from howdah.errors import HowdahError

if TYPE_CHECKING:
    from collections.abc import Iterator


class CommandFailed(click.ClickException):
    """The command could not do what was asked: exit code 1."""

    exit_code = 1


class WrongUsage(click.ClickException):
    """The command was not typed as it takes it: exit code 2."""

    exit_code = 2

    def __init__(self, error: click.UsageError) -> None:
        help_of = f" (see: {error.ctx.command_path} --help)" if error.ctx else ""
        super().__init__(_flat(error.format_message()) + help_of)


@contextmanager
def one_line() -> Iterator[None]:
    """Turn every error a user can meet into one line on stderr."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise WrongUsage(error) from error
    except HowdahError as error:
        raise CommandFailed(_flat(str(error))) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise CommandFailed(_flat(str(error) or type(error).__name__)) from error
    except BaseExceptionGroup as group:
        # A worker runs its services in task groups; one known error inside is the one to tell.
        known, _ = group.split((HowdahError, OSError))
        if known is None:
            raise
        raise CommandFailed(_flat(str(_first(known)))) from group


def _flat(text: str) -> str:
    return " ".join(text.split())


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
