"""What runs the pages finds what is wrong on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import Block, blocks_of, commands_of
from tests.docs.outputs import agrees, contains
from tests.docs.session import PageFailed, Session, environment, mentions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def block(language: str, text: str, *words: str) -> Block:
    return Block("page.md", 1, language, words, text)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = Session(tmp_path, environment(HOME=str(tmp_path)))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("shown", "said", "agree"),
    [
        (["a  b"], "a b\n", True),
        (["-----+---"], "--+-----\n", True),
        (["job … is ready"], "job 17 is ready\n", True),
        (["…", "last"], "first\nsecond\nlast\n", True),
        (["a"], "a\nb\n", False),
        (["a", "b"], "a\n", False),
        (["(1 row)"], "(2 rows)\n", False),
    ],
)
def test_output_agrees_but_for_spaces_and_what_is_left_open(shown: list[str], said: str, agree: bool) -> None:
    assert agrees(shown, said) is agree


def test_what_is_shown_of_a_log_may_stand_between_other_lines() -> None:
    assert contains(["worker … started"], "one\nworker 1 started\nthree\n")
    assert not contains(["started", "stopped"], "stopped\nstarted\n")


@pytest.mark.parametrize(
    "wrong",
    [
        block("console", "$ echo one\ntwo\n"),
        block("console", "$ false\n"),
        block("console", "$ no-such-program\n"),
        block("console", "$ echo 'Error: no'\nError: no\n"),
        block("console", "$ echo other\nthis is shown\n", "terminal"),
        block("python", "print(1 + 1)  # 3\n"),
        block("python", "raise ValueError('no')\n"),
        block("sh", "exit 3\n"),
    ],
    ids=lambda one: f"{one.language} {one.text.strip()!r}",
)
def test_a_block_that_does_not_do_what_is_shown_fails(session: Session, wrong: Block) -> None:
    with pytest.raises(PageFailed):
        {"console": session.console, "sh": session.script}.get(
            wrong.language, lambda one: session.python(one, None)
        )(wrong)


def test_the_shell_and_the_python_session_go_on_from_block_to_block(session: Session) -> None:
    session.console(block("console", "$ mkdir inner\n$ cd inner\n$ export COLOUR=grey\n"))
    session.console(block("console", "$ basename $PWD\ninner\n$ echo $COLOUR\ngrey\n"))
    session.python(block("python", "import asyncio\nloop = asyncio.get_event_loop_policy\nvalue = 4\n"), None)
    session.python(block("python", "await asyncio.sleep(0)\nprint(value)  # 4\n"), None)


def test_a_command_may_be_written_on_several_lines() -> None:
    first, second = commands_of(block("console", "$ echo a \\\n    b\na b\n$ cat <<END\n> c\n> END\nc\n"))
    assert (first.text, first.output) == ("echo a \\\n    b", ["a b"])
    assert (second.text, second.output) == ("cat <<END\nc\nEND", ["c"])


def test_a_fence_that_does_not_end_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n")
    with pytest.raises(AssertionError, match="1 fences"):
        blocks_of(page)


def test_a_file_is_mentioned_by_its_name_or_as_a_module() -> None:
    assert mentions("from tasks import app", "tasks.py")
    assert mentions("package.file.sum", "package/file.py")
    assert not mentions("from subtasks import app", "tasks.py")
