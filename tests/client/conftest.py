"""An app on a fresh database, by each of the ways to reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from howdah import Howdah
from howdah.settings import Settings
from tests.client.faces import FACES, in_threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.database import Database


@pytest.fixture(params=FACES)
async def app(request: pytest.FixtureRequest, live_database: Database) -> AsyncIterator[Any]:
    """The app on asyncpg, on psycopg, and its sync methods."""
    face = request.param
    app = Howdah(
        live_database.dsn,
        settings=Settings(),
        driver="psycopg" if face == "psycopg" else "asyncpg",
        allow=("tests.client.functions",),
    )
    both = in_threads(app) if face == "sync" else app
    yield both
    await both.close()
