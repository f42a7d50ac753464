"""What a worker cannot know: whether an exchange whose answer never came has claimed runs for it."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["Doubts"]


class Doubts:
    """Doubts about our runs. True as long as one is left that no reconciliation has settled.

    `era`: goes with each exchange. A reconciliation begins the next one; an exchange of an earlier era that
    reaches the server late is refused there, since what it claims would be nobody's. No two reconciliations
    ask for the same era: one whose answer was lost may reach the server after the next one, and would take
    back what has been claimed since. What is handed in
    while nobody knows whether an era has begun is of that one.

    >>> doubts = Doubts()
    >>> doubts.arise()
    >>> lost = doubts.begin_era()
    >>> seen, era = doubts.begin_era()
    >>> doubts.arise()  # while the reconciliation is under way: it does not settle this one
    >>> doubts.settle(seen)
    >>> bool(doubts), era, doubts.era
    (True, 2, 2)
    """

    # Seconds until runs are asked about again that others held locked: a chore for a moment, or for long
    # whoever writes to a job's log. The worker claims on meanwhile.
    UNTIL_UNLOCKED: ClassVar = 0.5

    def __init__(self) -> None:
        self.era: int = 0
        self._seen: int = 0
        self._settled: int = 0

    def __bool__(self) -> bool:
        return self._seen > self._settled

    def arise(self, real: bool = True) -> None:
        """Note a doubt, if it is one."""
        self._seen += real

    def begin_era(self) -> tuple[int, int]:
        """Begin the era of a reconciliation; return what that can settle, and the era."""
        self.era += 1
        return self._seen, self.era

    def settle(self, seen: int) -> None:
        """Note that a reconciliation which began when so many had been seen has settled them."""
        self._settled = max(self._settled, seen)

    def forget(self) -> None:
        """Drop all doubts, with the runs that they were about."""
        self._settled = self._seen
