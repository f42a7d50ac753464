"""A worker's name is a label: whoever comes back under it is somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sql.steps import exchange, publish, state

if TYPE_CHECKING:
    from tests.fixtures.clock import Clock
    from tests.fixtures.sessions import Session

START = (
    "select jobs.worker_started('shop-1', '[{\"name\": \"a.b\"}]', i_host => 'h', i_pid => 1, i_lease => 15)"
)


def test_the_runs_of_a_dead_worker_are_rescued_although_another_one_has_its_name(
    sql: Session, clock: Clock
) -> None:
    publish(sql, "a.b", key="j")
    dead = sql.value(START)
    assert len(exchange(sql, dead, num=1)["jobs"]) == 1
    for _ in range(4):  # a container that is started again and again
        clock.advance(4)
        assert sql.value(START) != dead

    sql.rows("select * from jobs.maintain()")

    assert state(sql, "j") == "ready"
