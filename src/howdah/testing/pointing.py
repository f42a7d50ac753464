"""Point an app at a test's database, and back."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from howdah.errors import InsideEventLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from howdah.app import Howdah

__all__ = ["using"]

# The connections of an event loop are closed when it ends, which may be after the test: who drops them
# earlier leaves a coroutine that nobody awaits.
_kept: list[object] = []


@contextmanager
def using(app: Howdah, dsn: str) -> Iterator[Howdah]:
    """Let an app use another database until the end of the block.

    >>> from howdah import Howdah
    >>> app = Howdah("service=shop")
    >>> with using(app, "service=shop_test"):
    ...     app.database.dsn()
    'service=shop_test'
    >>> app.database.dsn()
    'service=shop'
    """
    before = app.database, app._connections
    app.use(dsn)
    try:
        yield app
    finally:
        _kept.append(app._connections)
        with suppress(InsideEventLoop):
            app.close_sync()
        app.database, app._connections = before
