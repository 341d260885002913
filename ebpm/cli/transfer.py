"""``ebpm push`` and ``ebpm pull``."""

from __future__ import annotations

import click

from ebpm.api import Workspace
from ebpm.cli.view import ProgressBar, show_json
from ebpm.cli.workspace import open_workspace
from ebpm.errors import InvalidReference
from ebpm.oci.platform import Platform
from ebpm.target import LAYOUT, NAME, REMOTE, Target, parse_target


def workspace_for(target: Target, what: str, plain_http: bool) -> tuple[Workspace, ProgressBar]:
    """Open the workspace of a transfer, with its progress and the user's word on plain http."""
    progress = ProgressBar(what)
    hosts = [target.host] if plain_http and target.host else []
    return open_workspace(hosts, progress=progress), progress


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[SOURCE] REF")
@click.option("--platform", metavar="PLATFORM", help="Of a package that does not say its own.")
@click.option("--plain-http", is_flag=True, help="Speak plain http to the registry.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def push(words: tuple[str, ...], platform: str | None, plain_http: bool, as_json: bool) -> None:
    """Send a package to a registry.

    REF is HOST/NAME[:TAG] in a registry, or oci:DIR[:TAG], a layout folder, or
    oci:FILE.tar[:TAG], one in a tar. SOURCE is any TARGET;
    without it, what the store has under REF is sent.
    """
    if len(words) > 2:
        raise click.UsageError("push takes [SOURCE] REF")
    target = parse_target(words[-1])
    if target.kind not in (REMOTE, LAYOUT):
        raise InvalidReference(
            f"{words[-1]!r} names no registry and no layout folder",
            hint="write HOST/NAME[:TAG] or oci:DIR[:TAG]; `ebpm tag` names what is in the store",
        )
    source = parse_target(words[0]) if len(words) == 2 else None
    if source is None and target.kind == LAYOUT:
        raise click.UsageError("which package? ebpm push SOURCE oci:DIR[:TAG]")
    workspace, progress = workspace_for(target, "pushing", plain_http)
    try:
        chosen = Platform.parse(platform) if platform else None
        root = workspace.push(source, target, platform=chosen)
    finally:
        progress.close()
    if as_json:
        show_json("push", reference=target.text, digest=str(root.digest), size=root.size)
    else:
        click.echo(f"pushed {target.text}@{root.digest}")


@click.command()
@click.argument("reference", metavar="REF")
@click.option("-t", "--tag", metavar="NAME", help="Name it so in the store.")
@click.option("--plain-http", is_flag=True, help="Speak plain http to the registry.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def pull(reference: str, tag: str | None, plain_http: bool, as_json: bool) -> None:
    """Fetch a package into the store.

    REF is HOST/NAME[:TAG|@DIGEST] in a registry, or oci:DIR[:TAG], a layout folder, or
    oci:FILE.tar[:TAG], one in a tar.
    """
    target = parse_target(reference)
    if target.kind == NAME:
        target = _from_index(target)
    if target.kind not in (REMOTE, LAYOUT):
        raise InvalidReference(
            f"{reference!r} names no registry and no layout folder",
            hint="write HOST/NAME[:TAG], or oci:DIR[:TAG]; no registry is assumed",
        )
    workspace, progress = workspace_for(target, "pulling", plain_http)
    try:
        name, root = workspace.pull(target, tag)
    finally:
        progress.close()
    if as_json:
        show_json("pull", reference=name, digest=str(root.digest), size=root.size)
    else:
        click.echo(f"pulled {name}@{root.digest}")


def _from_index(target: Target) -> Target:
    """Take a short name to where an index has it; to the first index, if none was fetched."""
    workspace = open_workspace()
    if found := workspace.indexed(target):
        return found
    indexes = workspace.config.indexes
    return parse_target(f"{indexes[0].rstrip('/')}/{target.full_name}") if indexes else target
