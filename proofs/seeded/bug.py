"""What a seeded bug is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tier = Literal["model", "race", "sql", "worker", "client", "plans", "unit", "embedded", "documentation"]


@dataclass(frozen=True, slots=True)
class Bug:
    """In a file of the package, `old` becomes `new`; at least one of `tests` must fail then.

    `failures`: the numbers of the failures users met (F1 to F35) that the bug would bring back.
    """

    name: str
    failures: tuple[int, ...]
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    times: int = 1

    @property
    def tier(self) -> str:
        """Which suite notices it."""
        return self.tests[0].split("/")[1]

    @property
    def language(self) -> str:
        """What it is written in."""
        return "SQL" if self.file.endswith(".sql") else "Python"


# Nothing of ours can fail so: there is no such thing yet, or PostgreSQL decides alone.
NOT_APPLICABLE = {
    23: "there are no schedules yet",
    24: "there are no schedules yet",
}
