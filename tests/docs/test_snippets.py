"""Every block of README and docs runs, in order, as a reader would run it.

| block | what is done with it |
|---|---|
| whose first line is a comment with a file's name | written to that file, which a later block must use |
| `python` | run in the page's Python session; may await; `print(…)  # shown` is compared |
| `sql` | run by psql, up to its first error |
| `console` | each `$ ` command is run by bash; lines below it are compared with its output |
| `console terminal`, or a command that ends in `&` | goes on until the page ends, or until the `^C` shown |
| `sh` | run by bash |
| `output` | compared with the output of the `sql` or `python` block before it |
| `yaml`, `ini`, `toml`, `json` | checked, see `checks` |
| `pycon` | an example of a docstring: run by doctest, see `test_reference` |
| `text` | no code |
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.docs.blocks import Block, blocks_of, name_of, pages
from tests.docs.checks import CHECKS
from tests.docs.session import Session, environment, mentions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.database import Administrator, Database

RUN = {"python", "sql", "console", "sh"}
KNOWN = {*RUN, *CHECKS, "output", "pycon", "text"}
# Pages whose reader has no PostgreSQL: they use the embedded server.
EMBEDDED = {"docs/tutorial.md"}
REFERENCE = "docs/reference/"
ROLES = "select rolname from pg_roles where rolname !~ '^(pg_|howdah_)' and rolname <> 'postgres'"


@pytest.fixture
def shop(administrator: Administrator, live_template: Database) -> Iterator[Database]:
    """A database called `shop`, reached by postgresql:///shop; roles that a page makes go away with it."""
    database = administrator.clone(live_template, "shop")
    yield database
    administrator.drop(database)
    for (role,) in administrator.connection.execute(ROLES).fetchall():
        administrator.connection.execute(psycopg.sql.SQL("drop role {}").format(psycopg.sql.Identifier(role)))


@pytest.fixture
def folder(data_folder: Path) -> Iterator[Path]:
    """An empty folder that the account of root's server can reach."""
    with tempfile.TemporaryDirectory(prefix="page-", dir=data_folder.parent) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def environment_for(page: str, shop: Database, data: Path) -> dict[str, str]:
    if page in EMBEDDED:
        return environment(HOME=str(data.parent), HOWDAH_DATA=str(data))
    parts = psycopg.conninfo.conninfo_to_dict(shop.dsn)
    server = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    return environment(
        HOME=str(data.parent),
        HOWDAH_DSN="postgresql:///shop",
        **{variable: str(parts[name]) for variable, name in server.items() if parts.get(name)},
    )


def shown_after(blocks: list[Block], place: int) -> list[str] | None:
    """The output that a page shows below a block, if it does."""
    following = blocks[place + 1 : place + 2]
    return following[0].text.splitlines() if following and following[0].language == "output" else None


def perform(session: Session, blocks: list[Block], place: int, dsn: str) -> None:
    """Do with one block what its language says."""
    block = blocks[place]
    if block.language in CHECKS:
        CHECKS[block.language](block, session.folder, dsn)
    if block.title is not None:
        session.write(block)
        return
    match block.language:
        case "python":
            session.python(block, shown_after(blocks, place))
        case "sql":
            session.sql(block, shown_after(blocks, place))
        case "console":
            session.console(block)
        case "sh":
            session.script(block)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_block_of_the_page_does_what_it_says(
    page: Path, shop: Database, folder: Path, data_folder: Path
) -> None:
    blocks = blocks_of(page)
    session = Session(folder, environment_for(name_of(page), shop, data_folder))
    try:
        for place in range(len(blocks)):
            perform(session, blocks, place, shop.dsn)
    finally:
        session.close()


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_no_block_of_the_page_is_left_out(page: Path) -> None:
    blocks = blocks_of(page)
    for place, block in enumerate(blocks):
        assert block.language in KNOWN, (
            f"{block.place}: nothing is done with {block.language or 'no language'!r}"
        )
        if block.language == "output":
            assert blocks[place - 1].language in ("sql", "python"), f"{block.place}: the output of what?"
        if block.language == "pycon":
            assert name_of(page).startswith(REFERENCE), f"{block.place}: write python"
        if block.title is not None and block.language not in CHECKS:
            later = "\n".join(other.text for other in blocks[place + 1 :])
            assert mentions(later, block.title), f"{block.place}: nothing on the page uses {block.title}"


def test_the_pages_hold_blocks_of_every_kind_that_runs() -> None:
    languages = {block.language for page in pages() for block in blocks_of(page)}
    assert languages >= RUN
