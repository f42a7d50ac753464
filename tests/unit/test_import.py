"""What `import howdah` loads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import howdah


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import howdah")

    assert not loaded & {"asyncio", "msgspec", "asyncpg", "psycopg", "click", "rich", "sqlalchemy"}


def test_an_app_and_its_tasks_load_no_driver() -> None:
    loaded = loaded_by(
        "from howdah import Howdah, Context\napp = Howdah()\n@app.task\ndef f(ctx: Context, a: int): ..."
    )

    assert not loaded & {"asyncpg", "psycopg", "click", "rich", "sqlalchemy", "importlib.metadata"}


def test_every_public_name_is_there() -> None:
    assert [name for name in howdah.__all__ if not hasattr(howdah, name)] == []
    assert set(howdah.__all__) <= set(dir(howdah))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"howdah.*nonsense"):
        _ = howdah.nonsense  # type: ignore[attr-defined]  # what is tested
