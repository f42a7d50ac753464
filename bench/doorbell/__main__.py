"""`python -m bench.doorbell`: measure, and write docs/benchmarks/doorbell.md."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.doorbell import busy, cost, idle, one_job, publishers
from bench.doorbell.page import render
from bench.doorbell.stand import Stand
from bench.report.record import describe_machine

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE = Path("docs/benchmarks/doorbell.md")
_FIGURES = _PAGE.with_suffix(".json")
_MEMORY = Path("/dev/shm")


def main() -> None:
    """Measure what the command line asks for; the rest of the page stays as it is."""
    options = _options()
    figures: dict[str, Any] = json.loads(_FIGURES.read_text("utf-8")) if _FIGURES.exists() else {}
    for name in options.only or _PARTS:
        figures[name] = _PARTS[name](options)
        print(name, figures[name], flush=True)
        _FIGURES.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    machine = ", ".join(f"{name} {value}" for name, value in describe_machine().items())
    _PAGE.write_text(render(figures, machine, "python -m bench.doorbell"), "utf-8")
    print(_PAGE, "by", shlex.join(sys.argv))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.doorbell", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(_PARTS), help="parts to measure")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of the publishers (default 11)")
    parser.add_argument("--turns", type=int, default=2, help="turns of each side in a round (default 2)")
    parser.add_argument(
        "--workers", type=int, default=4, help="worker processes of the publishers' pool (default 4)"
    )
    parser.add_argument("--idle", type=int, nargs="+", default=[250], help="idle workers (default 250)")
    parser.add_argument("--warm-up", type=float, default=60, help="seconds of rest before idle is measured")
    parser.add_argument("--seconds", type=float, default=60, help="seconds for which idle is measured")
    return parser.parse_args()


def _busy(_: argparse.Namespace) -> Any:
    with Stand.start() as stand:
        return busy.measure(stand, 2, 10)


def _idle(options: argparse.Namespace) -> Any:
    found = []
    for workers in options.idle:
        with Stand.start(connections=6 * workers + 50) as stand:
            found.append(idle.measure(stand, workers, options.warm_up, options.seconds))
    return found


def _single(_: argparse.Namespace) -> Any:
    with Stand.start() as stand:
        return one_job.single(stand, 8, 20)


def _bulk(_: argparse.Namespace) -> Any:
    with Stand.start() as stand:
        return one_job.bulk(stand, 8, 10)


def _pool(options: argparse.Namespace) -> Any:
    with Stand.start(folder=_MEMORY) as stand:
        rounds = publishers.measure(stand, options.workers, options.rounds, options.turns)
    return {"workers": options.workers, "rounds": rounds}


def _frozen(options: argparse.Namespace) -> Any:
    with Stand.start(folder=_MEMORY) as stand:
        rounds = publishers.measure(stand, 1, options.rounds, options.turns, frozen=True)
    return {"workers": 1, "rounds": rounds}


def _cost(_: argparse.Namespace) -> Any:
    with Stand.start() as stand:
        return cost.measure(stand, 5000)


_PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "busy": _busy,
    "idle": _idle,
    "single": _single,
    "bulk": _bulk,
    "pool": _pool,
    "frozen": _frozen,
    "cost": _cost,
}

if __name__ == "__main__":
    main()
