"""How a process died, in words that help: signals have names, and want of memory is recognised."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Death", "memory_kills", "peak_memory"]

_MEBIBYTE = 1024 * 1024
# What a shell, or a container's first process, makes of a program that was killed.
_KILLED = 128 + signal.SIGKILL
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process.

    `code`: its exit code, negative for a signal. `peak`: bytes that it was last seen to have held at most,
    0 when unknown. `counted`: the kernel has counted a kill for want of memory meanwhile.
    """

    code: int
    peak: int = 0
    counted: bool = False

    def __str__(self) -> str:
        """Say how it ended.

        >>> str(Death(-11)), str(Death(3))
        ('its process died: signal 11 (SIGSEGV)', 'its process died: exit code 3')
        >>> str(Death(-9, peak=2**30))
        'its process died: signal 9 (SIGKILL), probably out of memory; at most 1024 MiB resident'
        """
        return f"its process died: {self._how()}{self._memory()}"

    def _how(self) -> str:
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"signal {-self.code} ({signal.Signals(-self.code).name})"
        except ValueError:
            return f"signal {-self.code}"

    def _memory(self) -> str:
        if self.code not in (-signal.SIGKILL, _KILLED):
            return ""
        # Nobody else kills without a word, but only the kernel's own count is proof.
        judgement = ", out of memory: killed by the kernel" if self.counted else ", probably out of memory"
        peak = f"; at most {self.peak // _MEBIBYTE} MiB resident" if self.peak else ""
        return judgement + peak


def memory_kills(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many processes of this control group the kernel has killed for want of memory."""
    for file in _counters(cgroups, own):
        try:
            match = re.search(r"^oom_kill (\d+)$", file.read_text("ascii"), re.MULTILINE)
        except (OSError, ValueError):
            continue
        if match:
            return int(match[1])
    return 0


def _counters(cgroups: Path, own: Path) -> list[Path]:
    try:
        lines = own.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return []
    files = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # the second version has one group for everything
            files += [cgroups / path.lstrip("/") / "memory.events", cgroups / "memory.events"]
        elif "memory" in controllers.split(","):
            folder = cgroups / "memory"
            files += [folder / path.lstrip("/") / "memory.oom_control", folder / "memory.oom_control"]
    return files


def peak_memory(pid: int) -> int:
    """Return the most bytes that a living process has held; 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return 0
    match = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
