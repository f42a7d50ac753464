"""Two sessions on one database, and what comes out when two calls meet there."""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from tests.fixtures.sessions import Row, Session
from tests.race.moves import BURY, HOLD_WORKER, ISOLATIONS, MOVES, READ_COMMITTED_ONLY, SKIP_LOCKED, Case

if TYPE_CHECKING:
    from pathlib import Path

_BLOCKED = "select cardinality(pg_blocking_pids(%s)) > 0"
_GONE = "select not exists (select from pg_stat_activity where pid = %s)"
_WAIT_SECONDS = 10.0
_SERIALIZATION_FAILURE = "40001"
_VACUUM_EVERY = 500
Answer = tuple[str | None, list[Row]]


class Outcome(NamedTuple):
    """What is left in the tables, and the second call's SQLSTATE."""

    state: str
    error: str | None


class Arena:
    """A database that is reset for each case; the connections stay."""

    def __init__(self, dsn: str, definitions: Path) -> None:
        self._dsn = dsn
        self.referee = Session(dsn)
        self.referee.connection.execute(definitions.read_bytes())
        self.first = Session(dsn)
        self.second = Session(dsn)
        self._resets = 0
        self.serial = cache(self._serial)

    def close(self) -> None:
        """End the sessions."""
        for session in (self.second, self.first, self.referee):
            session.close()

    def reset(self, state: str) -> None:
        """Bring the job into a state."""
        self.referee.rows("select race.reset(%s)", state)
        self._resets += 1
        if self._resets % _VACUUM_EVERY == 0:
            self.referee.execute("vacuum")  # thousands of dead rows would slow every look down

    def observe(self, error: str | None = None) -> Outcome:
        """Read what can be seen from outside."""
        return Outcome(str(self.referee.value("select race.observe()::text")), error)

    def _serial(self, state: str, *moves: str) -> Outcome:
        """Run calls one after the other; the outcome has the last one's error."""
        self.reset(state)
        error = None
        for move in moves:
            error = answer(self.first.later(MOVES[move]))[0]
        return self.observe(error)

    def meet(self, case: Case) -> list[str]:
        """Let two calls meet; return what is wrong with the result."""
        if self.serial(case.state, case.first).error is not None:
            return []  # a call that fails holds nothing
        self.reset(case.state)
        self.first.begin(case.first_isolation)
        error = answer(self.first.later(MOVES[case.first]))[0]
        if error is not None:
            self.first.rollback()
            expected = _isolation_error(case.first, case.first_isolation)
            return [] if error == expected else [f"the first call failed with {error}"]
        late = self._start_second(case)
        ended = self._end_first(case.ending)
        code, rows = answer(late)
        self.second.execute("reset default_transaction_isolation")
        return self._judge(case, ended, self.observe(code), rows)

    def _start_second(self, case: Case) -> Future[list[Row]]:
        """Start the second call; it waits for a lock or has finished when this returns."""
        self.second.execute(f"set default_transaction_isolation = '{case.second_isolation}'")
        late = self.second.later(MOVES[case.second])
        deadline = time.monotonic() + _WAIT_SECONDS
        while not wait([late], 0.0005).done and not self.referee.value(_BLOCKED, self.second.pid):
            assert time.monotonic() < deadline, f"{case} neither waits nor ends"
        return late

    def _end_first(self, ending: str) -> str:
        """End the first transaction; return whether it was committed or rolled back."""
        if ending == "terminate":
            self.referee.rows("select pg_terminate_backend(%s)", self.first.pid)
            deadline = time.monotonic() + _WAIT_SECONDS
            while not self.referee.value(_GONE, self.first.pid):
                assert time.monotonic() < deadline
            self.first.close()
            self.first = Session(self._dsn)
            return "rollback"
        try:
            self.first.execute(ending)
        except psycopg.errors.SerializationFailure:
            return "rollback"
        return ending

    def _judge(self, case: Case, ended: str, found: Outcome, rows: list[Row]) -> list[str]:
        wrong = [f"fsck: {row}" for row in self.referee.rows("select * from jobs.fsck()")]
        allowed = self._allowed(case, ended, rows)
        if found not in allowed:
            serial = "\n      or ".join(sorted({str(tuple(outcome)) for outcome in allowed}))
            wrong.append(f"is {tuple(found)}\n      not {serial}")
        return wrong

    def _allowed(self, case: Case, ended: str, rows: list[Row]) -> set[Outcome]:
        """Every outcome that a caller may see."""
        committed = ended == "commit"
        untouched = self.serial(case.state, case.first) if committed else self.serial(case.state)
        refused = _isolation_error(case.second, case.second_isolation)
        if refused is not None:
            return {Outcome(untouched.state, refused)}
        allowed = {self.serial(case.state, case.second)}
        if committed:
            first_then_second = self.serial(case.state, case.first, case.second)
            # the second call's answer when it came first, as it gives it alone
            second_then_first = self.serial(case.state, case.second, case.first).state
            allowed = {first_then_second, Outcome(second_then_first, allowed.pop().error)}
        if case.second_isolation != ISOLATIONS[0]:
            allowed.add(Outcome(untouched.state, _SERIALIZATION_FAILURE))
        if case.second in SKIP_LOCKED and not _took_something(rows):
            allowed.add(Outcome(untouched.state, None))
        if case.first in BURY and case.second in HOLD_WORKER:
            allowed.add(Outcome(untouched.state, "55P03"))
        return allowed


def answer(late: Future[list[Row]]) -> Answer:
    """Return the SQLSTATE, if it failed, and the rows of a call."""
    try:
        return None, late.result(_WAIT_SECONDS)
    except psycopg.Error as error:
        return error.sqlstate, []


def _isolation_error(move: str, isolation: str) -> str | None:
    return "JB005" if isolation != ISOLATIONS[0] and move in READ_COMMITTED_ONLY else None


def _took_something(rows: list[Row]) -> bool:
    """Whether a call that skips locked rows says that it took one."""
    return any(_taken(value) for row in rows for name, value in row.items() if name != "chore")


def _taken(value: Any) -> bool:
    match value:
        case {"jobs": claimed}:
            return bool(claimed)
        case int():
            return value > 0
    return value is not None
