"""Registration, names, and what may be imported."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from howdah import Howdah, Tasks
from howdah.errors import ConfigurationError, InsideEventLoop, InvalidInput, TaskNotAllowed
from howdah.imports import import_function
from howdah.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "postgresql://127.0.0.1:1/nowhere"


@pytest.fixture
def app() -> Howdah:
    return Howdah(NOWHERE, settings=Settings())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "shop_of_tests"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mails.py").write_text(
        "import os\nfrom os import system\nfrom shutil import rmtree\nclass Letter: pass\n"
        "def send(a): return a\ndef _hidden(): pass\n"
    )
    (package / "broken.py").write_text("raise RuntimeError('broken')\ndef f(): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


def test_a_task_is_called_as_before_and_named_after_its_function(app: Howdah) -> None:
    @app.task
    def add(a: int, b: int) -> int:
        return a + b

    @app.task(name="shop.sum", queue="mail", timeout=5)
    def total(a: int) -> int:
        return a

    assert add(1, b=2) == 3
    assert add.name == f"{__name__}.test_a_task_is_called_as_before_and_named_after_its_function.add"
    assert total.description.given() == {
        "name": "shop.sum",
        "queue": "mail",
        "timeout": 5.0,
        "signature": "(a: 'int') -> 'int'",
    }


def test_two_functions_of_one_name_are_refused(app: Howdah) -> None:
    app.task(name="t")(lambda: 1)

    with pytest.raises(ConfigurationError, match="two tasks are called t"):
        app.task(name="t")(lambda: 2)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"priority": 1.5}, "priority"),
        ({"backoff": []}, "backoff"),
        ({"name": "no spaces"}, "task"),
    ],
)
def test_an_option_that_cannot_be_is_refused_where_it_is_written(
    app: Howdah, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        app.task(**{"name": "t", **options})(lambda: None)

    assert caught.value.field == field


def test_an_unknown_option_is_refused(app: Howdah) -> None:
    with pytest.raises(TypeError, match="'colour' is not an option"):
        app.task(colour="red")(lambda: None)  # type: ignore[call-overload]  # that is the point


def test_a_librarys_tasks_become_the_apps_when_it_includes_them(app: Howdah) -> None:
    tasks = Tasks()

    @tasks.task
    async def resize() -> None: ...

    app.include(tasks)

    assert app.tasks.get(resize.name) is resize
    assert resize.app is app


async def test_a_task_without_an_app_says_so() -> None:
    task = Tasks().task(name="t")(lambda: None)

    with pytest.raises(ConfigurationError, match="belongs to no app"):
        await task.publish()


async def test_arguments_that_the_function_does_not_take_are_refused_at_publish(app: Howdah) -> None:
    task = app.task(name="t")(lambda a: None)

    with pytest.raises(TypeError):
        await task.publish(1, 2)


async def test_a_sync_method_inside_an_event_loop_names_its_twin(app: Howdah) -> None:
    with pytest.raises(InsideEventLoop, match=r"use: await result\(…\)"):
        app.job(1).result_sync()


def test_a_public_function_of_an_allowed_package_is_found(shop: Path) -> None:
    assert import_function("shop_of_tests.mails.send", ["shop_of_tests"]).name == "shop_of_tests.mails.send"


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "shop_of_tests.mails.os.system",
        "shop_of_tests.mails.system",
        "shop_of_tests.mails.rmtree",
        "shop_of_tests.mails.Letter",
        "shop_of_tests.mails._hidden",
        "shop_of_tests.mails.missing",
        "shop_of_tests.missing.send",
        "shop_of_tests.broken.f",
        "shop_of_tests",
        "shop_of_tests_and_more.f",
        "..f",
    ],
)
def test_nothing_else_is_imported(shop: Path, name: str) -> None:
    with pytest.raises(TaskNotAllowed):
        import_function(name, ["shop_of_tests"])


def test_without_permission_not_even_a_module_is_loaded(shop: Path) -> None:
    with pytest.raises(TaskNotAllowed):
        import_function("shop_of_tests.mails.send", [])

    assert "shop_of_tests.mails" not in sys.modules or "shop_of_tests" in sys.modules


def test_a_script_names_its_tasks_after_its_file(tmp_path: Path) -> None:
    script = tmp_path / "chores.py"
    script.write_text("from howdah import Howdah\napp = Howdah()\n@app.task\ndef f(): ...\nprint(f.name)\n")

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)

    assert done.stdout == "chores.f\n"


def test_importing_howdah_loads_no_driver_and_no_server() -> None:
    code = (
        "import sys, howdah; print([m for m in ('asyncpg', 'psycopg', 'click', 'rich') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
