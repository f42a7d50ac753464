"""What a process saw, one line of JSON for each event, in a file that outlives `kill -9`."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

VARIABLE = "CHAOS_JOURNAL"


class Journal:
    """Appends lines to a file of this process; one `write` for each, so that none is ever half there.

    Times are CLOCK_MONOTONIC, which all processes of a machine share and which no fake clock moves.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._opened: tuple[int, int] | None = None

    @classmethod
    def of_the_environment(cls, name: str) -> Journal:
        """Return a journal in the folder that the harness has chosen."""
        return cls(Path(os.environ[VARIABLE]), name)

    @staticmethod
    def generations(name: str) -> int:
        """Return how many processes of this name have written before."""
        return len(list(Path(os.environ[VARIABLE]).glob(f"{name}-*.jsonl")))

    def write(self, what: str, **facts: Any) -> float:
        """Write one event down; return its time."""
        now = time.monotonic()
        line = json.dumps({"at": now, "pid": os.getpid(), "what": what, **facts})
        os.write(self._descriptor(), line.encode() + b"\n")
        return now

    def _descriptor(self) -> int:
        pid = os.getpid()
        if self._opened is None or self._opened[0] != pid:  # a fork writes to a file of its own
            path = self._folder / f"{self._name}-{pid}-{time.monotonic_ns()}.jsonl"
            self._opened = pid, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return self._opened[1]


def read_journals(folder: Path, pid: int | None = None) -> list[dict[str, Any]]:
    """Return every line of every journal of a folder, or of one process, by time."""
    lines = [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl" if pid is None else f"*-{pid}-*.jsonl"))
        for line in path.read_bytes().split(b"\n")
        if line
    ]
    return sorted(lines, key=lambda line: float(line["at"]))


def contents(kwargs: Any) -> dict[str, Any]:
    """Return the fingerprint of arguments without their batch, which others may add to, and the batch.

    >>> contents({"token": "t1", "batch": ["t1"]})["batch"]
    ['t1']
    """
    fixed = {name: value for name, value in kwargs.items() if name != "batch"} if kwargs else kwargs
    return {"digest": digest(fixed), "batch": kwargs.get("batch", []) if kwargs else []}


def digest(document: Any) -> str:
    """Return a fingerprint of a JSON document, the same however it is written.

    >>> digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    True
    """
    text = json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
