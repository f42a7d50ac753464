"""Which source wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from howdah.errors import ConfigurationError
from howdah.settings import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}) == Settings()


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "howdah.toml").write_text("concurrency = 1\nlease = 5\ngrace = 6\n")

    settings = load_settings(tmp_path, {"HOWDAH_LEASE": "7", "HOWDAH_GRACE": "8"}, grace=9)

    assert (settings.concurrency, settings.lease, settings.grace) == (1, 7.0, 9.0)


def test_pyproject_is_read_from_a_folder_above(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.howdah]\nqueues = ["a", "b"]\n')
    (tmp_path / "deep" / "er").mkdir(parents=True)

    assert load_settings(tmp_path / "deep" / "er", {}).queues == ("a", "b")


def test_its_own_file_comes_before_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.howdah]\napp = "a:b"\n')
    (tmp_path / "howdah.toml").write_text('app = "c:d"\n')

    assert load_settings(tmp_path, {}).app == "c:d"


def test_an_empty_variable_counts_as_not_given(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {"HOWDAH_DSN": ""}).dsn is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("concurrency", "many"), ("concurrency", "0"), ("lease", "nan"), ("grace", "-1"), ("grace", "inf")],
)
def test_a_value_that_cannot_be_is_refused_with_its_name(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"environment: {name} must be") as caught:
        load_settings(tmp_path, {f"HOWDAH_{name.upper()}": value})

    assert caught.value.field == name


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "howdah.toml").write_text("concurency = 1\n")

    with pytest.raises(ConfigurationError, match="no setting 'concurency'"):
        load_settings(tmp_path, {})


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "howdah.toml").write_text("= 1\n")

    with pytest.raises(ConfigurationError, match=r"howdah\.toml cannot be read"):
        load_settings(tmp_path, {})
