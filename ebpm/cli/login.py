"""``ebpm login`` and ``ebpm logout``."""

from __future__ import annotations

import sys

import click

from ebpm.cli.workspace import open_workspace
from ebpm.oci.reference import is_host
from ebpm.registry.credentials import Credential


@click.command()
@click.argument("registry")
@click.option("-u", "--username", help="Ask for it if not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--plain-http", is_flag=True, help="Speak plain http to the registry.")
def login(registry: str, username: str | None, password_stdin: bool, plain_http: bool) -> None:
    """Log in to a registry.

    REGISTRY is its host[:port]. The login is tried before it is kept.
    """
    _check(registry)
    username = username or click.prompt("Username", err=True)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    workspace = open_workspace([registry] if plain_http else [])
    credential = Credential(str(username), str(password))
    place = workspace.client().login(registry, credential)
    click.echo(f"logged in to {registry}; kept in {place}")


@click.command()
@click.argument("registry")
def logout(registry: str) -> None:
    """Forget the login of a registry."""
    _check(registry)
    known = open_workspace().client().logout(registry)
    click.echo(f"logged out of {registry}" if known else f"there was no login for {registry}")


def _check(registry: str) -> None:
    if "/" in registry or not is_host(registry):
        raise click.UsageError(f"{registry!r} is no registry: write its host[:port]")
