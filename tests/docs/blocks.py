"""The fenced blocks of a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_TITLE = re.compile(r"(?:#|--|;|//) (?P<name>[\w@./-]+\.\w+)\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, what else its first line says, and its text."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def title(self) -> str | None:
        """The file that the block is, when its first line is a comment with a file's name."""
        match = _TITLE.match(self.text)
        return match["name"] if match else None


@dataclass(slots=True)
class Command:
    """One command of a console block, and the lines shown below it."""

    text: str
    output: list[str] = field(default_factory=list)


def pages() -> list[Path]:
    """Every page for users: README and all of docs but the decisions."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(page for page in found if "decisions" not in page.parts)]


def name_of(page: Path) -> str:
    """Return a page's name in the tree."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in order. A fence that never ends is an error."""
    text = page.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(name_of(page), line, language, tuple(words), body))
    fences = len(re.findall(r"^ *```", text, re.MULTILINE))
    assert fences == 2 * len(found), f"{page}: {fences} fences make {len(found)} blocks"
    return found


def commands_of(block: Block) -> list[Command]:
    """Return the commands of a console block: `$ ` begins one, `> ` or a backslash before it goes on."""
    found: list[Command] = []
    going_on = False
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif going_on or (line.startswith("> ") and found and not found[-1].output):
            found[-1].text += "\n" + line.removeprefix("> ")
        elif found:
            found[-1].output.append(line)
        else:
            raise AssertionError(f"{block.place}: {line!r} comes before the first command")
        going_on = bool(found) and not found[-1].output and found[-1].text.endswith("\\")
    assert found, f"{block.place}: a console block without a command"
    return found
