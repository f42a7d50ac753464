"""The pages of docs/reliability that these programs write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proofs.fuzz.round import RoundResult

_FOLDER: Final = Path(__file__).parents[1] / "docs" / "reliability"
FUZZING: Final = _FOLDER / "fuzzing.md"
SOAK: Final = _FOLDER / "soak.md"
SEEDED: Final = _FOLDER / "seeded-bugs.md"
CALLS: Final = _FOLDER / "calls.md"


def fuzzing_page(results: Sequence[RoundResult]) -> str:
    """Return the page about malformed input."""
    kinds: Counter[str] = Counter()
    for result in results:
        kinds.update(result.cases)
    lines = ["| input for | cases |", "|---|---|"]
    lines += [f"| {kind} | {number:,} |" for kind, number in kinds.items()]
    lines += [f"| together, in {len(results)} rounds | {kinds.total():,} |"]
    problems = [problem for result in results for problem in result.problems]
    clean = sum(1 for result in results if not result.problems)
    lines += ["", f"Rounds without a problem: {clean} of {len(results)}. Problems: {len(problems)}."]
    return _introduction("fuzz") + "\n".join(lines) + "\n"


def _introduction(name: str) -> str:
    return introduction(Path(__file__).parent / name)


def introduction(folder: Path) -> str:
    """Return what a page begins with."""
    return (folder / "introduction.md").read_text("utf-8") + "\n"


def put_section(page: Path, title: str, text: str) -> None:
    """Write a section of a page, in place of an earlier one with its title; the others stay."""
    heading = f"## {title}\n"
    whole = page.read_text("utf-8") if page.exists() else "# Calls at the same time\n"
    before, found, rest = whole.partition(heading)
    after = rest[rest.find("\n## ") + 1 :] if found and "\n## " in rest else ""
    page.write_text(
        f"{before.rstrip()}\n\n{heading}\n{text.strip()}\n" + (f"\n{after}" if after else ""), "utf-8"
    )
