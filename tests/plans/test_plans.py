"""What a call reads depends on its batch, not on how many jobs there are, whatever the planner believes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import pytest

from tests.fixtures.sessions import Session
from tests.plans.calls import calls
from tests.plans.meter import Reading, measure

if TYPE_CHECKING:
    from tests.plans.conftest import Crowd

# A row moved costs some twenty pages: three indexes left, three entered, the heaps, the look at job and task.
_BUFFERS_PER_CALL: Final = 400
_BUFFERS_PER_JOB: Final = 45
# 200 of each lane's head are looked at for unknown tasks; 15 lanes.
_ROWS_PER_CALL: Final = 3_500
_ROWS_PER_JOB: Final = 12

_BELIEFS: Final = MappingProxyType({"nothing": -1, "one row in each table": 1, "the truth": None})

# What a caller, or a former client of the pooler, may have set before the first call.
_SETTINGS: Final = MappingProxyType(
    {
        "as it comes": {},
        "no index": {
            "enable_indexscan": "off",
            "enable_indexonlyscan": "off",
            "enable_bitmapscan": "off",
            "enable_seqscan": "on",
        },
        "no usual join": {
            "enable_nestloop": "off",
            "enable_tidscan": "off",
            "enable_sort": "off",
            "enable_material": "off",
            "enable_memoize": "off",
        },
        "a plan for each call": {"plan_cache_mode": "force_custom_plan"},
        "dear random pages": {
            "plan_cache_mode": "force_generic_plan",
            "random_page_cost": "100",
            "seq_page_cost": "0.1",
            "effective_cache_size": "8kB",
        },
        "joins as written": {"join_collapse_limit": "1", "from_collapse_limit": "1"},
    }
)


def _believe(session: Session, belief: str) -> None:
    rows = _BELIEFS[belief]
    if rows is None:
        session.execute("analyze")
    else:
        session.rows("select load.believe(%s::real)", rows)


def _excess(reading: Reading, batch: int) -> str | None:
    if reading.buffers > _BUFFERS_PER_CALL + _BUFFERS_PER_JOB * batch:
        return f"{reading.buffers} buffers for {batch} jobs; rows: {reading.rows}"
    if reading.most_rows > _ROWS_PER_CALL + _ROWS_PER_JOB * batch:
        return f"rows for {batch} jobs: {reading.rows}"
    return None


@pytest.mark.parametrize("settings", _SETTINGS)
@pytest.mark.parametrize("belief", _BELIEFS)
def test_a_call_reads_what_its_batch_needs(crowd: Crowd, belief: str, settings: str) -> None:
    session = Session(crowd.dsn)
    _believe(session, belief)
    for name, value in _SETTINGS[settings].items():
        session.rows("select set_config(%s, %s, false)", name, value)
    scans = {}
    for name, (call, batch) in calls(crowd).items():
        session.rows("select setval('howdah.last_tick', 0), setval('howdah.last_stray_check', 0)")
        excess = _excess(measure(session, call), batch)
        if excess:
            scans[name] = excess
    session.close()
    assert not scans, "\n".join(f"{name}: {excess}" for name, excess in scans.items())
