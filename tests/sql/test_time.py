"""The one clock is the database's, and it goes on while a transaction is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fixtures.database import Database
    from tests.fixtures.sessions import Session


def test_time_goes_on_within_a_transaction(live_database: Database, sessions: Callable[..., Session]) -> None:
    sql = sessions(live_database.dsn)
    sql.begin()

    first, second = (sql.value("select howdah.now()") for _ in range(2))

    assert second > first, "a lease or a delay would be counted from the transaction's beginning"
