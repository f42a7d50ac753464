"""What stands for programs that change the machine or need a server: each checks what it is asked.

`pip install` checks that the packages are ones that the project offers or tests with, and puts them into an
active virtual environment; `make` looks for the target; `systemctl` and `kubectl` check the files they are
given; `curl` does what PostgREST does with a call; `sudo` runs the rest.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pip(*arguments: str) -> None:
    """Check `pip install …`, and make what it names importable in the active virtual environment."""
    assert arguments[0] == "install", arguments
    for requirement in arguments[1:]:
        match = re.fullmatch(r"(?P<name>[\w-]+)(?:\[(?P<extras>[\w,]+)\])?", requirement)
        assert match, f"pip install {requirement}"
        if match["name"] == "howdah":
            offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set((match["extras"] or "").split(",")) - {""} <= set(offered), requirement
        else:
            metadata.version(match["name"])  # PackageNotFoundError: the pages use what the tests have
    if "VIRTUAL_ENV" in os.environ:
        _put_into(Path(os.environ["VIRTUAL_ENV"]))


def _put_into(environment: Path) -> None:
    (site,) = environment.glob("lib/python*/site-packages")
    ours = Path(sysconfig.get_path("purelib"))
    paths = [str(ours), *(line for file in ours.glob("*.pth") for line in file.read_text().splitlines())]
    (site / "ours.pth").write_text("\n".join(path for path in paths if Path(path).is_dir()))
    for program in ("howdah", "pytest"):
        script = (Path(sys.executable).parent / program).read_text().splitlines()
        (environment / "bin" / program).write_text("\n".join([f"#!{environment}/bin/python", *script[1:]]))
        (environment / "bin" / program).chmod(0o755)


def make(*arguments: str) -> None:
    """Check that the target exists."""
    subprocess.run(["make", "--dry-run", "-C", ROOT, *arguments], check=True, stdout=subprocess.DEVNULL)


def systemctl(*arguments: str) -> None:
    """Check that the units lie in this folder, as /etc/systemd/system would have them."""
    units = [re.sub(r"@[^.]*", "@", argument) for argument in arguments if argument.startswith("howdah")]
    assert arguments == ("daemon-reload",) or units, arguments
    for unit in units:
        name = unit if "." in unit else f"{unit}.service"
        assert Path(name).is_file(), f"systemctl {arguments}: no {name}"


journalctl = systemctl


def kubectl(*arguments: str) -> None:
    """Check that the file exists, or that a resource of this folder has the name."""
    command, *rest = arguments
    known = "\n".join(path.read_text() for path in Path.cwd().glob("*.yaml"))
    match command, *rest:
        case "apply", "-f", file:
            assert Path(file).is_file(), file
        case (("logs" | "scale" | "rollout" | "delete" | "wait" | "get"), *_):
            names = [word.partition("/")[2] for word in rest if "/" in word]
            assert names, arguments
            assert all(f"name: {name}\n" in known for name in names), arguments
        case _:
            raise AssertionError(arguments)


def sudo(*arguments: str) -> None:
    """Run the rest: `cp` into a folder of the system stays here."""
    if arguments[0] == "systemctl":
        systemctl(*arguments[1:])
    elif arguments[0] in ("cp", "install"):
        assert Path(arguments[-2]).is_file(), arguments
    else:
        raise AssertionError(arguments)


def curl(*arguments: str) -> None:
    """Do what PostgREST does with a POST to /rpc/function: name the arguments, answer with JSON."""
    url = next(argument for argument in arguments if argument.startswith("http"))
    body = json.loads(arguments[arguments.index("-d") + 1]) if "-d" in arguments else {}
    headers = dict(_header(arguments[place + 1]) for place, one in enumerate(arguments) if one == "-H")
    assert headers.get("Content-Profile", "jobs") == "jobs", headers
    function = url.rsplit("/rpc/", 1)[1]
    sys.stdout.write(f"{call(function, body)}\n")


def _header(text: str) -> tuple[str, str]:
    name, _, value = text.partition(": ")
    return name, value


def call(function: str, body: dict[str, object]) -> str:
    """Call a function of the schema by the names of its parameters, as the role of anonymous web users."""
    import psycopg
    from psycopg import sql

    given = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), sql.Literal(_plain(value)))
        for name, value in body.items()
    )
    with psycopg.connect(os.environ["HOWDAH_DSN"]) as connection:
        connection.execute("set local role web_anonymous")
        query = sql.SQL("select to_jsonb(x) from jobs.{}({}) x").format(sql.Identifier(function), given)
        rows = [row for (row,) in connection.execute(query)]
    answer = rows if len(rows) != 1 or function in ("list", "get") else rows[0]
    return json.dumps(answer, separators=(",", ":"))


def _plain(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
