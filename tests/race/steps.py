"""What the cursor and doorbell tests do to a database, by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fixtures.sessions import Row, Session

_PUBLISH = """
    select id from jobs.publish_many((
        select jsonb_agg(jsonb_build_object('task', 'demo.task', 'queue', 'q'))
          from generate_series(1, %s)))"""


def publish(session: Session, count: int = 1) -> list[int]:
    """Publish jobs into queue q and return their numbers."""
    return [row["id"] for row in session.rows(_PUBLISH, count)]


def consume(session: Session, count: int = 1000) -> list[int]:
    """Claim as a plain consumer and return the numbers of the jobs."""
    return [row["id"] for row in session.rows("select id from jobs.consume(%s)", count)]


def finish(session: Session, ids: list[int]) -> None:
    """Acknowledge jobs of a plain consumer."""
    session.rows("select jobs.ack(i::text) from unnest(%s::bigint[]) i order by i", ids)


def drain(session: Session) -> list[int]:
    """Claim and acknowledge everything that can be claimed."""
    done: list[int] = []
    while ids := consume(session):
        finish(session, ids)
        done += ids
    return done


def advance(session: Session, times: int = 1) -> None:
    """Do steps of the cursor."""
    for _ in range(times):
        session.rows("select howdah.advance_cursor()")


def half_a_second_later(session: Session) -> None:
    """Make the candidate look older than the time a publisher may hold the floors up."""
    session.execute("update howdah.settle set candidate_at = candidate_at - interval '1 s'")


def a_second_later(session: Session) -> None:
    """Make lanes and holes look as if nobody had cared for them for a second."""
    session.execute("update howdah.lane set moved_at = moved_at - interval '2 s'")
    session.execute("update howdah.hole set looked_at = looked_at - interval '2 s'")


def floor(session: Session) -> int:
    """Return the highest floor; 0 without a lane."""
    return int(session.value("select coalesce(max(floor), 0) from howdah.lane"))


def holes(session: Session) -> int:
    """Return how many holes there are."""
    return int(session.value("select count(*) from howdah.hole"))


def violations(session: Session) -> list[Row]:
    """Return what fsck finds."""
    return session.rows("select * from jobs.fsck()")


def start_worker(session: Session, *tasks: str, queues: list[str] | None = None, lease: float = 15) -> int:
    """Register a worker that knows demo.task, or the given tasks."""
    declared = json.dumps([{"name": name} for name in tasks or ("demo.task",)])
    return int(
        session.value(
            "select jobs.worker_started('w', %s::jsonb, %s, i_lease => %s)", declared, queues, lease
        )
    )


def exchange(session: Session, worker: int, count: int = 0, *, sleep: bool = False) -> dict[str, Any]:
    """Claim for a worker; return the answer."""
    answer: dict[str, Any] = session.value("select jobs.exchange(%s, null, %s, %s)", worker, count, sleep)
    return answer


def hand_in(session: Session, worker: int, outcomes: list[list[Any]], count: int = 0) -> dict[str, Any]:
    """Hand in outcomes for a worker; return the answer."""
    answer: dict[str, Any] = session.value(
        "select jobs.exchange(%s, %s::jsonb, %s)", worker, json.dumps(outcomes), count
    )
    return answer


def fall_asleep(session: Session, worker: int) -> None:
    """Declare a worker asleep, as it does itself when it finds nothing."""
    assert exchange(session, worker, 10, sleep=True)["asleep"]
    assert exchange(session, worker, 10, sleep=True)["settled"], "somebody is in flight"
