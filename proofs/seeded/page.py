"""The page about seeded bugs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proofs.pages import introduction
from proofs.seeded.bug import NOT_APPLICABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proofs.seeded.trial import Verdict

# What users of other queues met, in a few words.
FAILURES: Final = {
    1: "a killed worker's jobs stay running",
    2: "a restarted worker is taken for its predecessor",
    3: "the rescue itself goes wrong",
    4: "a paused worker finishes late",
    5: "a blocked event loop starves the heartbeat",
    6: "a timeout does not stop the code",
    7: "a poison job kills worker after worker",
    8: "the database restarts",
    9: "the listening connection dies silently",
    10: "the network is silently gone",
    11: "it is unknown whether a commit happened",
    12: "failover",
    13: "a transaction pooler",
    14: "an old snapshot",
    15: "NOTIFY in every publish",
    16: "everybody is woken at once",
    17: "no connection is left",
    18: "the disk is full",
    19: "deadlocks",
    20: "a claim takes more than its limit",
    21: "limits on running jobs are exceeded",
    22: "unique keys",
    23: "two schedulers",
    24: "daylight saving time",
    25: "clocks",
    26: "bad input and results",
    27: "deserialisation runs code",
    28: "a backlog of millions",
    29: "SIGTERM burns attempts or loses jobs",
    30: "a rolling upgrade",
    31: "lost wake-ups",
    32: "workflows get stuck",
    33: "maintenance hurts production",
    34: "a read replica decides",
    35: "outcomes are dropped on rare paths",
}
_HERE: Final = Path(__file__).parent


def seeded_page(verdicts: Sequence[Verdict]) -> str:
    """Return the page."""
    kinds = Counter(verdict.language for verdict in verdicts)
    tiers = Counter(verdict.tier for verdict in verdicts)
    caught = sum(1 for verdict in verdicts if verdict.caught_by)
    suites = ", ".join(f"{tier} {number}" for tier, number in tiers.most_common())
    lines = [
        f"{len(verdicts)} bugs: {kinds['SQL']} in SQL, {kinds['Python']} in Python. Noticed: **{caught}**.",
        f"By suite: {suites}.",
        "",
        "| | failure | bug | file | suite | noticed by |",
        "|---|---|---|---|---|---|",
    ]
    for number, failure in FAILURES.items():
        mine = [verdict for verdict in verdicts if number in verdict.failures]
        if number in NOT_APPLICABLE:
            lines.append(f"| F{number} | {failure} | *{NOT_APPLICABLE[number]}* | | | |")
        lines += [_row(f"F{number}", failure, verdict) for verdict in mine]
    lines += [_row("", "", verdict) for verdict in verdicts if not verdict.failures]
    return introduction(_HERE) + "\n".join(lines) + "\n"


def _row(number: str, failure: str, verdict: Verdict) -> str:
    test = verdict.caught_by or f"**nothing** ({verdict.problem})"
    short = test.split("::")[-1].split("[")[0]
    file = verdict.file.rsplit("/", 1)[1]
    return f"| {number} | {failure} | {verdict.name} | `{file}` | {verdict.tier} | `{short}` |"
