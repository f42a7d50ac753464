"""What a worker cannot know: whether an exchange whose answer never came has claimed runs for it."""

from __future__ import annotations

__all__ = ["Doubts"]


class Doubts:
    """Doubts about our runs. True as long as one is left that no reconciliation has settled.

    `era`: goes with each exchange. A reconciliation begins the next one; an exchange of an earlier era that
    reaches the server late is refused there, since what it claims would be nobody's.

    >>> doubts = Doubts()
    >>> doubts.arise()
    >>> seen = doubts.seen
    >>> doubts.arise()  # while the reconciliation is under way: it does not settle this one
    >>> doubts.settle(seen, doubts.era + 1)
    >>> bool(doubts), doubts.era
    (True, 1)
    """

    def __init__(self) -> None:
        self.era: int = 0
        self.seen: int = 0
        self._settled: int = 0

    def __bool__(self) -> bool:
        return self.seen > self._settled

    def arise(self, real: bool = True) -> None:
        """Note a doubt, if it is one."""
        self.seen += real

    def settle(self, seen: int, era: int) -> None:
        """Note that a reconciliation which began when so many had been seen has settled them."""
        self._settled = max(self._settled, seen)
        self.era = era

    def forget(self) -> None:
        """Drop all doubts, with the runs that they were about."""
        self._settled = self.seen
