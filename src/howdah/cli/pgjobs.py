"""The commands of pgjobs under their old names: `jobs-migrate DSN` and `jobs-worker DSN`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from howdah.cli.errors import one_line
from howdah.cli.options import example


class _OneLine(click.Command):
    """Tells errors in one line."""

    def make_context(self, *arguments: object, **extra: object) -> click.Context:
        """Read the options."""
        with one_line():
            return super().make_context(*arguments, **extra)  # type: ignore[arg-type]  # handed on as they came

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        with one_line():
            return super().invoke(ctx)


@click.command("jobs-migrate", cls=_OneLine, epilog=example("jobs-migrate postgresql://localhost/shop"))
@click.argument("dsn")
def migrate(dsn: str) -> None:
    """Create or upgrade the schemas; the same as `howdah migrate DSN`."""
    from howdah.cli.schema import apply

    apply(dsn)


@click.command("jobs-worker", cls=_OneLine, epilog=example("jobs-worker postgresql://localhost/shop"))
@click.argument("dsn")
@click.option("--burst", is_flag=True, help="End when there is nothing more to do.")
def worker(dsn: str, burst: bool) -> None:
    """Run functions of the packages in the current folder, as jobs name them: yourpackage.file.method.

    Nothing else is run: a job that names any other function is put aside, and `howdah why` says so.
    """
    from howdah.cli.worker import run_worker
    from howdah.worker.log import logger, set_up_logging

    set_up_logging()
    packages = packages_in(Path.cwd())
    logger.info("runs the functions of %s, found in %s", ", ".join(packages) or "no package", Path.cwd())
    sys.exit(run_worker(dsn=dsn, allow=packages, burst=burst))


def packages_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the packages and modules in a folder, as an import from there finds them."""
    modules = {path.stem for path in folder.glob("*.py")}
    packages = {path.parent.name for path in folder.glob("*/*.py")}
    names = {name for name in modules | packages if name.isidentifier() and not name.startswith("_")}
    return tuple(sorted(name for name in names - sys.stdlib_module_names if name != "setup"))
