"""Run with faults, and judge: `python -m chaos run`, `long`, `check`, `page`."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import msgspec

from chaos.checker import Verdict, judge
from chaos.faults import FAULTS, chosen
from chaos.history import History
from chaos.report import page, printed
from chaos.run import Plan, Run

_HERE = Path(__file__).parent
RESULTS = _HERE / "results.jsonl"
PAGE = _HERE.parent / "docs" / "reliability" / "chaos.md"
# Of violations only so many are kept in the results.
_KEPT = 5


def main() -> int:
    """Do what the arguments say; return the exit code."""
    options = _parser().parse_args()
    match options.command:
        case "check":
            history = msgspec.json.decode(Path(options.history).read_bytes(), type=History)
            return _told(judge(history))
        case "page":
            _write_page()
            return 0
        case "long":
            return _long(options)
    return max([_one(options, seed)[0] for seed in options.seed])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run with each seed, one after the other")
    run.add_argument("--seed", type=int, nargs="+", default=[1])
    long = commands.add_parser("long", help="run with one seed after the other, and keep the results")
    long.add_argument("--minutes", type=float, default=30.0)
    long.add_argument(
        "--seed", type=int, help="of the first run; by default one after the last that was kept"
    )
    for command in (run, long):
        command.add_argument("--seconds", type=float, default=60.0, help="of faults, for each seed")
        command.add_argument("--rate", type=float, default=60.0, help="jobs published per second")
        command.add_argument("--ledger", type=float, default=0.0, help="short jobs that write, per second")
        command.add_argument("--rest", type=float, default=1.0, help="times the usual pause between faults")
        command.add_argument("--faults", default="", help=f"of {', '.join(FAULTS)}; all by default")
        command.add_argument("--verbose", action="store_true", help="let the workers log everything")
    check = commands.add_parser("check", help="judge the history of an earlier run")
    check.add_argument("history")
    commands.add_parser("page", help="write the page about the results that were kept")
    return parser


def _long(options: argparse.Namespace) -> int:
    end = time.monotonic() + 60 * options.minutes
    seed = options.seed or max((one.seed for one in _kept()), default=1000) + 1
    worst = 0
    while time.monotonic() < end:
        try:
            code, verdict = _one(options, seed)
        except Exception:  # the others are worth having, and the exit code tells
            traceback.print_exc()
            worst = 1
        else:
            worst = max(worst, code)
            _keep(verdict)
            _write_page()
        seed += 1
    return worst


def _one(options: argparse.Namespace, seed: int) -> tuple[int, Verdict]:
    faults = chosen([name for name in options.faults.split(",") if name])
    plan = Plan(
        seed, options.seconds, faults, options.rate, options.ledger, options.rest, verbose=options.verbose
    )
    folder = Path(tempfile.mkdtemp(prefix=f"howdah-chaos-{seed}-"))
    began = time.monotonic()
    again = f"--seed {seed} --seconds {plan.seconds:g} --rate {plan.rate:g}"
    again += f" --ledger {plan.ledger:g}" if plan.ledger else ""
    again += f" --rest {plan.rest:g}" if plan.rest != 1 else ""
    again += f" --faults {options.faults}" if options.faults else ""
    try:
        verdict = judge(asyncio.run(_history(Run(plan, folder))))
    except BaseException:
        _say(f"  broke off; again: python -m chaos run {again}; journals and logs: {folder}")
        raise
    code = _told(verdict)
    _say(f"  took {time.monotonic() - began:.0f} s")
    if code:
        _say(f"  again: python -m chaos run {again}")
        _say(f"  journals, logs and history: {folder}")
    else:
        shutil.rmtree(folder)
    return code, verdict


async def _history(run: Run) -> History:
    """Do a run; SIGTERM breaks it off, with everything that it has started."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run.history()


def _told(verdict: Verdict) -> int:
    for line in printed(verdict):
        _say(line)
    problems = verdict.problems(complete=os.environ.get("CI") == "true")
    for problem in problems:
        _say(f"  FAILED: {problem}")
    if not problems:
        _say("  passed: 0 violations")
    return 1 if problems else 0


def _kept() -> list[Verdict]:
    if not RESULTS.exists():
        return []
    return [msgspec.json.decode(line, type=Verdict) for line in RESULTS.read_bytes().splitlines()]


def _keep(verdict: Verdict) -> None:
    replace = msgspec.structs.replace
    judgements = tuple(
        replace(one, violations=one.violations[:_KEPT], samples=_rounded(one.samples))
        for one in verdict.judgements
    )
    with RESULTS.open("ab") as file:
        file.write(msgspec.json.encode(replace(verdict, judgements=judgements)) + b"\n")


def _rounded(samples: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [round(value, 3) for value in values] for name, values in samples.items()}


def _write_page() -> None:
    introduction = (_HERE / "introduction.md").read_text("utf-8")
    PAGE.write_text(page(introduction, _kept()), "utf-8")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
