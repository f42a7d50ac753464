"""One reader who follows one page: an empty folder, a shell, other terminals, a Python session, psql."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.docs.blocks import Block, commands_of
from tests.docs.interpreter import MARK
from tests.docs.outputs import agrees, contains, shown_beside, shows_an_error

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = Path(__file__).parent
_SECONDS = 45.0
# Programs that change the machine or the network: a stand-in checks what it is asked instead.
_STAND_INS = ("pip", "make", "systemctl", "journalctl", "kubectl", "curl", "sudo")


class PageFailed(AssertionError):
    """A block did not do what the page says."""


@dataclass(slots=True)
class Terminal:
    """A command that goes on in a terminal of its own."""

    process: subprocess.Popen[str]
    log: list[str]
    news: threading.Condition
    reader: threading.Thread | None = None

    def read(self) -> None:
        """Collect what it says, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.news:
                self.log.append(line)
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def wait_for(self, shown: Sequence[str]) -> bool:
        """Wait until it has said what the page shows."""
        with self.news:
            return self.news.wait_for(
                lambda: contains(shown, "".join(self.log)) or self.process.poll() is not None, _SECONDS
            ) and contains(shown, "".join(self.log))

    def end(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(20)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            if self.reader is not None:
                self.reader.join(10)
            if self.process.stdout is not None:
                self.process.stdout.close()


class Session:
    """Does what a page says, block after block."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.work = folder / "demo"
        self.work.mkdir()
        self._environ = environ
        self._state = folder / "state.sh"
        self._state.write_text(f"cd {self.work}\n")
        self._prelude = folder / "prelude.sh"
        self._prelude.write_text(_prelude())
        self._terminals: list[Terminal] = []
        self._python: subprocess.Popen[str] | None = None

    # ── Blocks ──

    def write(self, block: Block) -> Path:
        """Write the file that a block is."""
        assert block.title is not None
        path = self.work / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        return path

    def console(self, block: Block) -> None:
        """Run the commands of a block, and compare what they print with what is shown."""
        for command in commands_of(block):
            if "terminal" in block.words or command.text.split("#")[0].rstrip().endswith("&"):
                self._go_on(block, command.text.split("#")[0].rstrip(" &"), command.output)
                continue
            self._run(block, command.text, command.output or None)

    def script(self, block: Block) -> None:
        """Run a block of shell script."""
        self._run(block, block.text, None)

    def sql(self, block: Block, shown: Sequence[str] | None) -> None:
        """Run a block of SQL through psql, up to its first error."""
        script = self.folder / "block.sql"
        script.write_text(block.text)
        options = f"-X -q -v ON_ERROR_STOP=1 -f {script}"
        own = f'psql {options} "$HOWDAH_DSN"'
        self._run(block, f'if [ -n "$HOWDAH_DSN" ]; then {own}; else howdah psql {options}; fi', shown)

    def python(self, block: Block, shown: Sequence[str] | None) -> None:
        """Run a block in the page's Python session."""
        if self._python is None:
            self._python = self._start(
                f"exec {sys.executable} {_HERE / 'interpreter.py'}", stdin=subprocess.PIPE
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(json.dumps({"source": block.text, "place": block.place}) + "\n")
        self._python.stdin.flush()
        answer = _answer_within(self._python, self._python.stdout)
        if answer["error"]:
            raise PageFailed(f"{block.place}\n{answer['said']}{answer['error']}\n{self.logs()}")
        expected = shown if shown is not None else shown_beside(block.text) or None
        self._compare(block, block.text, expected, answer["said"])

    # ── Processes ──

    def _run(self, block: Block, command: str, shown: Sequence[str] | None) -> None:
        process = self._start(f"{command}\n__status=$?\n{_save(self._state)}\nexit $__status")
        try:
            said, _ = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise PageFailed(f"{block.place}: {command!r} does not end\n{self.logs()}") from None
        refused = shown is not None and shows_an_error(shown)
        if (process.returncode != 0) is not refused:
            raise PageFailed(f"{block.place}: {command!r}: exit {process.returncode}\n{said}\n{self.logs()}")
        self._compare(block, command, shown, said)

    def _go_on(self, block: Block, command: str, shown: Sequence[str]) -> None:
        process = self._start(f"exec {command}")
        terminal = Terminal(process, [], threading.Condition())
        terminal.reader = threading.Thread(target=terminal.read, daemon=True)
        terminal.reader.start()
        self._terminals.append(terminal)
        if not terminal.wait_for([line for line in shown if line != "^C"]):
            raise PageFailed(f"{block.place}: {command!r} did not say what is shown\n{''.join(terminal.log)}")
        if "^C" in shown:
            self._ended(terminal)

    def _start(self, script: str, stdin: int | IO[str] = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", f". {self._prelude}\n. {self._state}\n{script}"],
            cwd=self.work,
            env=self._environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _compare(self, block: Block, what: str, shown: Sequence[str] | None, said: str) -> None:
        if shown is not None and not agrees(shown, said):
            expected = "\n".join(shown)
            raise PageFailed(
                f"{block.place}: {what!r}\n--- the page shows\n{expected}\n--- it says\n{said}\n{self.logs()}"
            )

    # ── The end ──

    def logs(self) -> str:
        """Return what the other terminals have said, for messages."""
        return "\n".join(f"--- {one.process.args!r:.60}\n{''.join(one.log)}" for one in self._terminals)

    def close(self) -> None:
        """Leave every terminal by Ctrl-C: each must end well."""
        if self._python is not None:
            assert self._python.stdin is not None
            assert self._python.stdout is not None
            self._python.stdin.close()
            self._python.wait(20)
            self._python.stdout.close()
        while self._terminals:
            self._ended(self._terminals[-1])

    def _ended(self, terminal: Terminal) -> None:
        self._terminals.remove(terminal)
        code = terminal.end()
        if code not in (0, 130, -signal.SIGINT):
            raise PageFailed(f"{terminal.process.args!r} ended with {code}\n{''.join(terminal.log)}")


def environment(**variables: str) -> dict[str, str]:
    """Return a new user's environment, with Howdah and PostgreSQL's programs on the path."""
    from howdah.embedded import binaries

    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}
    path = f"{Path(sys.executable).parent}:{binaries(18)}:/usr/local/bin:/usr/bin:/bin"
    return {
        **kept,
        "PATH": path,
        "PYTHONWARNINGS": "error::SyntaxWarning",
        "PGCONNECT_TIMEOUT": "10",
        **variables,
    }


def _prelude() -> str:
    stand_in = f"{sys.executable} {_HERE / 'stand_ins.py'}"
    functions = [f'{name}() {{ {stand_in} {name} "$@"; }}' for name in _STAND_INS]
    # A virtual environment is made for real, without pip, which takes seconds and is not used.
    venv = (
        'python3() { if [ "$1 $2" = "-m venv" ]; then shift 2; command python3 -m venv --without-pip "$@"; '
    )
    return "\n".join([*functions, venv + 'else command python3 "$@"; fi; }', ""])


def _save(state: Path) -> str:
    return f'{{ export -p; printf "cd %q\\n" "$PWD"; }} > {state}'


def _answer_within(process: subprocess.Popen[str], stream: IO[str]) -> dict[str, Any]:
    """Read a session's answer; lines without its mark are warnings."""
    timer = threading.Timer(_SECONDS, process.kill)
    timer.start()
    said = ""
    try:
        for line in stream:
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
            said += line
    finally:
        timer.cancel()
    return {"said": said, "error": "the session ended"}


def mentions(text: str, name: str) -> bool:
    """Tell whether a text names a file or its module."""
    stem = Path(name).stem
    module = re.escape(str(Path(name).with_suffix("")).replace("/", "."))
    return re.search(rf"(?<!\w)({re.escape(name)}|{module}|{re.escape(stem)})(?!\w)", text) is not None
