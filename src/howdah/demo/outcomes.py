"""What became of each file, and the sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from howdah.demo.paths import PathText
    from howdah.models import JobRow


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """One file: its numbers when its job succeeded, the reason when it did not.

    `path` is relative to the folder; with `escaped` its percent signs stand for bytes that are no UTF-8.
    """

    path: str
    escaped: bool
    state: str
    bytes: int | None
    lines: int | None
    words: int | None
    sha256: str | None
    error: str | None
    job_id: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """What is no regular file, and what it is."""

    path: str
    escaped: bool
    reason: str

    @classmethod
    def of(cls, path: PathText, reason: str) -> Skipped:
        """Name a path with its reason."""
        return cls(path.text, path.escaped, reason)


@dataclass(frozen=True, slots=True)
class Total:
    """The sums over all files; `processes` is the number of worker processes that measured any."""

    files: int
    succeeded: int
    failed: int
    skipped: int
    bytes: int
    lines: int
    words: int
    processes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a demo run, in the order of the walk."""

    root: str
    files: Sequence[FileOutcome]
    skipped: Sequence[Skipped]
    total: Total


def read_outcome(job: JobRow) -> FileOutcome:
    """Read a file's outcome from its finished job."""
    path = job.body["args"][1]
    found: dict[str, Any] = job.result or {}
    return FileOutcome(
        path=path["text"],
        escaped=path["escaped"],
        state=job.state,
        bytes=found.get("bytes"),
        lines=found.get("lines"),
        words=found.get("words"),
        sha256=found.get("sha256"),
        error=job.error,
        job_id=job.job_id,
    )


def processes_of(jobs: Sequence[JobRow]) -> set[int]:
    """Return the ids of the processes that measured something."""
    return {job.result["process"] for job in jobs if job.result}


def total_of(
    files: Sequence[FileOutcome], skipped: Sequence[Skipped], *, processes: int, seconds: float
) -> Total:
    """Add up what was found."""
    succeeded = [file for file in files if file.state == "succeeded"]
    return Total(
        files=len(files),
        succeeded=len(succeeded),
        failed=len(files) - len(succeeded),
        skipped=len(skipped),
        bytes=sum(file.bytes or 0 for file in succeeded),
        lines=sum(file.lines or 0 for file in succeeded),
        words=sum(file.words or 0 for file in succeeded),
        processes=processes,
        seconds=round(seconds, 3),
    )
