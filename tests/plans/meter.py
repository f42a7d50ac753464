"""How much a call reads: shared buffers, and rows per table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fixtures.sessions import Session


@dataclass(frozen=True, slots=True)
class Reading:
    """What one call has read."""

    buffers: int
    rows: dict[str, int]

    @property
    def most_rows(self) -> int:
        """Rows read from the table that was read most."""
        return max(self.rows.values(), default=0)


def measure(session: Session, call: str, before: Sequence[str] = ()) -> Reading:
    """Run a call twice, each time rolled back; return what the second one read.

    The first one makes the plans, which stay for the session. EXPLAIN's count includes what functions inside
    the call read.
    """
    for _ in range(2):
        session.begin()
        for statement in before:
            session.rows(statement)
        rows_before = _rows(session)
        plan = session.value(f"explain (analyze, buffers, format json) {call}")
        rows_after = _rows(session)
        session.rollback()
    read = {name: count - rows_before.get(name, 0) for name, count in rows_after.items()}
    return Reading(_buffers(plan), read)


def buffers(session: Session, call: str, times: int = 2) -> int:
    """Run a call, each time rolled back; return how many buffers the last one asked for."""
    for _ in range(times):
        session.begin()
        plan = session.value(f"explain (analyze, buffers, format json) {call}")
        session.rollback()
    return _buffers(plan)


def _buffers(plan: Any) -> int:
    top = plan[0]["Plan"]
    return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])


def _rows(session: Session) -> dict[str, int]:
    rows = session.rows("select name, sequentially + by_index as count from load.rows_read()")
    return {row["name"]: row["count"] for row in rows}
