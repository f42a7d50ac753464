"""Apps and workers on a primary with a standby, by a DSN that names both hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from howdah import Howdah
from howdah.settings import Settings
from tests.cli.command import start as started_commands
from tests.worker.conftest import start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.replica import Pair

__all__ = ["app", "start", "started_commands"]


@pytest.fixture
async def app(pair: Pair) -> AsyncIterator[Howdah]:
    """An app that follows whichever server can be written to."""
    app = Howdah(pair.dsn, settings=Settings())
    yield app
    await app.close()
