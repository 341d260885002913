"""``ebpm lock``, ``sync``, ``outdated`` and ``upgrade``: the tools of a folder, by version."""

from __future__ import annotations

from typing import Any

import click

from ebpm import lockfile, project
from ebpm.cli.view import ProgressBar, show_json, show_table
from ebpm.cli.workspace import open_workspace
from ebpm.oci.reference import Reference
from ebpm.output.escape import escape

_PLAIN = click.option("--plain-http", is_flag=True, help="Speak plain http to the registries.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def _hosts(wanted: project.Project, plain_http: bool) -> list[str]:
    found = (Reference.parse(one.source).registry for one in wanted.tools.values())
    return [one for one in found if one and plain_http]


@click.command()
@_PLAIN
@_JSON
def lock(plain_http: bool, as_json: bool) -> None:
    """Pin the tools of ebpm.toml to digests, in ebpm.lock.

    What is pinned already and still wanted stays; `ebpm upgrade` looks for newer versions.
    """
    wanted = project.read_project()
    workspace = open_workspace(_hosts(wanted, plain_http))
    old = lockfile.read(lockfile.NAME)
    _write(old, project.lock(workspace, wanted, old), as_json)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@_PLAIN
@_JSON
def upgrade(names: tuple[str, ...], plain_http: bool, as_json: bool) -> None:
    """Pin tools of ebpm.toml to the newest versions that it allows: these, or all."""
    wanted = project.read_project()
    workspace = open_workspace(_hosts(wanted, plain_http))
    old = lockfile.read(lockfile.NAME)
    _write(old, project.lock(workspace, wanted, old, upgrade=names or None), as_json)


def _write(old: dict[str, Any] | None, new: dict[str, Any], as_json: bool) -> None:
    project.write_lock(new)
    before = old["tools"] if old else {}
    if as_json:
        rows = [
            {
                "name": name,
                "tag": one["tag"],
                "reference": one["reference"],
                "changed": one != before.get(name),
            }
            for name, one in new["tools"].items()
        ]
        show_json("lock", tools=rows, removed=sorted(before.keys() - new["tools"].keys()))
        return
    changes = 0
    for name, one in new["tools"].items():
        was = before.get(name)
        if one != was:
            changes += 1
            tags = one["tag"] if was is None else f"{was['tag']} -> {one['tag']}"
            click.echo(f"{escape(name)} {escape(tags)}  {one['reference']}")
    for name in sorted(before.keys() - new["tools"].keys()):
        changes += 1
        click.echo(f"{escape(name)} removed")
    if not changes:
        click.echo(f"{lockfile.NAME} is up to date")


@click.command()
@click.option(
    "--frozen", is_flag=True, help="Do not change ebpm.lock: that it is not up to date is an error."
)
@_PLAIN
@_JSON
def sync(frozen: bool, plain_http: bool, as_json: bool) -> None:
    """Put the tools of ebpm.lock into the store, after bringing it up to date."""
    wanted = project.read_project()
    progress = ProgressBar("pulling")
    workspace = open_workspace(_hosts(wanted, plain_http), progress=progress)
    locked = lockfile.read(lockfile.NAME)
    if frozen:
        locked = project.check_fresh(wanted, locked)
    else:
        locked = project.lock(workspace, wanted, locked)
        project.write_lock(locked)
    try:
        states = project.sync(workspace, locked)
    finally:
        progress.close()
    if as_json:
        rows = [{"name": name, "state": state} for name, state in states.items()]
        show_json("sync", tools=rows)
        return
    for name, state in states.items():
        click.echo(f"{state} {escape(name)} {escape(locked['tools'][name]['tag'])}")


@click.command()
@_PLAIN
@_JSON
def outdated(plain_http: bool, as_json: bool) -> None:
    """List the tools of ebpm.lock for which there is something newer.

    ALLOWED is what `ebpm upgrade` would take; NEWEST is outside of the range of ebpm.toml.
    """
    wanted = project.read_project()
    workspace = open_workspace(_hosts(wanted, plain_http))
    locked = project.check_fresh(wanted, lockfile.read(lockfile.NAME))
    news = project.outdated(workspace, wanted, locked)
    if as_json:
        rows = [
            {
                "name": one.name,
                "locked": one.locked,
                "allowed": one.allowed,
                "newest": one.newest,
                "moved": one.moved,
            }
            for one in news
        ]
        show_json("outdated", tools=rows)
    elif news:
        show_table(
            ["NAME", "LOCKED", "ALLOWED", "NEWEST"],
            [
                [
                    one.name,
                    one.locked,
                    f"{one.allowed}{' (moved)' if one.moved else ''}",
                    one.newest,
                ]
                for one in news
            ],
        )
    else:
        click.echo("all tools are of the newest version")
