"""``ebpm doctor``: what this machine has of all that tools may need, each lack with its remedy."""

from __future__ import annotations

from typing import Any

import click

from ebpm.build.toolchain import find_compiler
from ebpm.check.machine import LIMITED, MISSING, OK, UNKNOWN, Finding, examine
from ebpm.cli.view import Show, show_json, with_format
from ebpm.cli.workspace import open_workspace
from ebpm.config import Config
from ebpm.errors import EbpmError, FeatureMissing
from ebpm.oci.reference import is_host
from ebpm.output.escape import escape

_MARKS = {OK: ("ok", "green"), LIMITED: ("-", "yellow"), MISSING: ("!!", "red"), UNKNOWN: ("?", "")}


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Tell what this machine lacks, and what to do about it.

    Nothing is loaded or changed. The exit status is 9 if something is missing that every tool
    needs.
    """
    if context.invoked_subcommand is not None:
        return
    config = Config()
    findings = [*examine(config.libbpf), _rows(config), _compiler(config)]
    if as_json:
        show_json("doctor", ok=not _missing(findings), parts=[_document(one) for one in findings])
    else:
        for one in findings:
            _show(one)
    if _missing(findings):
        context.exit(FeatureMissing.status)


def _rows(config: Config) -> Finding:
    from ebpm.output.busy import available

    if config.pure:
        found = "written by Python: EBPM_PURE is set"
    elif available():
        found = "a busy tool's are written by C"
    else:
        found = "written by Python: there is no rows.so, which comes with the wheels of a platform"
    return Finding(part="rows", state=OK, found=found)


def _compiler(config: Config) -> Finding:
    try:
        found = find_compiler(config.clang)
    except EbpmError as error:
        return Finding(part="compiler", state=LIMITED, found=error.message, remedy=error.hint)
    return Finding(part="compiler", state=OK, found=found.version)


def _missing(findings: list[Finding]) -> bool:
    return any(one.state == MISSING for one in findings)


def _document(one: Finding) -> dict[str, Any]:
    return {"part": one.part, "state": one.state, "found": one.found, "remedy": one.remedy}


def _show(one: Finding) -> None:
    mark, colour = _MARKS[one.state]
    shown = click.style(f"{mark:<3}", fg=colour or None)
    click.echo(f"{shown}{one.part:<14} {escape(one.found)}")
    if one.remedy and one.state != OK:
        click.echo(f"{'':<18}{escape(one.remedy)}")


@doctor.command()
@click.argument("host", metavar="HOST[/NAME]")
@click.option("--write", is_flag=True, help="Put something small into NAME and NAME-mount, too.")
@click.option("--plain-http", is_flag=True, help="Speak plain http to the registry.")
@with_format
def registry(host: str, write: bool, plain_http: bool, show: Show) -> None:
    """Try what a registry can do.

    With NAME, a repository, lists and referrers are tried as well; with --write, uploads, mounts
    and deletion. What is written is deleted again where the registry allows that.
    """
    from ebpm.registry import probe

    host, _, path = host.partition("/")
    if not is_host(host):
        raise click.UsageError(f"{host!r} is no registry: write its host[:port]")
    name = probe.repository_name(host, path)
    if write and name is None:
        raise click.UsageError("--write needs a repository: HOST/NAME")
    client = open_workspace([host] if plain_http else []).client()
    found = list(probe.examine(client, host.lower(), name, write=write))
    lines = [f"{one.state:<9}{one.part:<18}{escape(one.found)}" for one in found]
    show(
        "registry",
        "\n".join(lines),
        registry=host.lower(),
        repository=name,
        parts=[{"part": one.part, "state": one.state, "found": one.found} for one in found],
    )
