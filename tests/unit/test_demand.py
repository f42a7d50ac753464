"""How many jobs a worker claims."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from howdah.worker.demand import (
    BATCH_LIMIT,
    PREFETCH_LIMIT,
    Load,
    claim_size,
    flush_size,
    next_duration,
    prefetch,
)

counts = st.integers(0, 5000)
loads = st.builds(
    Load,
    slots=st.integers(1, 500),
    busy=counts,
    waiting=counts,
    requested=counts,
    duration=st.none() | st.floats(0, 1),
    size=st.floats(0, 2e6),
)


def test_the_first_claim_fills_the_slots() -> None:
    assert claim_size(Load(slots=10, busy=0, waiting=0, requested=0, duration=None)) == 10


def test_fast_tasks_are_claimed_in_large_batches() -> None:
    assert claim_size(Load(slots=10, busy=10, waiting=0, requested=0, duration=0.00001)) == BATCH_LIMIT


def test_long_tasks_are_claimed_for_free_slots_only() -> None:
    assert claim_size(Load(slots=10, busy=9, waiting=0, requested=0, duration=1.0)) == 1
    assert claim_size(Load(slots=10, busy=10, waiting=0, requested=0, duration=1.0)) == 0


def test_what_is_under_way_is_not_asked_for_again() -> None:
    assert claim_size(Load(slots=10, busy=0, waiting=0, requested=10, duration=None)) == 0


def test_a_single_long_run_among_short_ones_does_not_end_prefetching_for_long() -> None:
    mean = next_duration(0.0001, 3600)
    for _ in range(200):
        mean = next_duration(mean, 0.0001)

    assert prefetch(10, mean) > 100


def test_large_documents_do_not_pile_up_in_memory() -> None:
    fast = Load(slots=10, busy=10, waiting=0, requested=0, duration=0.00001, size=1_000_000)

    assert claim_size(fast) == 64


@given(loads)
def test_a_claim_never_exceeds_what_is_missing(load: Load) -> None:
    claimed = claim_size(load)

    assert 0 <= claimed <= BATCH_LIMIT
    room = max(load.slots - load.busy, 0) + PREFETCH_LIMIT
    assert claimed == 0 or load.waiting + load.requested + claimed <= room


@given(loads)
def test_an_idle_worker_with_nothing_at_hand_always_asks(load: Load) -> None:
    idle = Load(load.slots, 0, 0, 0, load.duration, load.size)

    assert claim_size(idle) >= 1
    assert flush_size(idle) >= 1
