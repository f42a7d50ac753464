"""The examples in the docstrings of `howdah.testing` run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from typing import TYPE_CHECKING

import pytest

import howdah.testing

if TYPE_CHECKING:
    from howdah.embedded import Server

MODULES = [module.name for module in pkgutil.iter_modules(howdah.testing.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str, cluster: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOWDAH_TEST_DSN", cluster.dsn())
    module = importlib.import_module(f"howdah.testing.{name}")
    assert doctest.testmod(module).failed == 0


def test_what_users_call_has_an_example() -> None:
    without = [
        name
        for name in howdah.testing.__all__
        if ">>>" not in (getattr(howdah.testing, name).__doc__ or "") and not name.endswith("_sync")
    ]
    assert without == ["Databases", "FreshDatabase", "Publication"]  # values that the functions hand out
