"""Put each seeded bug into a copy of the sources and see that a test notices: `python -m proofs.seeded`.

Writes docs/reliability/seeded-bugs.md when all were tried.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from proofs.pages import SEEDED
from proofs.seeded.bugs import BUGS
from proofs.seeded.model import model_verdicts
from proofs.seeded.page import seeded_page
from proofs.seeded.trial import Verdict, copied, run_tests, tried

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULTS: Final = Path(__file__).with_name("results.json")


def main() -> int:
    """Try the bugs; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m proofs.seeded", description=__doc__)
    parser.add_argument("--only", default="", help="bugs with this in their names; writes no page")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="only those that nothing noticed last time")
    parser.add_argument(
        "--no-model", action="store_true", help="keep what the last run said of the model's bugs"
    )
    options = parser.parse_args()
    done = {one.name: one for one in _kept() if one.caught_by} if options.again else {}
    chosen = [bug for bug in BUGS if options.only in bug.name and bug.name not in done]
    unclean = _unclean({test for bug in chosen for test in bug.tests}, options.at_once)
    if unclean is None:
        return 1
    with ThreadPoolExecutor(options.at_once) as threads:
        done |= {one.name: _told(one) for one in threads.map(lambda bug: tried(bug, unclean), chosen)}
    verdicts = [done[bug.name] for bug in BUGS if bug.name in done]
    if not options.only:
        kept = [one for one in _kept() if one.tier == "model"] if options.no_model else None
        verdicts += kept if kept is not None else [_told(one) for one in model_verdicts(options.at_once)]
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(verdicts), indent=1) + b"\n")
        SEEDED.write_text(seeded_page(verdicts), "utf-8")
    survivors = [one.name for one in verdicts if one.caught_by is None]
    _say(f"{len(verdicts)} bugs, {len(survivors)} that nothing noticed: {survivors}")
    return 1 if survivors else 0


def _unclean(tests: Iterable[str], workers: int) -> frozenset[str] | None:
    """Return the tests that fail without any bug: they prove nothing. None when none could be run."""
    chosen = sorted(test for test in tests if test.startswith("tests/"))
    if not chosen:
        return frozenset()
    with copied() as place:
        code, failed, said = run_tests(place, ["-n", str(workers), *chosen], stop=False)
    if failed:
        _say(f"these fail without any bug, and count for none: {failed}")
    elif code:
        _say(f"the tests cannot be run: {said}")
        return None
    return frozenset(failed)


def _kept() -> list[Verdict]:
    return msgspec.json.decode(RESULTS.read_bytes(), type=list[Verdict]) if RESULTS.exists() else []


def _told(verdict: Verdict) -> Verdict:
    _say(f"{verdict.tier:<9} {verdict.name}: {verdict.caught_by or verdict.problem}")
    return verdict


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
