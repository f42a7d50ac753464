"""The task of the demo: measure one file."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from howdah.app import Howdah
from howdah.demo.measure import measure
from howdah.demo.paths import PathText  # noqa: TC001  the task's annotations are read when it runs
from howdah.settings import Settings

# The settings of the user's project are not the demo's.
app: Howdah = Howdah(settings=Settings())


@dataclass(frozen=True, slots=True)
class Measured:
    """A file's numbers, and the process that found them."""

    bytes: int
    lines: int
    words: int
    sha256: str
    process: int


# No retries: what cannot be read now is reported, not waited for. The death of a worker is no error of the
# job and costs no attempt. The day is for files that take hours.
@app.task(max_retries=0, timeout=86_400, ttl=86_400, result_ttl=86_400, failure_ttl=86_400)
def measure_file(root: PathText, path: PathText, printable_only: bool) -> Measured:
    """Measure the file at `path` below `root`; raises OSError when it cannot be read."""
    try:
        measures = measure(os.path.join(root.to_bytes(), path.to_bytes()), printable_only=printable_only)
    except OSError as error:
        if error.strerror is None:
            raise
        raise type(error)(error.errno, error.strerror) from None  # without the path, which the job has anyway
    return Measured(**asdict(measures), process=os.getpid())
