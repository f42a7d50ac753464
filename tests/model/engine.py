"""The engine under test: named calls, a look at everything it stores, and a way back to emptiness."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import Jsonb, JsonbDumper

from tests.model.vocabulary import Refused

if TYPE_CHECKING:
    from datetime import datetime

LOOK = Path(__file__).with_name("look.sql")
RESETS_PER_TRUNCATE = 50
Row = dict[str, Any]
Stored = tuple[Any, ...]


class Engine:
    """One connection to a database of its own, whose time is the tests'."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row, prepare_threshold=1)
        self.connection.adapters.register_dumper(dict, JsonbDumper)
        self.connection.execute("set timezone = 'UTC'")
        self.calls = 0
        self.resets = 0

    def install(self) -> None:
        """Create the helpers of look.sql."""
        self.connection.execute(LOOK.read_bytes())

    def reset(self, now: datetime) -> None:
        """Empty the database and stop its clock at a moment."""
        self.resets += 1
        truncate = self.resets % RESETS_PER_TRUNCATE == 0
        self.connection.execute("select howdah_test.reset(%s, %s)", [now, truncate])

    def set_clock(self, now: datetime) -> None:
        """Set the database's time."""
        self.connection.execute("update howdah_test.clock set at = %s", [now])

    def due_tick(self) -> None:
        """Make the next exchange do its tick, which real time would make random."""
        self.connection.execute("select setval('howdah.last_tick', 0)")

    def draw_positions(self, count: int) -> None:
        """Let others have drawn positions, so that floors move."""
        self.connection.execute(
            "select setval('howdah.position_seq', nextval('howdah.position_seq') + %s)", [count]
        )

    def call(self, function: str, **arguments: object) -> list[Row]:
        """Call a function of the schema jobs; a typed error of the engine is `Refused`."""
        self.calls += 1
        name = function if "." in function else f"jobs.{function}"
        names = ", ".join(f"i_{name} => %({name})s" for name in arguments)
        given = {name: Jsonb(value) if _is_json(value) else value for name, value in arguments.items()}
        try:
            return self.connection.execute(f"select * from {name}({names})".encode(), given).fetchall()
        except psycopg.Error as error:
            if (error.sqlstate or "").startswith("JB"):
                raise Refused(str(error.sqlstate)) from error
            raise

    def look(self) -> Counter[Stored]:
        """Return everything stored, as uniform rows."""
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return Counter(cursor.execute("select * from howdah_test.look()").fetchall())

    def rows(self, query: str, *arguments: object) -> list[Row]:
        """Run a query."""
        return self.connection.execute(query.encode(), arguments or None).fetchall()

    def digest(self) -> str:
        """Return a digest of all tables; registers are not among them."""
        return str(self.rows("select howdah_test.digest() as value")[0]["value"])


def _is_json(value: object) -> bool:
    """Lists of lists and of objects are documents; flat lists are arrays."""
    return isinstance(value, list) and any(isinstance(item, list | dict) for item in value)
