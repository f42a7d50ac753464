"""The program that counts through every start, in small; and a limit that is passed is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from howdah import sql
from proofs import limits
from proofs.ground import Ground, ground

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def servers() -> Iterator[Ground]:
    with ground(track_commit_timestamp="on") as started:
        yield started


def test_claimers_that_are_killed_pass_no_limit(servers: Ground) -> None:
    result = limits.work_through(servers.database(), 1500, 1)

    assert limits.wrong(result) == []
    assert result["processes killed"] > 0
    assert result["starts"] >= 1500


def test_a_limit_that_is_passed_is_noticed(servers: Ground) -> None:
    dsn = servers.database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        true = sql.read("functions/32_judge")
        room = "or v_tokens[v_at] <= 0 then"
        assert true.count(room) == 1
        connection.execute(true.replace(room, "and false then").encode())

    assert limits.wrong(limits.work_through(dsn, 1500, 1)) != []
