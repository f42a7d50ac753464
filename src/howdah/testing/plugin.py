"""The pytest plugin: fixtures for tests of apps that publish and run jobs, on a real database.

It is found by pytest when howdah is installed. Nothing is imported or started before a test asks for it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from howdah.app import Howdah
    from howdah.testing.clock import Clock
    from howdah.testing.databases import Databases, FreshDatabase


@pytest.fixture(scope="session")
def howdah_databases() -> Iterator[Databases]:
    """Makes fresh databases: on the server of $HOWDAH_TEST_DSN, else on an embedded one of this session."""
    from howdah.errors import HowdahError
    from howdah.testing.databases import VARIABLE, databases

    with ExitStack() as stack:
        try:
            made = stack.enter_context(databases())
        except HowdahError as error:
            pytest.fail(
                f"no database for tests: {error} [${VARIABLE} names a server of your own]", pytrace=False
            )
        yield made


@pytest.fixture
def howdah_database(howdah_databases: Databases) -> Iterator[FreshDatabase]:
    """A migrated database without jobs, for this test: `.dsn`, `.name`, `.clock`."""
    with howdah_databases.fresh() as database:
        yield database


@pytest.fixture
def howdah_clock(howdah_database: FreshDatabase) -> Clock:
    """The test database's time, stopped: `.advance(seconds)`, `.set(moment)`, `.resume()`, `.now()`."""
    howdah_database.clock.stop()
    return howdah_database.clock


@pytest.fixture
def howdah_app(howdah_database: FreshDatabase) -> Iterator[Callable[[Howdah], Howdah]]:
    """`howdah_app(app)` points an app at the test's database, until the test ends, and returns the app."""
    from howdah.testing.pointing import using

    with ExitStack() as stack:

        def point(app: Howdah) -> Howdah:
            return stack.enter_context(using(app, howdah_database.dsn))

        yield point
