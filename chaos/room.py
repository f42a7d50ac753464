"""A small disk in memory for the server's data, to be filled. Needs root, or sudo that asks no questions."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

_MEGABYTES = 400
_STEPS = (1 << 22, 1 << 12, 1)


class Room:
    """A folder for data; `lacks` says why it cannot be filled, None when it can."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="howdah-chaos-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.lacks: str | None = self._mount()

    def _mount(self) -> str | None:
        options = f"size={_MEGABYTES}m,mode=755,uid={os.geteuid()},gid={os.getegid()}"
        try:
            done = _as_root("mount", "-t", "tmpfs", "-o", options, "howdah-chaos", self.folder)
        except FileNotFoundError as missing:
            return f"a full disk needs root, to mount a small one: there is no {missing.filename}"
        return None if done.returncode == 0 else f"no small disk can be mounted: {done.stderr.strip()}"

    def fill(self) -> int:
        """Leave no room; return how many bytes that took."""
        for size in _STEPS:
            block = bytes(size)
            with suppress(OSError), open(self._ballast, "ab", buffering=0) as file:
                while file.write(block) == size:
                    pass
        return self._ballast.stat().st_size

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove it all."""
        if self.lacks is None:
            _as_root("umount", "-l", self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


def _as_root(*command: str | Path) -> subprocess.CompletedProcess[str]:
    ours = () if os.geteuid() == 0 else ("sudo", "-n", "--")
    return subprocess.run([*ours, *command], capture_output=True, text=True, check=False)
