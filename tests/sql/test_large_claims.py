"""How much one answer of the exchange holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sql.steps import start_worker

if TYPE_CHECKING:
    from tests.fixtures.sessions import Session

_CLAIM = "select json_array_length(jobs.exchange(%s, null, %s, true) -> 'jobs')"
_FILL = """select cardinality(jobs.publish_each('shop.mail', (
    select jsonb_agg(jsonb_build_object('text', repeat('x', %s))) from generate_series(1, %s))))"""


def test_a_claim_holds_at_most_a_thousand(sql: Session) -> None:
    worker = start_worker(sql, "shop.mail")
    sql.value(_FILL, 1, 1200)

    assert sql.value(_CLAIM, worker, 5000) == 1000
    assert sql.value(_CLAIM, worker, 5000) == 200


@pytest.mark.long
def test_documents_too_large_for_one_answer_are_claimed_in_smaller_batches(sql: Session) -> None:
    worker = start_worker(sql, "shop.mail")
    for _ in range(12):
        sql.value(_FILL, 1_000_000, 100)

    assert sql.value("select length(jobs.exchange(%s, null, 1000, true)::text)", worker) > 500 * 1_000_000
    assert sql.value("select count(*) from howdah.running") == 500
    assert sql.value("select count(*) from howdah.ready") == 700
