"""Tenants, labels and ageing with many sessions at once: each job once, everybody's part."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from tests.race.crew import run_together
from tests.race.steps import finish, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database
    from tests.fixtures.sessions import Session

    Opener = Callable[..., Session]

_TENANTS = 12
_EACH = 100


def fill(session: Session) -> None:
    """Publish jobs of twelve tenants, one after the other; every fifth requires a label."""
    session.rows(
        """select count(*) from jobs.publish_many((
               select jsonb_agg(jsonb_build_object('task', 'a', 'tenant', 't' || t, 'priority', n %% 2,
                                'requires', case when n %% 5 = 0 then '["gpu"]'::jsonb end) order by t, n)
                 from generate_series(1, %s) t, generate_series(1, %s) n))""",
        _TENANTS,
        _EACH,
    )


def take(session: Session, count: int, labels: str) -> list[int]:
    return [
        row["id"]
        for row in session.rows("select id from jobs.consume(%s, i_labels => %s::text[])", count, labels)
    ]


def work(session: Session, count: int, labels: str) -> list[int]:
    """Claim and acknowledge until nothing is left; every third batch is rolled back first."""
    done: list[int] = []
    turn = 0
    while True:
        turn += 1
        session.begin()
        ids = take(session, count, labels)
        if ids and turn % 3 == 0:
            session.rollback()
            continue
        session.commit()
        if not ids:
            return done
        finish(session, ids)
        done += ids


def test_every_job_of_every_tenant_starts_once_and_only_where_its_labels_are(
    sql: Session, database: Database
) -> None:
    fill(sql)
    having = [(1, "{gpu}"), (7, "{}"), (40, "{gpu,ssd}"), (100, "{}")]

    done = run_together(database.dsn, [partial(work, count=n, labels=labels) for n, labels in having])

    rest = work(sql, 1000, "{gpu}")  # a batch that was rolled back may come back when the others have ended
    all_of_them = list(chain.from_iterable(done)) + rest
    assert len(all_of_them) == len(set(all_of_them)) == _TENANTS * _EACH
    labelled = {row["id"] for row in sql.rows("select id from howdah.job where requires = '{gpu}'")}
    assert not labelled & set(done[1] + done[3])
    assert violations(sql) == []


def test_a_consumer_that_holds_its_transaction_open_stops_nobody(sql: Session, sessions: Opener) -> None:
    fill(sql)
    holder = sessions()
    holder.begin()
    held = take(holder, 30, "{gpu}")

    others = [take(sql, 60, "{gpu}") for _ in range(21)]

    assert len(held) == 30
    assert sum(map(len, others)) == _TENANTS * _EACH - 30
    assert not set(held) & set(chain.from_iterable(others))
    holder.rollback()
    assert sorted(take(sql, 100, "{gpu}")) == sorted(held)


def test_batches_of_parallel_claimers_are_fair_to_every_tenant(sql: Session, database: Database) -> None:
    fill(sql)

    def few(session: Session) -> list[int]:
        return list(chain.from_iterable(take(session, 3, "{gpu}") for _ in range(40)))

    taken = list(chain.from_iterable(run_together(database.dsn, [few] * 4)))

    tenants = {row["id"]: row["tenant"] for row in sql.rows("select id, tenant from howdah.job")}
    counts = Counter(tenants[number] for number in taken)
    assert len(taken) == 480
    assert len(counts) == _TENANTS
    assert max(counts.values()) <= 1.5 * min(counts.values())


def test_a_tenant_published_while_others_wait_behind_a_moved_floor_is_found(sql: Session) -> None:
    for round_ in range(4):
        sql.rows(
            "select jobs.publish_each('a', (select jsonb_agg(0) from generate_series(1, 700)),"
            " i_tenant => %s)",
            f"t{round_ % 2}",
        )
        for _ in range(2):
            sql.execute("select howdah.advance_cursor()")
        assert len(take(sql, 1000, "{}")) == 700
        for _ in range(2):
            sql.execute("select howdah.advance_cursor()")
    assert violations(sql) == []
