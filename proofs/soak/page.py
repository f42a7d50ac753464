"""What a soak has found, and the page about it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from proofs.pages import introduction
from proofs.soak.samples import Sample, drift

_DRIFT = 2.0
_ROWS = 20
_HERE: Final = Path(__file__).parent


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """One soak; `before` and `after` are quiet moments."""

    minutes: float
    rate: float
    warm_up: float
    jobs: int
    seconds: float
    before: Sample
    after: Sample
    samples: list[Sample]
    left: dict[str, int]
    violations: list[str]

    def drifts(self) -> dict[str, tuple[float, float]]:
        """Return each process's memory after the warm-up, in bytes, and its growth in percent."""
        return {name: drift(self.samples, name, self.warm_up * 60) for name in self.before.processes}

    def problems(self) -> list[str]:
        """Return what must not be."""
        before, after = self.before.counted(), self.after.counted()
        found = [
            f"{name}: {before[name]} before, {number} after"
            for name, number in after.items()
            if number > before[name]
        ]
        found += [f"{name}: {number} left" for name, number in self.left.items() if number]
        found += [
            f"memory of {name}: {more:+.1f} %" for name, (_, more) in self.drifts().items() if more > _DRIFT
        ]
        found += [f"fsck: {violation}" for violation in self.violations]
        if self.jobs < 0.95 * self.rate * self.minutes * 60:
            found.append(f"only {self.jobs / self.seconds:,.0f} jobs a second were published")
        return found


def soak_page(soak: Soak) -> str:
    """Return the page."""
    problems = soak.problems()
    lines = [
        f"{soak.minutes:g} minutes, {soak.jobs:,} jobs ({soak.jobs / soak.seconds:,.0f} a second),",
        f"{len(soak.samples)} samples; warm-up {soak.warm_up:g} minutes. Problems: **{len(problems)}**.",
        *(f"* {problem}" for problem in problems),
        "",
        "| counted when quiet | before | after |",
        "|---|---|---|",
    ]
    after = soak.after.counted()
    lines += [f"| {name} | {number} | {after[name]} |" for name, number in soak.before.counted().items()]
    lines += [
        "",
        "| memory of | after the warm-up | growth until the end |",
        "|---|---|---|",
        *(
            f"| {name} | {first / 2**20:.1f} MiB | {more:+.2f} % |"
            for name, (first, more) in soak.drifts().items()
        ),
        "",
        "Left behind when all had ended: "
        + ", ".join(f"{number} {name}" for name, number in soak.left.items())
        + f"; `jobs.fsck()`: {len(soak.violations)} violations.",
        "",
        *_history(soak),
    ]
    return introduction(_HERE) + "\n".join(lines) + "\n"


def _history(soak: Soak) -> list[str]:
    names = list(soak.before.processes)
    heads = [f"{name}: files, threads, MiB" for name in names]
    rows = [
        "| second | connections | locks | " + " | ".join(heads) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for sample in soak.samples[:: max(len(soak.samples) // _ROWS, 1)]:
        cells = [
            f"{one.files}, {one.threads}, {one.bytes / 2**20:.1f}"
            for one in (sample.processes[name] for name in names)
        ]
        rows.append(
            f"| {sample.seconds:.0f} | {sample.connections} | {sample.locks} | " + " | ".join(cells) + " |"
        )
    return rows
