"""What starting costs: the import, the command's help, and the memory of an idle worker.

    python bench/start_up.py [--rounds 9]

Medians over whole processes; the worker runs on an embedded server of its own that leaves nothing behind.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from howdah import embedded
from howdah.migrate import migrate

HOWDAH = Path(sys.executable).with_name("howdah")


def seconds(command: list[str]) -> float:
    """Run a command and return how long it took."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def median(command: list[str], rounds: int) -> float:
    """Return the median of several runs in milliseconds."""
    return statistics.median(seconds(command) for _ in range(rounds)) * 1000


def resident_megabytes(process: int) -> float:
    """Return what a process holds in memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def idle_worker(dsn: str) -> float:
    """Start a worker, wait until it says that it runs, and return its resident megabytes."""
    command = [str(HOWDAH), "worker", "--dsn", dsn]
    worker = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"NO_COLOR": "1"})
    try:
        assert worker.stderr is not None
        next(line for line in worker.stderr if "worker" in line)
        return resident_megabytes(worker.pid)
    finally:
        worker.terminate()
        worker.wait(30)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    bare = median([sys.executable, "-c", "pass"], rounds)
    print(f"{'python alone':42} {bare:6.0f} ms")
    for code in ("import howdah", "from howdah import Context, Howdah, Retry"):
        more = median([sys.executable, "-c", code], rounds) - bare
        print(f"{code:42} {more:6.0f} ms more")
    print(f"{'howdah --help':42} {median([str(HOWDAH), '--help'], rounds):6.0f} ms in all")
    with embedded.acquire_temporary() as server:
        dsn = server.ensure_database("start_up")
        migrate(dsn)
        print(f"{'idle worker':42} {idle_worker(dsn):6.1f} MB resident")


if __name__ == "__main__":
    main()
