"""Nothing that was killed prevents the next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from howdah.embedded import acquire, acquire_temporary
from howdah.embedded.account import server_account
from howdah.errors import ServerUnavailable
from tests.embedded.conftest import Holder, bystander, is_running, kill_server, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table if not exists written (at timestamptz default now())")
        connection.execute("insert into written default values")


def written(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select count(*) from written").fetchone()
    assert row is not None
    return int(row[0])


def test_a_killed_holder_leaves_a_server_that_the_next_one_joins_and_stops(
    holders: Callable[..., Holder], data_folder: Path
) -> None:
    holder = holders()
    holder.line()
    holder.kill()

    with acquire(data_folder) as server:
        write(server.dsn())

    assert not is_running(server.home)


def test_a_killed_server_comes_back_with_its_data_and_under_the_same_dsn(data_folder: Path) -> None:
    with acquire(data_folder) as server:
        dsn = server.dsn()
        write(dsn)
        kill_server(server.home)

        with acquire(data_folder):
            assert written(dsn) == 1


def test_a_killed_server_with_a_killed_holder_comes_back(
    holders: Callable[..., Holder], data_folder: Path
) -> None:
    holder = holders()
    home = data_folder / holder.line()
    holder.kill()
    kill_server(home)

    with acquire(data_folder) as server:
        write(server.dsn())


def test_a_pid_file_whose_number_now_belongs_to_another_process_does_not_matter(data_folder: Path) -> None:
    account = server_account()
    with acquire(data_folder) as server:
        pid_file = server.home / "data" / "postmaster.pid"
        kill_server(server.home)
        with bystander(account.uid, account.gid) as pid:
            _, rest = pid_file.read_text().split("\n", 1)
            pid_file.write_text(f"{pid}\n{rest}")
            socket_lock = server.home / ".s.PGSQL.5432.lock"
            socket_lock.write_text(f"{pid}\n{rest}")

            with acquire(data_folder) as again:
                write(again.dsn())


def test_a_half_created_data_folder_is_made_anew(data_folder: Path) -> None:
    acquire_folder = data_folder / "18"
    with acquire(data_folder):
        pass
    (acquire_folder / "data").rename(acquire_folder / "initdb-killed")

    with acquire(data_folder) as server:
        write(server.dsn())

    assert [path.name for path in acquire_folder.glob("initdb-*")] == []


def test_a_process_killed_while_it_creates_the_data_does_not_matter(
    holders: Callable[..., Holder], data_folder: Path
) -> None:
    holder = holders()
    home = data_folder / "18"
    wait_until(lambda: any(home.glob("initdb-*/data/PG_VERSION")), "initdb has begun")
    holder.kill()

    with acquire(data_folder) as server:
        write(server.dsn())

    assert [path.name for path in home.glob("initdb-*")] == []


def test_a_server_that_cannot_start_says_why_in_one_line(data_folder: Path) -> None:
    with acquire(data_folder) as server:
        configuration = server.home / "data" / "postgresql.conf"
    configuration.write_text("max_connections = 'very many'\n")

    with pytest.raises(ServerUnavailable, match="max_connections") as caught:
        acquire(data_folder)

    assert "\n" not in str(caught.value)
    assert not is_running(server.home)


def test_a_temporary_server_leaves_nothing_behind() -> None:
    with acquire_temporary() as server:
        write(server.dsn())
        home = server.home
        assert home.exists()

    assert not home.exists()


def test_a_temporary_server_leaves_nothing_behind_when_its_owner_is_killed(
    holders: Callable[..., Holder], data_folder: Path
) -> None:
    holder = holders(":temporary:")
    home = data_folder / holder.line()
    assert is_running(home)

    holder.kill()

    wait_until(lambda: not home.exists(), "the folder is gone")
