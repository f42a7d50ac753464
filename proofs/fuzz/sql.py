"""Calls of the public functions with odd input, and what a call may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from hypothesis import strategies as st
from psycopg.types.string import TextLoader

from proofs.fuzz.functions import ALWAYS_GIVEN, STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proofs.fuzz.catalogue import Function

# Somebody declares the worker dead at this moment: the engine says "try again", and the worker does.
_AGAIN = {("exchange", "55P03"), ("heartbeat", "55P03"), ("reconcile", "55P03")}
_SLOW = "5s"
_WEIGHTS = {"publish": 8, "publish_many": 4, "consume": 3, "exchange": 3}


@dataclass(frozen=True, slots=True)
class SqlCase:
    """One call: its function and the texts that stand for its arguments."""

    function: Function
    given: tuple[tuple[str, str | None], ...]

    def __str__(self) -> str:
        told = ", ".join(f"{name} => {_shown(value)}" for name, value in self.given)
        return f"{'call' if self.function.is_procedure else 'select'} jobs.{self.function.name}({told})"

    @property
    def statement(self) -> str:
        """The statement, with a parameter for each argument."""
        types = dict(self.function.parameters)
        named = ", ".join(f"{name} => {_typed(types[name])}" for name, _ in self.given)
        if self.function.is_procedure:
            return f"call jobs.{self.function.name}({named})"
        return f"select * from jobs.{self.function.name}({named})"


@st.composite
def sql_cases(draw: st.DrawFn, functions: Sequence[Function]) -> SqlCase:
    """Draw a function and arguments for it: those it must have, and some of the others."""
    function = draw(st.sampled_from(_weighted(functions)))
    strategies = STRATEGIES[function.name]
    given = []
    for number, (name, _) in enumerate(function.parameters):
        must = number < function.required or (function.name, name) in ALWAYS_GIVEN
        if must or draw(st.integers(0, 2)) == 0:
            given.append((name, draw(strategies[name])))
    return SqlCase(function, tuple(given))


def _weighted(functions: Sequence[Function]) -> list[Function]:
    """Publish and claim more often, so that there is something to be done to."""
    return [one for one in functions for _ in range(_WEIGHTS.get(one.name, 1))]


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Open a connection on which a call that hangs is ended, and so noticed."""
    connection = psycopg.connect(dsn, autocommit=True)
    connection.adapters.register_loader("timestamptz", TextLoader)  # years that Python does not know
    connection.adapters.register_loader("jsonb", TextLoader)
    connection.adapters.register_loader("json", TextLoader)
    connection.execute(f"set statement_timeout = '{_SLOW}'".encode())
    return connection


def problem(connection: psycopg.Connection[Any], case: SqlCase) -> str | None:
    """Make the call; return what is wrong with its answer."""
    try:
        cursor = connection.execute(case.statement.encode(), [value for _, value in case.given])
        if cursor.description:
            cursor.fetchall()
    except psycopg.Error as error:
        return _wrong(case, error)
    return None


def _wrong(case: SqlCase, error: psycopg.Error) -> str | None:
    code, said = error.sqlstate or "", error.diag
    if (case.function.name, code) in _AGAIN:
        return None
    if not code.startswith("JB"):
        return f"{code or type(error).__name__} {said.message_primary}: {case}"
    if not said.message_hint:
        return f"{code} without a hint: {case}"
    if code == "JB001" and not said.column_name:
        return f"JB001 names no field: {case}"
    return None


def _typed(kind: str) -> str:
    if kind == "jobs.bulk_job[]":
        return "(select array_agg(r) from jsonb_populate_recordset(null::jobs.bulk_job, %s::jsonb) r)"
    return f"%s::{kind}"


def _shown(value: str | None) -> str:
    return "null" if value is None else f"{value[:120]!r}"
