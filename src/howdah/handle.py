"""What a handle on a job holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from howdah import json
from howdah.failures import ending

if TYPE_CHECKING:
    from howdah.app import Howdah
    from howdah.models import JobRow

__all__ = ["JobHandle"]

R = TypeVar("R")


class JobHandle(Generic[R]):
    """One job, by its id."""

    __slots__ = ("_app", "_returns", "created", "id", "job_id", "run_id")

    def __init__(
        self,
        app: Howdah,
        job_id: str,
        *,
        id: int | None = None,
        created: bool = False,
        run_id: int | None = None,
        returns: Any = Any,
    ) -> None:
        self._app = app
        self._returns = returns
        self.job_id: str = job_id
        self.id: int | None = id
        self.created: bool = created
        self.run_id: int | None = run_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.job_id!r})"

    def _value(self, row: JobRow) -> R:
        if row.state != "succeeded":
            raise ending(row)
        value: R = json.convert(row.result, self._returns)
        return value
