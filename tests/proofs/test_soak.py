"""What a soak complains of."""

from __future__ import annotations

import msgspec

from proofs.soak.page import Soak, soak_page
from proofs.soak.samples import Process, Sample

MEBIBYTE = 1 << 20


def sample(seconds: float = 0, connections: int = 5, threads: int = 3, memory: int = 100) -> Sample:
    return Sample(seconds, connections, 0, 0, {"worker 1": Process(9, threads, 4, memory * MEBIBYTE)})


CLEAN = Soak(
    minutes=1,
    rate=10,
    warm_up=0.5,
    jobs=600,
    seconds=60,
    before=sample(),
    after=sample(),
    samples=[sample(float(second), memory=50 if second < 30 else 100) for second in range(0, 60, 2)],
    left={"sessions": 0},
    violations=[],
)


def test_nothing_is_said_of_a_clean_soak() -> None:
    assert CLEAN.problems() == []
    assert "Problems: **0**" in soak_page(CLEAN)


def test_what_does_not_come_back_and_what_grows_is_a_problem() -> None:
    growing = [sample(float(second), memory=100 + second // 4) for second in range(0, 60, 2)]
    leaky = msgspec.structs.replace(
        CLEAN,
        after=sample(connections=6, threads=4),
        samples=growing,
        left={"sessions": 1},
        violations=["odd"],
        jobs=300,
    )

    told = " ".join(leaky.problems())

    for part in (
        "connections: 5 before, 6 after",
        "threads of worker 1",
        "sessions: 1 left",
        "memory of",
        "fsck",
    ):
        assert part in told
    assert "only 5 jobs a second" in told
