"""After an outage the first to come back does not bury the others, who are about to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fixtures.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.database import Database


@pytest.fixture
def engine(live_database: Database) -> Iterator[Session]:
    """A session on a database with one worker, which holds a run."""
    session = Session(live_database.dsn)
    session.execute("select jobs.worker_started('w', '[{\"name\": \"t\"}]', i_lease => 2)")
    session.execute("select jobs.publish('t')")
    session.execute("select jobs.exchange(1, null, 1)")
    session.execute("select * from jobs.maintain()")
    yield session
    session.close()


def nobody_came(engine: Session, seconds: float) -> None:
    """Make it so long since anybody beat or kept house."""
    for register in ("last_rescue", "rescuing_since"):
        engine.execute(
            f"select setval('howdah.{register}', last_value - %s) from howdah.{register} where is_called",
            int(seconds * 1000),
        )
    engine.execute("update howdah.beat set beat_at = beat_at - make_interval(secs => %s)", seconds)


def buried(engine: Session) -> bool:
    """Keep house once; tell whether the worker is declared dead."""
    engine.execute("select * from jobs.maintain()")
    return bool(engine.value("select count(*) = 0 from howdah.worker"))


def test_a_worker_past_its_lease_is_buried_at_once_while_somebody_kept_house(engine: Session) -> None:
    engine.execute("update howdah.beat set beat_at = beat_at - interval '3 s'")
    assert buried(engine)


def test_after_an_outage_workers_get_three_seconds_to_beat(engine: Session) -> None:
    nobody_came(engine, 60)
    assert not buried(engine)
    assert not buried(engine), "the first look after an outage is no outage's end"
    engine.execute("select setval('howdah.rescuing_since', last_value - 3001) from howdah.rescuing_since")
    assert buried(engine)


def test_a_worker_that_beats_in_time_after_an_outage_keeps_its_runs(engine: Session) -> None:
    nobody_came(engine, 60)
    assert not buried(engine)
    engine.execute("select * from jobs.heartbeat(1)")
    engine.execute("select setval('howdah.rescuing_since', last_value - 3001) from howdah.rescuing_since")
    assert not buried(engine)


def test_a_consumer_that_comes_once_an_hour_finds_it_dead_the_second_time(engine: Session) -> None:
    nobody_came(engine, 3600)
    assert engine.rows("select * from jobs.consume()") == []
    nobody_came(engine, 3600)
    assert [row["task"] for row in engine.rows("select * from jobs.consume()")] == ["t"]


def test_a_clock_that_was_set_back_does_not_stop_the_burying(engine: Session) -> None:
    engine.execute("select setval('howdah.rescuing_since', last_value + 86400000) from howdah.last_rescue")
    engine.execute("select setval('howdah.last_rescue', last_value + 86400000) from howdah.last_rescue")
    engine.execute("update howdah.beat set beat_at = beat_at - interval '3 s'")
    assert buried(engine)
