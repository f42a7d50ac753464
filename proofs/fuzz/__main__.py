"""Many rounds of malformed input: `python -m proofs.fuzz --cases 100000`.

Adds to docs/reliability/fuzzing.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import msgspec

from proofs.fuzz.round import CASES, RoundResult, one_round
from proofs.pages import FUZZING, fuzzing_page

RESULTS: Final = Path(__file__).with_name("results.jsonl")


def main() -> int:
    """Run rounds until there were so many cases; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m proofs.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument(
        "--seed", type=int, help="of the first round; by default one after the last that was kept"
    )
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    first = options.seed or max((one.seed for one in kept()), default=0) + 1
    seeds = range(first, first + -(-options.cases // CASES))
    began, failed = time.monotonic(), 0
    with ProcessPoolExecutor(options.processes, max_tasks_per_child=1) as processes:
        for done in as_completed([processes.submit(one_round, seed) for seed in seeds]):
            result = done.result()
            keep(result)
            failed += bool(result.problems)
            seconds = time.monotonic() - began
            _say(f"seed {result.seed}: {CASES} cases, {len(result.problems)} problems, {seconds:.0f} s")
            for problem in result.problems:
                _say(f"  {problem}")
    FUZZING.write_text(fuzzing_page(kept()), "utf-8")
    return 1 if failed else 0


def kept() -> list[RoundResult]:
    """Return the results of all rounds; of two with one seed the later one counts."""
    if not RESULTS.exists():
        return []
    found = [msgspec.json.decode(line, type=RoundResult) for line in RESULTS.read_bytes().splitlines()]
    return list({one.seed: one for one in found}.values())


def keep(result: RoundResult) -> None:
    """Add a round to those that are kept."""
    with RESULTS.open("ab") as file:
        file.write(msgspec.json.encode(result) + b"\n")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
