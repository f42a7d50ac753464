"""Every command of the command line with odd words for its arguments and options, in this process."""

from __future__ import annotations

import os
import signal
import traceback
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import click
from click.testing import CliRunner
from hypothesis import strategies as st

from howdah.cli import main
from howdah.errors import DatabaseError
from proofs.fuzz import values

if TYPE_CHECKING:
    from collections.abc import Mapping

# These start servers, workers or other programs when what they are given is right: here it never is.
SPOILED: Final[Mapping[str, tuple[str, ...]]] = {
    "up": ("--app", "no.such:app"),
    "worker": ("--app", "no.such:app"),
    "demo": ("--no-such-option",),
    "bench": ("--no-such-option",),
    "psql": ("--dsn", "postgresql://["),
}
# Without an end these wait for a job for ever; the last of two `--timeout` counts.
_ENDING: Final[Mapping[str, tuple[str, ...]]] = {"wait": ("--timeout", "0")}
# Follows a job until it ends: that is for the tests of `show`.
_LEFT_OUT: Final = frozenset({"--follow", "--help", "--dsn"})
_CODES = frozenset({0, 1, 2})

# A command line holds no NUL, and what is no UTF-8 comes as surrogates.
_alphabet = st.characters(exclude_characters="\x00")
_words: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(
        ("fuzz.any", "q", "default", "1", "2", "-1", "0", "0.5", "nan", "inf", "-inf", "1e400", "9" * 30)
    ),
    st.sampled_from(
        ("{}", "[]", '{"a": NaN}', "NaN", '"\\u0000"', '"\\ud800"', "[" * 70 + "]" * 70, "1e400", "null")
    ),
    st.sampled_from(
        ("[" * 100_000, "9" * 5000, "2026-01-31T09:00", "9999-12-31T23:59:59+00:00", "0001-01-01", "7d")
    ),
    st.sampled_from(
        ("\udcff", "\udc80a", "--", "-", "%", "\x1b[31m", "\n", "", "ready", "failed", "bash", "1,2,nan")
    ),
    values.keys,
    values.counts,
    st.text(_alphabet, max_size=12),
)


@dataclass(frozen=True, slots=True)
class CommandCase:
    """One command line."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"howdah {' '.join(repr(word[:80]) for word in self.words)}"


@cache
def commands() -> dict[tuple[str, ...], click.Command]:
    """Return every command by its words, those of groups too."""
    context = click.Context(main)
    found: dict[tuple[str, ...], click.Command] = {}

    def collect(words: tuple[str, ...], command: click.Command) -> None:
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                if inner is not None:
                    collect((*words, name), inner)
        else:
            found[words] = command

    collect((), main)
    return found


@st.composite
def command_cases(draw: st.DrawFn) -> CommandCase:
    """Draw a command, some of its options, and its arguments or a few too many or too few."""
    words = draw(st.sampled_from(sorted(commands())))
    command = commands()[words]
    given: list[str] = []
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not _LEFT_OUT.intersection(parameter.opts):
            given += draw(_option(parameter))
    wanted = sum(1 for parameter in command.params if isinstance(parameter, click.Argument))
    number = draw(st.sampled_from((wanted, wanted, wanted, wanted + 1, max(wanted - 1, 0))))
    arguments = [draw(_words) for _ in range(number)]
    if draw(st.booleans()):
        arguments = ["--", *arguments]
    ending = (*SPOILED.get(words[0], ()), *_ENDING.get(words[0], ()))
    return CommandCase((*words, *given, *ending, *arguments))


@st.composite
def _option(draw: st.DrawFn, option: click.Option) -> list[str]:
    if draw(st.integers(0, 3)):
        return []
    if option.is_flag:
        return [option.opts[0]]
    return [option.opts[0], draw(_words)]


def problem(dsn: str, case: CommandCase) -> str | None:
    """Run the command; return what is wrong with how it ends."""
    environment: dict[str, Any] = {name: None for name in os.environ if name.startswith(("HOWDAH_", "PG"))}
    before = signal.getsignal(signal.SIGTERM)
    try:
        done = CliRunner().invoke(
            main, case.words, prog_name="howdah", env={**environment, "HOWDAH_DSN": dsn}
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        told = "".join(traceback.format_exception_only(done.exception)).strip()
        return f"a traceback, {told[:200]}: {case}"
    if done.exit_code not in _CODES:
        return f"exit code {done.exit_code}: {case}"
    raw = _database_error(done.exception)
    if raw is not None:
        return f"raw words, {raw.sqlstate} {raw!s:.200}: {case}"
    if done.exit_code == 2 and not done.stderr:
        return f"exit code 2 without a word: {case}"
    return None


def _database_error(error: BaseException | None) -> DatabaseError | None:
    """Return what PostgreSQL said and nobody put into words of ours."""
    while error is not None:
        if isinstance(error, DatabaseError):
            return error
        error = error.__cause__ or error.__context__
    return None
