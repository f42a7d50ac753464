"""What a run prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.honesty import BASE
from bench.units import shown

if TYPE_CHECKING:
    from bench.report.record import Record
    from bench.targets import Verdict

__all__ = ["print_summary"]


def print_summary(record: Record) -> None:
    """Print medians, verdicts and suspicions for a terminal."""
    for metric, values in record.medians.items():
        found = (f"{record.title(peer)} {shown(metric, value)}" for peer, value in values.items())
        print(f"{metric:24}", "   ".join(found))
    for verdict in record.verdicts:
        if verdict.value is not None:
            print(_line(record, verdict))
    for one in record.suspicions:
        share = f"is {one.share} of its known ratio to {record.title(BASE)}"
        print(f"harness suspect: {record.title(one.peer)} {one.metric} {share}")
    for failure in record.failures:
        print(f"failed: {failure}")


def _line(record: Record, verdict: Verdict) -> str:
    target = verdict.target
    must = f"must {'≤' if target.most else '≥'} {target.must:g}"
    base = record.title(target.peer) if target.peer else "own"
    return f"{target.workload:46} {base:16} {verdict.value:6.2f}  {must}  {verdict.word}"
