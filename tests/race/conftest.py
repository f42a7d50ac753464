"""The arena of the pair tests: one database for each test worker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.race.arena import Arena

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.database import Administrator, Database


@pytest.fixture(scope="session")
def arena(administrator: Administrator, template: Database) -> Iterator[Arena]:
    """Two sessions and a referee on a database of this test worker."""
    database = administrator.clone(template, "arena")
    arena = Arena(database.dsn, Path(__file__).with_name("arena.sql"))
    yield arena
    arena.close()
    administrator.drop(database)
