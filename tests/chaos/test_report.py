"""The page sums up all runs that were kept, and says which of them found something."""

from __future__ import annotations

import msgspec

from chaos.checker import judge
from chaos.report import page, printed
from tests.chaos import story


def test_a_run_is_printed_with_every_fault_and_every_promise() -> None:
    lines = list(printed(judge(story.clean())))
    assert any("kill_worker" in line for line in lines)
    assert any(line.startswith("    S8   held") for line in lines)
    assert any("S17  not applicable  schedules: there are no schedules yet" in line for line in lines)


def test_many_runs_are_added_up() -> None:
    verdict = judge(story.clean())
    text = page("# Chaos", [verdict, verdict, verdict])
    assert "3 runs with 3 minutes of faults; 0 violations; for 0% of the time" in text
    assert "| kill_worker | 3 | 3 |" in text
    assert "| jobs | 45 |" in text
    assert "| S8 | effects happen exactly once | held in 3 runs | 12 |" in text


def test_violations_name_their_seed() -> None:
    forged = judge(msgspec.structs.replace(story.clean(), effects=()))
    text = page("# Chaos", [judge(story.clean()), msgspec.structs.replace(forged, seed=77)])
    assert "violations in the runs with the seeds 77" in text
    assert "| S8 | effects happen exactly once | 4 violations |" in text


def test_a_page_without_runs_says_so() -> None:
    assert "No run has been kept yet." in page("# Chaos", [])


def test_the_page_tells_how_far_it_is_to_the_goals() -> None:
    verdict = judge(story.clean())
    rich = msgspec.structs.replace(verdict, counts={**verdict.counts, "worker processes killed": 250})
    assert "| worker processes killed | 500 | 250 | not yet |" in page("# Chaos", [rich])
    assert "| worker processes killed | 500 | 500 | yes |" in page("# Chaos", [rich, rich])
