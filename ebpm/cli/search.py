"""``ebpm search`` and ``ebpm info``: which tools there are, and what one does before it runs."""

from __future__ import annotations

import os
from typing import Any

import click

from ebpm.api import Workspace, host_platform
from ebpm.cli.view import show_json, show_table
from ebpm.cli.workspace import open_workspace
from ebpm.errors import FeatureMissing, UsageError
from ebpm.index.entry import IndexEntry
from ebpm.index.resolve import Found, nearest
from ebpm.index.resolve import search as find
from ebpm.output.escape import escape
from ebpm.package import artifact
from ebpm.package.capabilities import Capabilities, capabilities_of
from ebpm.package.kernels import Version
from ebpm.package.model import Package
from ebpm.package.summary import lines, some, to_json, version_text
from ebpm.target import LAYOUT, NAME, REMOTE, Target, parse_target

_LIMIT = 20


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@click.option("-n", "--limit", default=_LIMIT, show_default=True, help="Show so many; 0 shows all.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def search(context: click.Context, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find tools in the indexes.

    All WORDS must be found, in a name, summary, keyword, group or hook; typing errors are forgiven.
    """
    indexes = open_workspace().indexes()
    found = find(indexes, words)
    shown = found[: limit or None]
    if as_json:
        show_json("search", tools=[row(one) for one in shown], found=len(found))
        return
    if not found:
        near = nearest(indexes, words[0])
        more = f"; did you mean {' or '.join(near)}?" if near else ""
        click.echo(f"no tool has {escape(' '.join(words))}{more}", err=True)
        context.exit(3)
    show_table(["NAME", "SUMMARY"], [[one.name, one.summary] for one in shown])
    if len(shown) < len(found):
        click.echo(f"and {len(found) - len(shown)} more: --limit 0 shows all", err=True)


def show_available(as_json: bool) -> None:
    """Show all tools of all indexes, by group."""
    found = find(open_workspace().indexes(), [])
    if as_json:
        show_json("available", tools=[row(one) for one in found])
        return
    if not found:
        click.echo("no index is here: configure one and run `ebpm index update`", err=True)
        return
    entries = [one.entry() for one in found]
    entries.sort(key=lambda one: (one.groups[:1], one.name))
    cells = [[one.name, one.version or "-", ", ".join(one.groups), one.summary] for one in entries]
    show_table(["NAME", "VERSION", "GROUPS", "SUMMARY"], cells)


def row(found: Found) -> dict[str, Any]:
    """Write a tool that was found as JSON."""
    entry = found.entry()
    return {
        "name": entry.name,
        "summary": entry.summary,
        "version": entry.version or None,
        "groups": list(entry.groups),
        "keywords": list(entry.keywords),
        "kernel": entry.kernel or None,
        "digest": str(entry.digest),
        "reference": found.where.reference(entry) if found.where.base else None,
        "index": found.where.base or None,
        "score": found.score,
    }


@click.command()
@click.argument("target")
@click.option("--kernel", metavar="VERSION", help="Fail (status 9) if it needs a later kernel.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def info(target: str, kernel: str | None, as_json: bool) -> None:
    """Say what a tool does, before it runs.

    What it attaches to, reads, writes and needs is read off the object itself.
    """
    limit = _version(kernel) if kernel else None
    workspace = open_workspace()
    parsed = parse_target(target)
    if parsed.kind in (LAYOUT, REMOTE, NAME):
        source, root = workspace.locate(parsed)
        package = artifact.unpack(source, root, [host_platform()])
        digest: str | None = str(root.digest)
    else:
        package, digest = workspace.read(parsed), None
    one = package.object_for(host_platform())
    capabilities = capabilities_of(one.data)
    entry = _entry(workspace, parsed, digest)
    if as_json:
        show_json("info", **_document(package, capabilities, entry, digest))
    else:
        _show(package, capabilities, entry)
    if limit is not None:
        _check(package, capabilities, limit)


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise UsageError(f"{text!r} is no version of a kernel", hint="write it as 5.10")
    return int(major), int(minor)


def _check(package: Package, capabilities: Capabilities, limit: Version) -> None:
    later = [one for one in capabilities.needs if one.since > limit]
    if later:
        words = some(f"{one.what} ({version_text(one.since)})" for one in later)
        raise FeatureMissing(
            f"{package.name} does not run on kernel {version_text(limit)}: it needs {words}"
        )


def _entry(workspace: Workspace, target: Target, digest: str | None) -> IndexEntry | None:
    """Find what an index says of exactly this package."""
    if target.kind not in (NAME, REMOTE):
        return None
    name = target.full_name.rpartition("/")[2].partition("@")[0].partition(":")[0]
    entries = (one.index.find(name) for one in workspace.indexes())
    return next((one for one in entries if one and str(one.digest) == digest), None)


def _document(
    package: Package, capabilities: Capabilities, entry: IndexEntry | None, digest: str | None
) -> dict[str, Any]:
    since = capabilities.since
    return {
        "name": package.name,
        "version": package.version,
        "summary": entry.summary if entry else package.documentation.brief,
        "groups": list(entry.groups) if entry else [],
        "license": entry.license if entry else package.license,
        "source": (entry.source if entry else None) or None,
        "digest": digest,
        "kernel": (entry.kernel if entry else None) or (version_text(since) if since else None),
        "kernelOptions": list(entry.options) if entry else [],
        "mapBytes": capabilities.memory(_cpus()),
        "capabilities": to_json(capabilities),
    }


def _cpus() -> int:
    return os.cpu_count() or 1


def _show(package: Package, capabilities: Capabilities, entry: IndexEntry | None) -> None:
    doc = package.documentation
    summary = entry.summary if entry else doc.brief or doc.description or ""
    version = f" {package.version}" if package.version else ""
    click.echo(
        escape(f"{package.name}{version}: {summary}" if summary else f"{package.name}{version}")
    )
    for line in lines(capabilities, _cpus()):
        click.echo(f"  {escape(line)}")
    if entry is None:
        return
    if entry.options:
        click.echo(f"  needs a kernel with {', '.join(entry.options)}")
    click.echo(f"  {', '.join(entry.groups)}; {entry.license}")
    if entry.source:
        click.echo(f"  {escape(entry.source)}")
