"""What every test can use; each topic has its module in `tests/fixtures`.

`cluster` (a server per worker) → `template` (migrated once) → `database` (a clone per test) → `sql`,
`sessions`, `clock`. `pytest --postgres 18|16|15` chooses the server.

Long forms are marked `model` (minutes) or `long` (an hour) and run only when a run chooses by marks:
`-m model`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

pytest_plugins = [
    "tests.fixtures.cluster",
    "tests.fixtures.database",
    "tests.fixtures.sessions",
    "tests.fixtures.clock",
    "tests.fixtures.pgbouncer",
    "tests.fixtures.replica",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out of a run that does not choose by marks."""
    if config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("model") or item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
