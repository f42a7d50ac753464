"""What is printed of a run, and the page about all runs that were kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chaos.checker import Judgement, Struck, Verdict

_SHOWN = 8
# How much must have been counted, without a violation, before the sums say what they are meant to say.
GOALS = {
    "transactional jobs": 300_000,
    "worker processes killed": 500,
    "crashes of the server": 50,
    "zombie calls": 100_000,
}


def printed(verdict: Verdict) -> Iterator[str]:
    """Yield the lines about one run."""
    yield f"seed {verdict.seed}, {verdict.seconds:g} s of faults; {_late([verdict])}"
    yield "  injected (strikes, runs in flight when they struck):"
    for fault in verdict.faults:
        yield f"    {fault.fault:20} {_struck(fault)}"
    yield "  counted:"
    for name, number in verdict.counts.items():
        yield f"    {number:8} {name}"
    yield "  verdict:"
    for one in verdict.judgements:
        yield f"    {one.name:4} {one.outcome:15} {one.title}{_note(one)}"
        for violation in one.violations[:_SHOWN]:
            yield f"           {violation}"
        if len(one.violations) > _SHOWN:
            yield f"           … {len(one.violations)} in all"


def _late(verdicts: Sequence[Verdict]) -> str:
    share = sum(one.late for one in verdicts) / len(verdicts)
    return f"for {share:.0%} of the time one had to wait for the machine"


def _struck(fault: Struck) -> str:
    return f"skipped: {fault.skipped}" if fault.skipped else f"{fault.strikes:4}  {fault.in_flight:6}"


def _note(one: Judgement) -> str:
    if one.reason:
        return f": {one.reason}"
    figures = [f"{name} {spread(values)}" for name, values in one.samples.items() if values]
    return f" ({'; '.join([f'{one.examined} looked at', *figures])})"


def spread(values: Sequence[float]) -> str:
    """Return the middle and the end of a distribution of seconds.

    >>> spread([0.1, 0.2, 0.3])
    'p50 0.200, p99 0.300, max 0.300 s of 3'
    """
    ordered = sorted(values)
    middle, last = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"p50 {middle:.3f}, p99 {last:.3f}, max {ordered[-1]:.3f} s of {len(ordered)}"


# ── The page ──


def page(introduction: str, verdicts: Sequence[Verdict]) -> str:
    """Return the Markdown about many runs: their sums, and the verdict over each invariant."""
    lines = [introduction.rstrip(), "", "## All runs together", ""]
    if not verdicts:
        return "\n".join([*lines, "No run has been kept yet.", ""])
    seconds = sum(one.seconds for one in verdicts)
    runs = f"{len(verdicts)} runs with {seconds / 60:.0f} minutes of faults"
    lines.append(f"{runs}; {_clean(verdicts)}; {_late(verdicts)}.")
    lines += ["", *_goals(verdicts), "", *_faults(verdicts), "", *_counts(verdicts), ""]
    lines += [*_judgements(verdicts), ""]
    return "\n".join(lines)


def _clean(verdicts: Sequence[Verdict]) -> str:
    bad = [str(one.seed) for one in verdicts if one.violations]
    return f"violations in the runs with the seeds {', '.join(bad)}" if bad else "0 violations"


def _faults(verdicts: Sequence[Verdict]) -> Iterator[str]:
    strikes: Counter[str] = Counter()
    in_flight: Counter[str] = Counter()
    for fault in (fault for one in verdicts for fault in one.faults):
        strikes[fault.fault] += fault.strikes
        in_flight[fault.fault] += fault.in_flight
    yield from _table(
        ("fault", "strikes", "runs in flight when it struck"),
        ((name, strikes[name], in_flight[name]) for name in strikes),
    )


def _goals(verdicts: Sequence[Verdict]) -> Iterator[str]:
    total = _total(verdicts)
    rows = (
        (name, goal, total[name], "yes" if total[name] >= goal else "not yet") for name, goal in GOALS.items()
    )
    yield from _table(("to be counted", "at least", "counted", "reached"), rows)


def _counts(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield from _table(("counted", "number"), _total(verdicts).items())


def _total(verdicts: Sequence[Verdict]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in verdicts:
        total.update(one.counts)
    return total


def _judgements(verdicts: Sequence[Verdict]) -> Iterator[str]:
    together: dict[str, list[Judgement]] = defaultdict(list)
    for one in (one for verdict in verdicts for one in verdict.judgements):
        together[one.name].append(one)
    yield from _table(
        ("", "promise", "verdict", "looked at", "seconds"),
        (_judged(name, many) for name, many in together.items()),
    )


def _judged(name: str, many: Sequence[Judgement]) -> tuple[str, str, str, str, str]:
    title = many[-1].title
    checked = [one for one in many if one.outcome in ("held", "violated")]
    if not checked:
        return name, title, f"does not apply: {many[-1].reason}", "", ""
    violations = sum(len(one.violations) for one in checked)
    outcome = f"{violations} violations" if violations else f"held in {len(checked)} runs"
    samples: dict[str, list[float]] = defaultdict(list)
    for one in checked:
        for what, values in one.samples.items():
            samples[what] += values
    figures = "; ".join(f"{what}: {spread(values)}" for what, values in samples.items() if values)
    return name, title, outcome, str(sum(one.examined for one in checked)), figures


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
