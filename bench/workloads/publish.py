"""W1, W1c: publishing jobs one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.options import Sizes
    from bench.stands import Stand

CALLERS = 100


def one_at_a_time(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """One caller publishes and waits, again and again."""
    with stand.place() as place:
        return {"W1": place.rate("publish", sizes.publish, 1)}


def together(stand: Stand, sizes: Sizes) -> dict[str, float]:
    """A hundred coroutines of one process publish at once, each one job after the other."""
    with stand.place() as place:
        return {"W1c": place.rate("publish", sizes.publish, CALLERS)}
