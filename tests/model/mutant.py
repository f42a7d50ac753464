"""A seeded bug: an edit of the shipped functions."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from howdah import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.engine import Engine


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: in a file of functions, `old` (which must be there `times`) becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    times: int = 1
    quick: bool = False  # noticed within a few examples

    @contextmanager
    def installed(self, engine: Engine) -> Iterator[None]:
        """Install the bug, and the true functions again."""
        true = sql.read(f"functions/{self.file}")
        assert true.count(self.old) == self.times, f"{self.name}: its place in {self.file} has changed"
        plans = sql.read("install/plans")  # create or replace drops them
        engine.connection.execute((true.replace(self.old, self.new) + plans).encode())
        try:
            yield
        finally:
            engine.connection.execute((true + plans).encode())
