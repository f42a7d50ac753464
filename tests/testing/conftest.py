"""The plugin's fixtures, on the server that all our tests use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from howdah import Howdah
from howdah.settings import Settings
from howdah.testing import databases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from howdah.embedded import Server
    from howdah.testing import Databases


@pytest.fixture(scope="session")
def howdah_databases(cluster: Server) -> Iterator[Databases]:
    with databases(cluster.dsn()) as made:
        yield made


@pytest.fixture
def app(howdah_app: Callable[[Howdah], Howdah]) -> Howdah:
    return howdah_app(Howdah("service=production", settings=Settings()))
