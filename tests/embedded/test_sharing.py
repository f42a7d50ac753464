"""Several processes, one server; the last one out stops it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from howdah.embedded import acquire
from tests.embedded.conftest import is_running, postmaster

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.embedded.conftest import Holder

PROJECT = Path(__file__).parents[2]


def test_ten_processes_that_start_at_once_share_one_server(
    holders: Callable[..., Holder], data_folder: Path
) -> None:
    processes = [holders() for _ in range(10)]
    homes = {holder.line() for holder in processes}
    starts = {holder.ask("shared") for holder in processes}

    assert homes == {str(data_folder / "18")}
    assert len(starts) == 1


def test_the_last_one_out_stops_the_server(holders: Callable[..., Holder], data_folder: Path) -> None:
    processes = [holders() for _ in range(4)]
    home = data_folder / "18"
    assert {holder.line() for holder in processes} == {str(home)}

    for holder in processes[1:]:
        assert holder.end() == 0
    assert processes[0].ask("query")
    assert processes[0].end() == 0

    assert not is_running(home)
    assert not (home / "data" / "postmaster.pid").exists()


def test_who_comes_while_the_last_one_goes_has_a_server(data_folder: Path) -> None:
    acquire(data_folder).release()
    script = f"import tests.embedded.holder as holder; holder.come_and_go({str(data_folder)!r})"
    visitors = [subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT) for _ in range(3)]

    assert [visitor.wait(timeout=60) for visitor in visitors] == [0, 0, 0]
    assert not is_running(data_folder / "18")


def test_a_process_may_hold_the_server_twice(data_folder: Path) -> None:
    first, second = acquire(data_folder), acquire(data_folder)

    first.release()
    first.release()
    assert is_running(second.home)
    second.release()

    assert not is_running(second.home)


def test_a_forked_child_does_not_release_its_parents_server(holders: Callable[..., Holder]) -> None:
    holder = holders()
    holder.line()
    before = holder.ask("query")

    holder.ask("fork")

    assert holder.ask("query") == before


def test_the_server_outlives_its_starter_while_others_use_it(holders: Callable[..., Holder]) -> None:
    starter = holders()
    starter.line()
    other = holders()
    other.line()
    before = other.ask("query")

    starter.kill()

    assert other.ask("query") == before


def test_a_ctrl_c_in_the_starters_terminal_does_not_reach_the_server(data_folder: Path) -> None:
    with acquire(data_folder) as server:
        assert os.getsid(postmaster(server.home)) != os.getsid(0)


def test_data_stays_from_one_start_to_the_next(data_folder: Path) -> None:
    with acquire(data_folder) as server:
        first = server.ensure_database("kept")

    with acquire(data_folder) as server:
        assert server.ensure_database("kept") == first
