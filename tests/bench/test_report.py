"""The record and its page."""

from __future__ import annotations

from typing import Any

from bench.figures import Figure
from bench.report.markdown import page, table
from bench.report.record import PeerRecord, Record

FIGURES = [
    *(Figure(number, "howdah", "W3", 80_000 + number) for number in (1, 2, 3)),
    *(Figure(number, "pgqueuer", "W3", 20_000.0) for number in (1, 2, 3)),
    Figure(1, "howdah", "W4 p50", 1.234),
]


def record(**changes: Any) -> Record:
    """A run of two peers."""
    given: dict[str, Any] = {
        "day": "2026-01-31",
        "commit": "abc1234",
        "command": "python -m bench",
        "machine": {"processors": "2 of Some CPU"},
        "server": {"fsync": "on"},
        "rounds": 3,
        "sizes": {"drain": 1000},
        "minutes": 1.5,
        "load": 0.1,
        "peers": {
            "howdah": PeerRecord("howdah", "defaults", {"howdah": "0.1"}),
            "pgqueuer": PeerRecord("pgqueuer", "one consumer", {"pgqueuer": "1.6"}),
        },
        "figures": FIGURES,
    }
    return Record(**{**given, **changes})


def test_a_record_is_read_back_as_it_was_written() -> None:
    written = record(failures=["RQ is not measured: needs redis-server"])
    assert Record.from_json(written.to_json()) == written


def test_the_page_shows_medians_ratios_and_verdicts() -> None:
    text = page(record(), [])
    assert "| W3 drain, one worker process | 80,002 jobs/s | 20,000 jobs/s | 4.00 |" in text
    assert "| W3 drain, one process | pgqueuer | 4.00 | ≥ 2.5 | ≥ 4 | **as aimed** |" in text
    assert "| W4 idle worker, publish to start: p50 (less is better) | 1.23 ms | - | - |" in text


def test_the_page_says_who_could_not_be_measured_and_why() -> None:
    text = page(record(failures=["RQ is not measured: needs redis-server"]), [])
    assert "## Not measured\n\n* RQ is not measured: needs redis-server" in text


def test_the_page_says_that_the_harness_is_suspect() -> None:
    slow = [*FIGURES, Figure(1, "graphile_worker", "W3", 1.0)]
    peers = {**record().peers, "graphile_worker": PeerRecord("graphile-worker", "", {})}
    assert "## Harness suspect" in page(record(figures=slow, peers=peers), [])
    assert "## Harness suspect" not in page(record(), [])


def test_plots_are_shown_with_what_they_show() -> None:
    text = page(record(), [("latest-throughput.svg", "Jobs per second")])
    assert "![Jobs per second](latest-throughput.svg)" in text


def test_a_table_has_a_line_below_its_head() -> None:
    assert table(["a", "b"], [["1", "2"]]).splitlines() == ["| a | b |", "|---|---|", "| 1 | 2 |"]
