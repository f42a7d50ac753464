"""The reference is made from the sources, is fresh, and its examples run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import howdah
from howdah.cli.group import COMMANDS
from tests.docs.blocks import ROOT, name_of, pages

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = ROOT / "docs" / "reference"
MODULES = [
    module.name
    for module in pkgutil.walk_packages(howdah.__path__, "howdah.")
    if not module.name.endswith("__main__")
]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:)(?P<page>[^)#]*)(?:#(?P<section>[^)]*))?\)")


def test_the_reference_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_the_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


def test_every_command_and_every_public_name_is_on_a_page() -> None:
    commands = (REFERENCE / "commands.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"### howdah {name}\n" not in commands] == []
    python = (REFERENCE / "python.md").read_text("utf-8") + (REFERENCE / "errors.md").read_text("utf-8")
    assert [
        name for name in howdah.__all__ if f"howdah.{name}\n" not in python and f"`{name}`" not in python
    ] == []


def sections(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are on GitHub."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*pages(), ROOT / "docs/decisions/README.md"], ids=name_of)
def test_every_link_of_the_page_leads_somewhere(page: Path) -> None:
    for match in LINK.finditer(page.read_text("utf-8")):
        target = (page.parent / match["page"]) if match["page"] else page
        assert target.exists(), f"{name_of(page)}: {match[0]}"
        if match["section"]:
            assert match["section"] in sections(target), f"{name_of(page)}: {match[0]}"


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    reached = {(ROOT / "docs" / match["page"]).resolve() for match in LINK.finditer(index)}
    assert [
        name_of(page)
        for page in pages()
        if page.resolve() not in reached and page.name not in ("README.md", "index.md")
    ] == []
