"""``ebpm index``: catalogues of one's own, and those of others."""

from __future__ import annotations

from pathlib import Path

import click

from ebpm import catalogue
from ebpm.api import Workspace
from ebpm.cli.transfer import workspace_for
from ebpm.cli.view import show_json
from ebpm.config import Config
from ebpm.errors import InvalidConfig
from ebpm.site import TITLE, write_site
from ebpm.target import REMOTE, Target


@click.group()
def index() -> None:
    """Build, publish and fetch indexes of tools.

    An index lists the tools below a place in a registry, which the setting `indexes` names.
    """


@index.command()
@click.option("--plain-http", is_flag=True, help="Speak plain http to the registries.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def update(plain_http: bool, as_json: bool) -> None:
    """Fetch the configured indexes anew."""
    config = Config()
    if not config.indexes:
        raise InvalidConfig(
            "no indexes are configured",
            hint=f"name them in {config.config_file}: indexes: [ghcr.io/acme/tools]",
        )
    if plain_http:
        config.plain_http += [one.partition("/")[0] for one in config.indexes]
    rows = []
    for name, found in catalogue.update(Workspace(config)):
        many = sum(1 for _ in found.entries())
        rows.append({"reference": name, "tools": many})
        if not as_json:
            click.echo(f"{name}: {many} tools")
    if as_json:
        show_json("index-update", indexes=rows)


@index.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("-o", "--output", required=True, metavar="LAYOUT", help="OCI layout folder to fill.")
@click.option("--arch", metavar="LIST", default="amd64,arm64", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def build(folder: Path, output: str, arch: str, as_json: bool) -> None:
    """Build the tools in FOLDER, one folder each, into an OCI layout with their index."""
    entries = catalogue.build(folder, output, Workspace(), arch.split(","))
    if as_json:
        tools = [
            {"name": one.name, "version": one.version, "digest": str(one.digest)} for one in entries
        ]
        show_json("index-build", layout=output, tools=tools)
        return
    for one in entries:
        click.echo(f"{one.name} {one.version} {one.digest}")
    click.echo(f"built {len(entries)} tools into oci:{output}")


@index.command()
@click.argument("layout")
@click.argument("base")
@click.option("--plain-http", is_flag=True, help="Speak plain http to the registry.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def push(layout: str, base: str, plain_http: bool, as_json: bool) -> None:
    """Send a LAYOUT of `ebpm index build` to a registry.

    Its tools go to BASE/NAME:VERSION and BASE/NAME:latest, then the index to BASE/index:latest.
    """
    workspace, progress = workspace_for(Target(REMOTE, base), "pushing", plain_http)
    rows = []
    try:
        for reference, root in catalogue.push(layout, base, workspace):
            rows.append({"reference": reference, "digest": str(root.digest)})
            if not as_json:
                click.echo(f"pushed {reference}@{root.digest}")
    finally:
        progress.close()
    if as_json:
        show_json("index-push", pushed=rows)


@index.command()
@click.argument("layout")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--title", default=TITLE, show_default=True, help="Of the site.")
@click.option(
    "--base", default="", metavar="BASE", help="Where the tools lie, for those who run them there."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def site(layout: str, folder: Path, title: str, base: str, as_json: bool) -> None:
    """Make static pages of a LAYOUT of `ebpm index build`, in FOLDER.

    Beside a tool's page lies its package.json, so that `ebpm run https://HOST/NAME/package.json`
    runs it. Needs pip install 'ebpm[site]'.
    """
    _, found = catalogue.open_index(layout)
    many = write_site(
        found,
        folder,
        title=title,
        base=base,
        package=lambda entry: catalogue.composed(layout, entry),
    )
    if as_json:
        show_json("index-site", folder=str(folder), tools=many)
    else:
        click.echo(f"wrote the pages of {many} tools to {folder}")
