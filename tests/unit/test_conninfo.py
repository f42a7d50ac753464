"""Every form of DSN reaches asyncpg."""

from __future__ import annotations

from typing import Any

import pytest

from howdah.drivers.conninfo import asyncpg_arguments, without_password
from howdah.errors import ConfigurationError


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("", {}),
        (
            "postgresql://ann:p%40ss@db:5433/shop",
            {"host": "db", "port": 5433, "user": "ann", "password": "p@ss", "database": "shop"},
        ),
        ("host=/run/pg dbname=shop user=ann", {"host": "/run/pg", "database": "shop", "user": "ann"}),
        ("postgresql:///shop?host=/run/pg", {"host": "/run/pg", "database": "shop"}),
        ("postgresql://%2Frun%2Fpg/shop", {"host": "/run/pg", "database": "shop"}),
        (
            "postgresql://a:1,b:2/shop?target_session_attrs=read-write",
            {"host": ["a", "b"], "port": [1, 2], "database": "shop", "target_session_attrs": "read-write"},
        ),
        (
            "postgresql://a,b/?target_session_attrs=any",
            {"host": ["a", "b"], "port": [5432, 5432], "target_session_attrs": "any"},
        ),
        # Of several hosts the one is meant that can be written to.
        ("host=a,b port=7", {"host": ["a", "b"], "port": [7, 7], "target_session_attrs": "read-write"}),
        ("host=a,b", {"host": ["a", "b"], "port": [5432, 5432], "target_session_attrs": "read-write"}),
        ("hostaddr=10.0.0.1 host=db", {"host": "10.0.0.1"}),
        ("sslmode=require host=db", {"host": "db", "dsn": "postgresql://?sslmode=require"}),
        (
            "application_name=x options='-c search_path=y' connect_timeout=1 keepalives=1",
            {"server_settings": {"application_name": "x", "options": "-c search_path=y"}, "timeout": 2.0},
        ),
    ],
)
def test_a_dsn_becomes_arguments(dsn: str, expected: dict[str, Any]) -> None:
    assert asyncpg_arguments(dsn, {}) == expected


def test_variables_fill_in_what_the_dsn_leaves_open() -> None:
    environ = {"PGAPPNAME": "env", "PGCONNECT_TIMEOUT": "9"}

    found = asyncpg_arguments("application_name=own", environ)

    assert found == {"server_settings": {"application_name": "own"}, "timeout": 9.0}


@pytest.mark.parametrize(
    "dsn", ["postgresql://ann:secret@[bad", "password=secret nonsense", "port=secret=x y"]
)
def test_a_dsn_that_cannot_be_read_is_refused_without_its_password(dsn: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        asyncpg_arguments(dsn, {})

    assert "secret" not in str(caught.value)


def test_a_place_is_shown_without_its_password() -> None:
    assert "secret" not in without_password("host=db password=secret dbname=shop")
