"""Checks of the blocks that cannot run here: configuration of programs that live elsewhere."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import click
import psycopg
import yaml

from howdah.cli.group import main
from howdah.settings import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.docs.blocks import Block

_PGBOUNCER = {
    "auth_file", "auth_type", "ignore_startup_parameters", "listen_addr", "listen_port", "max_client_conn",
    "default_pool_size", "max_prepared_statements", "pool_mode",
}  # fmt: skip
_METRIC_USAGE = {"GAUGE", "COUNTER", "LABEL", "DISCARD"}


def json_block(block: Block, folder: Path, dsn: str) -> None:
    """Check that it is JSON."""
    json.loads(block.text)


def toml_block(block: Block, folder: Path, dsn: str) -> None:
    """Check that it is TOML, and that Howdah's settings in it are settings."""
    document = tomllib.loads(block.text)
    if block.title == "howdah.toml":
        place = folder / "settings"
        place.mkdir(exist_ok=True)
        (place / "howdah.toml").write_text(block.text)
        assert load_settings(place, {}) != Settings(), block.place
    else:
        Settings().given(**document.get("tool", {}).get("howdah", {}))


def ini_block(block: Block, folder: Path, dsn: str) -> None:
    """Check a systemd unit, PgBouncer's configuration, or pytest's."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keys keep their case
    parser.read_string(block.text)
    if parser.has_section("pytest"):
        assert parser["pytest"]["asyncio_mode"] == "auto", block.place
    elif parser.has_section("pgbouncer"):
        assert set(parser["pgbouncer"]) <= _PGBOUNCER, block.place
        assert all("dbname=" in value for value in parser["databases"].values()), block.place
    else:
        _unit(block, parser, folder)


def _unit(block: Block, parser: configparser.ConfigParser, folder: Path) -> None:
    assert block.title is not None, f"{block.place}: which unit is it?"
    if parser.has_option("Service", "ExecStart"):
        check_command(shlex.split(parser["Service"]["ExecStart"])[1:], block.place)
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    # The machine that reads this has neither the account nor the folders: those two lines are not verified.
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", block.text, flags=re.MULTILINE)
    text = re.sub(r"^(User|Group)=.*$", "", text, flags=re.MULTILINE)
    unit = folder / block.title.replace("@.", "@one.")
    unit.write_text(text)
    done = subprocess.run([program, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not complaints, f"{block.place}: {complaints}"


def yaml_block(block: Block, folder: Path, dsn: str) -> None:
    """Check Kubernetes resources, Prometheus rules, or queries of postgres_exporter, which are run."""
    for document in yaml.safe_load_all(block.text):
        match document:
            case {"apiVersion": str(), "kind": str(kind), "metadata": {"name": str()}}:
                _resource(document, kind, block.place)
            case {"groups": groups}:
                _rules(groups, block.place)
            case dict() if all("query" in entry for entry in document.values()):
                exporter_queries(document, dsn)
            case _:
                raise AssertionError(f"{block.place}: what is this YAML?")


def _resource(document: dict[str, Any], kind: str, place: str) -> None:
    if kind == "Secret":
        assert document["stringData"], place
        return
    template = (
        document["spec"]["jobTemplate"]["spec"]["template"]
        if kind == "CronJob"
        else document["spec"]["template"]
    )
    if kind == "Deployment":
        assert document["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"], place
    else:
        assert template["spec"]["restartPolicy"] in ("Never", "OnFailure"), place
    for container in template["spec"]["containers"]:
        if container["command"][0] == "howdah":
            check_command(container["command"][1:], place)


def _rules(groups: list[dict[str, Any]], place: str) -> None:
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules, place
    for rule in rules:
        assert {"alert", "expr", "annotations"} <= set(rule), place
        assert re.findall(r"howdah_\w+", rule["expr"]), f"{place}: {rule['expr']}"


def exporter_queries(document: dict[str, Any], dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """Run each query as `howdah_monitor`; its columns must be the metrics that are declared."""
    found = {}
    with psycopg.connect(dsn) as connection:
        connection.execute("set role howdah_monitor")
        for name, entry in document.items():
            cursor = connection.execute(entry["query"].encode())
            declared = {key: value["usage"] for metric in entry["metrics"] for key, value in metric.items()}
            assert {column.name for column in cursor.description or ()} == set(declared), name
            assert set(declared.values()) <= _METRIC_USAGE, name
            found[name] = cursor.fetchall()
    return found


def check_command(arguments: list[str], place: str) -> None:
    """Check that `howdah` takes these arguments, without running it."""
    name, *rest = arguments
    try:
        with click.Context(main, info_name="howdah") as context:
            command = main.get_command(context, name)
            assert command is not None, f"{place}: there is no command {name}"
            command.make_context(name, rest, parent=context)
    except click.ClickException as error:
        raise AssertionError(f"{place}: howdah {' '.join(arguments)}: {error.format_message()}") from error


CHECKS = {"json": json_block, "toml": toml_block, "ini": ini_block, "yaml": yaml_block}
