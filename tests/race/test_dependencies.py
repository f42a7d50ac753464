"""A child is published while its parent ends and somebody settles, in every order: no wake-up is lost.

Each of the three holds a transaction that the others overlap in every way. The normal run plays every order
once, with isolation levels, ways to end and endings of the transactions drawn at random, the same in every
run; `-m long` plays every order with all of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from tests.race.steps import violations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fixtures.sessions import Session

    Opener = Callable[..., Session]

ISOLATIONS: Final = ("read committed", "repeatable read", "serializable")
# How the parent ends, and what then becomes of a child that waits for its success.
WAYS: Final = {
    "select jobs.ack('parent')": "ready",
    "select jobs.nack('parent', 'no', i_final => true)": "cancelled",
    "select jobs.delete('parent', true)": "cancelled",
    "select jobs.ack('parent'), jobs.prune('0 s')": "ready",
    "select jobs.release('parent'), jobs.delete('parent')": "cancelled",
}
# What only works at READ COMMITTED.
PLAIN_WAYS: Final = {
    "select jobs.cancel('parent'), jobs.release('parent')": "cancelled",
    "select jobs.release('parent'), jobs.cancel('parent')": "cancelled",
    "select count(*) from jobs.release('parent'), jobs.expire_now()": "cancelled",
}
CHILD: Final = "select jobs.publish('child', i_key => 'child', i_depends_on => '{parent}')"


@dataclass(frozen=True)
class Case:
    """Who does a step when, and how."""

    order: str  # p: publisher, e: who ends the parent, s: who settles; a letter for each step
    publisher: str
    ender: str
    way: str
    publisher_commits: bool
    ender_commits: bool


def _orders(publisher: int, ender: int, settler: int) -> Iterator[str]:
    """Give every order of so many steps of each."""
    if publisher + ender + settler == 0:
        yield ""
    for letter, left in (("p", publisher), ("e", ender), ("s", settler)):
        if left:
            rest = {"p": publisher, "e": ender, "s": settler, letter: left - 1}
            for order in _orders(rest["p"], rest["e"], rest["s"]):
                yield letter + order


ORDERS: Final = tuple(_orders(3, 3, 2))


def _drawn(order: str) -> Case:
    chance = random.Random(order)
    ender = chance.choice(ISOLATIONS)
    ways = list(WAYS) + (list(PLAIN_WAYS) if ender == ISOLATIONS[0] else [])
    return Case(
        order,
        chance.choice(ISOLATIONS),
        ender,
        chance.choice(ways),
        chance.random() < 0.9,
        chance.random() < 0.9,
    )


def _every(order: str) -> list[Case]:
    return [
        Case(order, publisher, ender, way, *commits)
        for publisher, ender, commits in product(ISOLATIONS, ISOLATIONS, product((True, False), repeat=2))
        for way in [*WAYS, *(PLAIN_WAYS if ender == ISOLATIONS[0] else ())]
    ]


class Actor:
    """A session that takes its steps one by one; None once it has failed."""

    def __init__(self, session: Session, steps: list[str]) -> None:
        self._session = session
        self._steps = steps
        self.error: str | None = None
        self.message = ""
        self.committed = False

    def step(self) -> None:
        query = self._steps.pop(0)
        if self.error is not None:
            return
        try:
            self._session.rows(query)
            self.committed = query == "commit"
        except psycopg.Error as error:
            self.error = error.sqlstate
            self.message = f"{query}: {error}"
            self._session.rollback()


def _play(sql: Session, trio: list[Session], case: Case) -> None:
    sql.rows("select race.clear()")
    sql.rows("select jobs.publish('parent', i_key => 'parent', i_result_ttl => %s, i_ttl => 3600)", 0)
    sql.rows("select jobs.consume(1)")
    ways = {**WAYS, **PLAIN_WAYS}
    end = case.way.replace("jobs.expire_now()", "race.expire_now()")
    actors = {
        "p": Actor(trio[0], _steps(case.publisher, CHILD, commits=case.publisher_commits)),
        "e": Actor(trio[1], _steps(case.ender, end, commits=case.ender_commits)),
        "s": Actor(trio[2], ["begin; select * from jobs.maintain()", "commit"]),
    }
    for letter in case.order:
        actors[letter].step()
    assert actors["s"].error is None, (case, actors["s"].message)
    assert actors["e"].error in (None, "40001"), (case, actors["e"].message)
    assert actors["p"].error in (None, "40001", "JB001"), (case, actors["p"].message)
    ended, expected = actors["e"].committed, ways[case.way]
    for _ in range(2):
        sql.rows("select * from jobs.maintain()")
        assert violations(sql) == [], case
    if not actors["p"].committed:
        assert sql.rows("select state from jobs.get('child')") == [], case
        return
    found = sql.value("select state from jobs.get('child')")
    if not ended:
        assert found == "blocked", case
        sql.rows("select jobs.ack('parent')")
        sql.rows("select * from jobs.maintain()")
        found, expected = sql.value("select state from jobs.get('child')"), "ready"
    assert found == expected, case
    assert sql.value("select (select count(*) from howdah.edge) + (select count(*) from howdah.ended)") == 0


def _steps(isolation: str, call: str, *, commits: bool) -> list[str]:
    begin = f"begin isolation level {isolation}; select count(*) from howdah.job"
    return [begin, call, "commit" if commits else "rollback"]


@pytest.fixture
def trio(sql: Session, sessions: Opener, ground: bytes) -> list[Session]:
    sql.connection.execute(ground)
    actors = [sessions() for _ in range(3)]
    for session in (sql, *actors):
        session.execute("set lock_timeout = '2s'")
    return actors


@pytest.fixture
def ground() -> bytes:
    from pathlib import Path

    return (Path(__file__).parent / "arena.sql").read_bytes() + _EXPIRE


_EXPIRE: Final = b"""
create function race.expire_now() returns bigint language plpgsql as $$
declare
    v_over constant timestamptz := clock_timestamp() - interval '1 s';
begin
    update howdah.job set expires_at = v_over;
    update howdah.expiry set expires_at = v_over;
    return howdah.expire(clock_timestamp(), 10);
end;
$$;
"""


@pytest.mark.parametrize("first", sorted({order[:2] for order in ORDERS}))
def test_no_order_of_a_publish_an_end_and_a_settlement_loses_a_wake_up(
    sql: Session, trio: list[Session], first: str
) -> None:
    for order in ORDERS:
        if order.startswith(first):
            _play(sql, trio, _drawn(order))


@pytest.mark.long
@pytest.mark.parametrize("order", ORDERS)
def test_no_order_loses_a_wake_up_at_any_isolation_level(
    sql: Session, trio: list[Session], order: str
) -> None:
    for case in _every(order):
        _play(sql, trio, case)
