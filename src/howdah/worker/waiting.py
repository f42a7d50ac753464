"""How long to wait for a database that is gone."""

from __future__ import annotations

import random

__all__ = ["Waiting"]


class Waiting:
    """Full-jitter backoff: each delay is anywhere between nothing and a bound that doubles up to `longest`.

    All workers lose the database at the same moment; they must not come back at the same moment.
    """

    def __init__(self, shortest: float = 0.05, longest: float = 1.0) -> None:
        self._shortest = shortest
        self._longest = longest
        self.failures: int = 0

    def next(self) -> float:
        """Return the seconds to wait after one more failure."""
        bound = min(self._longest, self._shortest * 2 ** min(self.failures, 30))
        self.failures += 1
        return random.uniform(0, bound)  # noqa: S311 (spreads load, guards nothing)

    def reset(self) -> None:
        """Start over: it worked."""
        self.failures = 0
