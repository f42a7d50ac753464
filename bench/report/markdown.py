"""The page: verdicts, medians, plots, what was measured on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import ratio
from bench.honesty import BASE
from bench.targets import OURS
from bench.units import describe, shown, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.figures import Medians
    from bench.report.record import Record
    from bench.targets import Target, Verdict

__all__ = ["page", "table"]

_WORDS = {"aim": "**as aimed**", "must": "**yes**", "no": "**no**", "not measured": "not measured"}


def page(record: Record, plots: Sequence[tuple[str, str]]) -> str:
    """Write the whole page; `plots` are files and what they show."""
    sections = [
        "# Howdah beside its peers\n\n" + _introduction(record),
        *(f"![{text}]({file})" for file, text in plots[:1]),
        *(["## What was reached\n\n" + _verdicts(record)] if any_measured(record) else []),
        "## All medians\n\n" + _medians(record),
        *([_suspicions(record)] if record.suspicions else []),
        *([_failures(record)] if record.failures else []),
        *(f"![{text}]({file})" for file, text in plots[1:]),
        "## Measured how, and on what\n\n" + _circumstances(record),
    ]
    return "\n\n".join(sections) + "\n"


def any_measured(record: Record) -> bool:
    """Tell whether there is anything to judge."""
    return any(verdict.value is not None for verdict in record.verdicts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines
    )


def _introduction(record: Record) -> str:
    return (
        f"Made by `{record.command}` on {record.day} at commit {record.commit}, in {record.minutes:.0f} "
        f"minutes: medians of {record.rounds} rounds on {record.machine['processors']}. Client, workers and "
        "server share these processors, so take the ratios; another machine has other numbers. "
        "See [how it is measured](README.md)."
    )


def _verdicts(record: Record) -> str:
    head = ["workload", "of Howdah, as a multiple of", "reached", "must", "aim", "kept?"]
    return table(head, [_verdict_row(record, verdict) for verdict in record.verdicts])


def _verdict_row(record: Record, verdict: Verdict) -> list[str]:
    target = verdict.target
    sign = "≤" if target.most else "≥"
    value = "-" if verdict.value is None else f"{verdict.value:.2f}"
    return [
        target.workload,
        _base(record, target),
        value,
        f"{sign} {target.must:g}",
        f"{sign} {target.aim:g}",
        _WORDS[verdict.word],
    ]


def _base(record: Record, target: Target) -> str:
    if target.peer is None or target.peer == OURS:
        return "its own" if target.peer is None else "the least SQL"
    return record.title(target.peer)


def _medians(record: Record) -> str:
    found = record.medians
    peers = list(record.peers)
    others = [peer for peer in peers if peer != OURS]
    head = ["", *map(record.title, peers), *(f"Howdah / {record.title(peer)}" for peer in others[:2])]
    return table(head, [_median_row(found, metric, peers, others[:2]) for metric in found])


def _median_row(found: Medians, metric: str, peers: Sequence[str], others: Sequence[str]) -> list[str]:
    values = [shown(metric, found[metric][peer]) if peer in found[metric] else "-" for peer in peers]
    ratios = [ratio(found, metric, OURS, peer) for peer in others]
    less = " (less is better)" if unit_of(metric).less else ""
    return [describe(metric) + less, *values, *("-" if one is None else f"{one:.2f}" for one in ratios)]


def _suspicions(record: Record) -> str:
    rows = [[record.title(one.peer), one.metric, f"{one.share:.2f}"] for one in record.suspicions]
    return (
        "## Harness suspect\n\nThese reached less than 0.8 of what is known of their "
        f"ratio to {record.title(BASE)}: what is said of them above is not to be trusted.\n\n"
        + table(["peer", "metric", "share of the known ratio"], rows)
    )


def _failures(record: Record) -> str:
    return "## Not measured\n\n" + "\n".join(f"* {failure}" for failure in record.failures)


def _circumstances(record: Record) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in record.machine.items())
    server = ", ".join(f"{name} {value}" for name, value in record.server.items())
    rows = [
        [
            peer.title,
            ", ".join(f"{name} {version}" for name, version in peer.versions.items()),
            peer.configuration,
        ]
        for peer in record.peers.values()
    ]
    lines = [
        f"* Machine: {machine}; load before the run {record.load:.1f}",
        f"* Server: {server}",
        f"* Command: `{record.command}`",
    ]
    return table(["peer", "versions", "configuration"], rows) + "\n\n" + "\n".join(lines)
