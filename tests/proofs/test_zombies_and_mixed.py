"""The programs that call everything at once, in small; and a broken fence is noticed."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from howdah import sql
from proofs import caller, mixed, zombies
from proofs.fuzz.catalogue import functions
from proofs.ground import violations
from proofs.keeper import WAYS
from proofs.pages import put_section

if TYPE_CHECKING:
    from tests.fixtures.database import Database


def test_nothing_that_a_zombie_writes_is_accepted(live_database: Database) -> None:
    keepers, haunting = zombies.meet(live_database.dsn, 400, random.randrange(1000))

    assert [told for zombie in haunting for told in zombie.accepted] == []
    assert zombies.marks(live_database.dsn) == 0
    ends = sum((keeper.ends for keeper in keepers), Counter[str]())
    assert set(ends) <= set(WAYS)
    assert ends.total() > 10


def test_a_fence_that_is_broken_is_noticed(live_database: Database) -> None:
    with psycopg.connect(live_database.dsn, autocommit=True) as connection:
        true = sql.read("functions/34_finish")
        fence = "(r.run_id = i_run_id or (i_run_id is null and r.worker_id is null))"
        assert true.count(fence) == 1
        connection.execute(true.replace(fence, "true").encode())

    _, haunting = zombies.meet(live_database.dsn, 400, 1)

    assert [told for zombie in haunting for told in zombie.accepted] != []


def test_what_a_zombie_would_write_is_found(live_database: Database) -> None:
    with psycopg.connect(live_database.dsn, autocommit=True) as connection:
        connection.execute("select jobs.publish('a', i_key => 'k')")
        connection.execute("select * from jobs.consume(1)")
        assert zombies.marks(live_database.dsn) == 0
        connection.execute("select jobs.ack('k', to_jsonb(%s::text))", [zombies.MARK])

    assert zombies.marks(live_database.dsn) == 1


def test_everything_at_once_gets_typed_answers_only(live_database: Database) -> None:
    made: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for calls, said in mixed.several(live_database.dsn, 150, random.randrange(1000), 6):
        made += calls
        answers += said

    assert mixed.wrong(answers) == {}
    assert made.total() == 900
    assert violations(live_database.dsn) == []


def test_a_deadlock_is_a_wrong_answer() -> None:
    assert mixed.wrong(Counter({"done": 5, "JB002": 1, "40P01": 2, "55P03": 1})) == {"40P01": 2}


def test_every_public_function_is_called_or_left_out_for_a_reason(live_database: Database) -> None:
    with psycopg.connect(live_database.dsn) as connection:
        names = {function.name for function in functions(connection)}
    called = set(re.findall(r"jobs\.(\w+)\(", Path(caller.__file__).read_text("utf-8")))

    assert called | set(caller.LEFT_OUT) == names


def test_a_section_takes_the_place_of_its_predecessor(tmp_path: Path) -> None:
    page: Any = tmp_path / "figures.md"
    page.write_text("# Figures\n\n## One\n\nold\n\n## Two\n\ntwo\n")

    put_section(page, "One", "new")
    put_section(page, "Three", "three")

    assert page.read_text() == "# Figures\n\n## One\n\nnew\n\n## Two\n\ntwo\n\n## Three\n\nthree\n"
