"""Publishers insert keys in one order, whatever order they give: so no two can wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.sessions import Session

PUBLISH = "select * from jobs.publish_many(%s::jsonb)"


def test_who_waits_for_a_key_holds_no_later_one(
    sessions: Callable[..., Session], wait_until_blocked: Callable[[Session], None]
) -> None:
    first, second, third = sessions(), sessions(), sessions()
    first.begin()
    first.rows(PUBLISH, '[{"task": "a", "key": "m"}]')

    waiting = second.later(PUBLISH, '[{"task": "a", "key": "z"}, {"task": "a", "key": "m"}]')
    wait_until_blocked(second)
    third.execute("set lock_timeout = '2s'")
    assert third.row(PUBLISH, '[{"task": "a", "key": "z"}]')["created"]

    first.commit()
    assert [row["created"] for row in waiting.result(10)] == [False, False]
