"""docs/benchmarks/doorbell.md. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["loss", "render"]

Figures = dict[str, Any]


def loss(rounds: Sequence[Mapping[str, float]]) -> float:
    """Return the median share of the throughput that the bell costs.

    >>> loss([{"with": 95, "without": 100}, {"with": 90, "without": 100}, {"with": 99, "without": 100}])
    0.05
    """
    return round(1 - statistics.median(each["with"] / each["without"] for each in rounds), 4)


def render(figures: Figures, machine: str, command: str) -> str:
    """Return the page."""
    rows = [f"| {' | '.join(row)} |" for row in _rows(figures)]
    table = "\n".join(["| what | must | measured |", "|---|---|---|", *rows])
    return (
        "\n\n".join([_INTRODUCTION, table, _EXPLANATION, f"Machine: {machine}. Made by `{command}`."]) + "\n"
    )


def _rows(figures: Figures) -> Iterator[tuple[str, str, str]]:
    if busy := figures.get("busy"):
        what = f"{busy['workers']} workers drain {busy['drained']:,} jobs in {busy['seconds']:.0f} s"
        added = f"four publishers add {busy['published']:,}"
        yield f"notifications while {what} and {added}", "0", str(busy["notifications"])
    for idle in figures.get("idle", ()):
        yield from _idle_rows(idle)
    if single := figures.get("single"):
        what = f"of {single['workers']} workers asleep, rung for one published job: median, most"
        yield what, "≤ 3", f"{single['median']:.0f}, {single['most']}"
    if bulk := figures.get("bulk"):
        what = f"publish of {bulk['workers']} slow jobs until {bulk['workers']} sleeping workers run one each"
        yield f"{what}: median, worst", "", f"{bulk['median_ms']:.0f} ms, {bulk['most_ms']:.0f} ms"
    if pool := figures.get("pool"):
        yield _pool("workers that do what is published", "≤ 5 %", pool)
    if frozen := figures.get("frozen"):
        yield _pool("workers stopped in their sleep, so that every publish rings", "", frozen)
    if cost := figures.get("cost"):
        what = "one `jobs.publish` while nobody sleeps, with and without the bell"
        yield what, "the same", f"{cost['with']:.0f} and {cost['without']:.0f} µs"


def _idle_rows(idle: Figures) -> Iterator[tuple[str, str, str]]:
    workers, connections = idle["workers"], idle["connections"]
    yield (
        f"processor time of the server for {workers} idle workers, which hold {connections:,} connections",
        "< 5 % of one core with 1,000",
        f"{100 * idle['share']:.1f} %",
    )
    yield (
        f"the same for one notification that nobody waits for, with {workers} listening",
        "",
        f"{idle['notify_ms']:.1f} ms",
    )


def _pool(workers: str, must: str, pool: Figures) -> tuple[str, str, str]:
    rounds = pool["rounds"]
    bell, silent = (statistics.median(each[side] for each in rounds) for side in ("with", "without"))
    rings = statistics.median(each["rings with"] for each in rounds)
    return (
        f"throughput that 16 publishers lose beside {pool['workers']} {workers}: median of {len(rounds)}",
        must,
        f"{100 * loss(rounds):.1f} % ({bell:,.0f} and {silent:,.0f}/s; {rings:.0f} notifications a round)",
    )


_INTRODUCTION = """# The doorbell

A publish wakes workers that are asleep, so that a job starts at once and nobody polls. `NOTIFY` is not
free: it takes a lock of the whole server at commit, and PostgreSQL signals every listening connection
of the database, whatever it listens to. So Howdah rings seldom, and only those it needs: see [the
decision](../decisions/0011-whom-a-publish-wakes.md)."""

_EXPLANATION = """\
* Busy: a backlog is drained by public worker processes while four connections publish one job after the
  other; what comes in on the channels of all workers is counted by a session that listens to them.
* Idle is no simulation: whole workers, as `howdah worker` runs them, many in one process, each with its
  connections: the scout (the sleeping exchange), the doorbell (which listens to three channels), the
  heartbeat, housekeeping; the second exchange connection opens with the first job. Processor time is that
  of all processes of the server, from `/proc/*/schedstat`. They rested before, until every session had
  made its plans.
* Rung are the workers whose own channel was notified; a worker hears nothing that is meant for another
  one. Every other job takes a second, so that whoever took it must put another worker in front.
* Publishers: two databases on one server, in one of which `howdah.ring` does nothing, have their pools and
  16 connections; they take turns of a second, of which the first quarter does not count. Workers are woken
  by hand at the beginning of each turn, or the pool without a bell would sleep and leave the machine to
  the publishers. The data lie on a memory disk with `fsync` on: the disk's moods are not what is measured,
  and at higher rates a lock at commit costs more.
* A notification costs the server about as much processor time for each listening connection, heard or
  not: with many idle workers this, not the lock, is what a ring costs: one reason more to ring seldom."""
