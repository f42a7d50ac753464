"""Rules about the tree itself, which no other tool checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "howdah"
MODULES = sorted(PACKAGE.rglob("*.py"))
CALLABLES = (ast.FunctionDef, ast.AsyncFunctionDef)
STATEMENT = re.compile(
    r"^\s*(select\s.+\sfrom\s|select\s+[\w.]+\s*\(|insert\s+into\s|update\s+[\w.\"]+\s+set\s|delete\s+from\s|"
    r"(create|alter|drop)\s+(or\s+replace\s+)?(table|function|schema|role|database|index|view|type)\s|"
    r"(listen|notify|truncate)\s+\w+\s*;?\s*$)",
    re.IGNORECASE | re.DOTALL,
)
# The one template that turns a call into a statement lies here.
DRIVERS = PACKAGE / "drivers"


def parsed(module: Path) -> ast.Module:
    return ast.parse(module.read_text("utf-8"), str(module))


def name_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def docstrings(tree: ast.AST) -> set[int]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found |= {id(first.value) for first in node.body[:1] if isinstance(first, ast.Expr)}
    return found


def texts(tree: ast.AST) -> list[str]:
    """Every text in the code but the docstrings, f-strings with a name in each gap."""
    skipped = docstrings(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            found.append(node.value)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "select * from jobs.get($1)",
        "SELECT jobs.version()",
        "insert into howdah.job values (1)",
        "\n  update howdah.job set task = $1",
        "delete from howdah.job",
        "create table howdah.job ()",
    ],
)
def test_the_pattern_knows_a_statement(text: str) -> None:
    assert STATEMENT.match(text)


@pytest.mark.parametrize(
    "text", ["select a job", "update the settings", "create one", "deleted from disk", "listen"]
)
def test_the_pattern_lets_prose_pass(text: str) -> None:
    assert not STATEMENT.match(text)


@pytest.mark.parametrize("module", [path for path in MODULES if DRIVERS not in path.parents], ids=name_of)
def test_python_holds_no_sql(module: Path) -> None:
    assert [text for text in texts(parsed(module)) if STATEMENT.match(text)] == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_file_has_at_most_400_lines_and_a_docstring(module: Path) -> None:
    text = module.read_text("utf-8")
    assert text.count("\n") <= 400
    assert ast.get_docstring(parsed(module)), "the file does not say what it is for"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_function_has_at_most_50_lines(module: Path) -> None:
    long = [
        node.name
        for node in ast.walk(parsed(module))
        if isinstance(node, CALLABLES) and (node.end_lineno or 0) - node.body[0].lineno >= 50
    ]
    assert long == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_public_functions_and_classes_say_what_they_do(module: Path) -> None:
    tree = parsed(module)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    public = [
        node
        for body in (tree.body, *(node.body for node in classes))
        for node in body
        if isinstance(node, (ast.ClassDef, *CALLABLES)) and not node.name.startswith("_")
    ]
    assert [node.name for node in public if not ast.get_docstring(node) and not is_overload(node)] == []


def is_overload(node: ast.stmt) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any("overload" in ast.unparse(one) or ".setter" in ast.unparse(one) for one in decorators)


@pytest.mark.parametrize("path", [*MODULES, *sorted(PACKAGE.rglob("*.sql"))], ids=name_of)
def test_no_name_is_a_catch_all(path: Path) -> None:
    assert not re.search(r"util|helper|misc|common|_v\d", path.stem)


def test_every_excuse_gives_its_reason() -> None:
    excuses = []
    for module in MODULES:
        for number, line in enumerate(module.read_text("utf-8").splitlines(), 1):
            found = re.search(
                r"# (noqa(?:: ?[\w, ]+?)?|type: ignore(?:\[[\w, -]+\])?)(?P<reason>\s{1,2}\S.*)?$", line
            )
            if found and not found["reason"]:
                excuses.append(f"{name_of(module)}:{number}")
    assert excuses == []


def test_the_files_of_a_user_name_no_place_of_this_machine() -> None:
    here = re.compile(r"/work/|/root/|\.pyenv")
    files = [
        *MODULES,
        *PACKAGE.rglob("*.sql"),
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "Makefile",
    ]
    assert [str(path) for path in files if here.search(path.read_text("utf-8"))] == []
