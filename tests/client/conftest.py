"""An app on a fresh database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from howdah import Howdah
from howdah.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.database import Database


@pytest.fixture
async def app(live_database: Database) -> AsyncIterator[Howdah]:
    app = Howdah(live_database.dsn, settings=Settings())
    yield app
    await app.close()
