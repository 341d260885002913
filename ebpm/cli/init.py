"""``ebpm init``: a folder to begin a tool with."""

from __future__ import annotations

from pathlib import Path

import click

from ebpm import __version__, scaffold
from ebpm.cli.view import show_json


@click.command()
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice(list(scaffold.TEMPLATES)),
    default="ringbuf",
    show_default=True,
    help="; ".join(f"{name}: {words}" for name, words in scaffold.TEMPLATES.items()) + ".",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Make it there.  [default: NAME]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def init(name: str, template: str, folder: Path | None, as_json: bool) -> None:
    """Make a folder to begin a tool with.

    It builds, runs and passes its test as it is, and has a workflow that publishes it.
    """
    place = folder or Path(name)
    files = scaffold.create(place, name, template, __version__)
    if as_json:
        show_json("init", folder=str(place), files=[str(one) for one in files])
        return
    for one in files:
        click.echo(f"wrote {place / one}")
    click.echo(f"next: cd {place} && ebpm build . -t {name} && sudo ebpm run {name}", err=True)
