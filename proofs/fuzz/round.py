"""One round: a fresh database, cases from a seed over several connections at once, and then a worker."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hypothesis
import msgspec
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from proofs.fuzz import client, commands, sql
from proofs.fuzz.catalogue import functions
from proofs.fuzz.drain import drained
from proofs.ground import ground

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Of each round: every kind of input takes a different time.
_OF_SQL, _OF_CLIENT, _OF_COMMANDS = 1600, 300, 100
CASES = _OF_SQL + _OF_CLIENT + _OF_COMMANDS
_CONNECTIONS = 4
_KEPT = 20


class RoundResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a round has done and found. Numbers are of cases by the kind of input."""

    seed: int
    cases: dict[str, int]
    problems: list[str]


@contextmanager
def _connections(dsn: str) -> Iterator[list[Any]]:
    opened = [sql.connect(dsn) for _ in range(_CONNECTIONS)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


def sql_round(dsn: str, seed: int, number: int) -> list[str]:
    """Call public functions from several connections at once; return what is wrong."""
    problems: list[str] = []
    with _connections(dsn) as connections, ThreadPoolExecutor(_CONNECTIONS) as threads:
        cases = sql.sql_cases(functions(connections[0]))

        def run(batch: list[sql.SqlCase]) -> None:
            found = threads.map(sql.problem, connections, batch)
            problems.extend(told for told in found if told)

        each(st.lists(cases, min_size=_CONNECTIONS, max_size=_CONNECTIONS), run, seed, number // _CONNECTIONS)
    return problems


def client_round(dsn: str, seed: int, number: int) -> list[str]:
    """Call the methods of app, task and job; return what is wrong."""
    problems: list[str] = []
    with asyncio.Runner() as runner:
        called = runner.run(_client(dsn))

        def run(case: client.ClientCase) -> None:
            told = runner.run(called.problem(case))
            problems.extend([told] if told else [])

        try:
            each(client.client_cases(), run, seed, number)
        finally:
            runner.run(called.close())
    return problems


async def _client(dsn: str) -> client.Client:
    return client.Client(dsn)


def command_round(dsn: str, seed: int, number: int) -> list[str]:
    """Run commands; return what is wrong."""
    problems: list[str] = []

    def run(case: commands.CommandCase) -> None:
        told = commands.problem(dsn, case)
        problems.extend([told] if told else [])

    each(commands.command_cases(), run, seed, number)
    return problems


def round_of(dsn: str, seed: int, *, of_sql: int, of_client: int, of_commands: int) -> RoundResult:
    """Run all kinds of cases on one database, and drain it."""
    logging.getLogger("howdah.worker").setLevel(logging.CRITICAL)
    problems = sql_round(dsn, seed, of_sql)
    problems += client_round(dsn, seed, of_client)
    problems += command_round(dsn, seed, of_commands)
    problems += drained(dsn)
    cases = {"SQL functions": of_sql, "Python methods": of_client, "commands": of_commands}
    return RoundResult(seed=seed, cases=cases, problems=problems[:_KEPT])


def one_round(seed: int) -> RoundResult:
    """Run one round on a server of its own."""
    with ground() as servers:
        return round_of(
            servers.database(), seed, of_sql=_OF_SQL, of_client=_OF_CLIENT, of_commands=_OF_COMMANDS
        )


def each(strategy: st.SearchStrategy[Any], run: Callable[[Any], None], seed: int, number: int) -> None:
    """Run something with so many examples, the same ones for the same seed."""
    if not number:
        return

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(strategy)
    def examples(case: Any) -> None:
        run(case)

    examples()
