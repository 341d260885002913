"""``ebpm list``, ``inspect``, ``tag`` and ``remove``: what the store holds."""

from __future__ import annotations

from typing import Any

import click

from ebpm import __version__
from ebpm.api import Workspace, host_platform
from ebpm.cache.layout import Layout
from ebpm.cli.view import show_json, show_table, size_text
from ebpm.cli.workspace import open_workspace
from ebpm.errors import EbpmError, UsageError
from ebpm.index.document import ARTIFACT_TYPE as INDEX_TYPE
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import Index, Manifest
from ebpm.oci.store import fetch_manifest
from ebpm.output.escape import escape
from ebpm.package import artifact
from ebpm.package.editable import write_editable
from ebpm.package.meta import write_meta
from ebpm.package.model import Package
from ebpm.package.sbom import write_spdx
from ebpm.sources import TYPES
from ebpm.target import LAYOUT, NAME, REMOTE, parse_target


@click.command(name="list")
@click.option("--available", is_flag=True, help="List what the indexes have instead.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_packages(available: bool, as_json: bool) -> None:
    """List the packages in the store."""
    if available:
        from ebpm.cli.search import show_available

        show_available(as_json)
        return
    rows = [
        row
        for store in Workspace().stores()
        for entry in store.entries()
        if entry.ref_name and (row := _row(store, entry))
    ]
    rows.sort(key=lambda row: str(row["reference"]))
    if as_json:
        show_json("list", packages=rows)
        return
    if not rows:
        click.echo("the store is empty: `ebpm build -t NAME SOURCE` or `ebpm pull REF` fills it")
        return
    headers = ["REFERENCE", "VERSION", "DIGEST", "SIZE", "PLATFORMS", "DESCRIPTION"]
    show_table(headers, [_cells(row) for row in rows])


def _row(store: Layout, entry: Descriptor) -> dict[str, Any] | None:
    """Describe a package of the store; None for an index of tools, which is no package."""
    row: dict[str, Any] = {"reference": entry.ref_name, "digest": str(entry.digest)}
    try:
        found = fetch_manifest(store, entry)
        if isinstance(found, Manifest) and found.kind == INDEX_TYPE:
            return None
        parts = [*found.manifests] if isinstance(found, Index) else [entry]
        # Out of a bundle for one machine, the objects for others are not here.
        here = [one for one in parts if store.has(one)] or parts
        unique = {str(one.digest): one for one in here}
        sizes = [
            sum(b.size for b in fetch_manifest(store, one).children) for one in unique.values()
        ]
        prefix = "org.opencontainers.image."
        row["version"] = found.annotations.get(f"{prefix}version")
        row["description"] = found.annotations.get(f"{prefix}description")
        row["size"] = sum(sizes)
        names = {str(one.platform): None for one in here if one.platform}
        row["platforms"] = [*names] or [str(one) for one in artifact.platforms(store, entry)]
    except EbpmError as error:
        row["error"] = f"{error.code}: {error.message}"
    return row


def _cells(row: dict[str, Any]) -> list[str]:
    digest = str(row["digest"]).partition(":")[2][:12]
    if "error" in row:
        return [row["reference"], "-", digest, "-", "-", row["error"]]
    platforms = ",".join(one.removeprefix("linux/") for one in row["platforms"])
    text = row["description"] or ""
    version = row["version"] or "-"
    return [row["reference"], version, digest, size_text(row["size"]), platforms, text]


@click.command()
@click.argument("target")
@click.option("--type", "kind", type=click.Choice(TYPES), help="What TARGET holds.")
@click.option("--json", "as_json", is_flag=True, help="Print all metadata as JSON.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["yaml", "json", "spdx"]),
    help="Print package.yaml or package.json, to be edited and run; or a bill of materials, SPDX.",
)
def inspect(target: str, kind: str | None, as_json: bool, form: str | None) -> None:
    """Show what a package is and does.

    Its programs and their hooks, its options, and what it reports.
    """
    parsed = parse_target(target)
    workspace = open_workspace()
    workspace.form = kind
    if form is not None:
        if as_json:
            raise UsageError("--json and --format are two answers to one question")
        package = workspace.fetch(parsed)
        if form == "spdx":
            created = workspace.config.source_date
            click.echo(write_spdx(package, tool=f"ebpm-{__version__}", created=created), nl=False)
            return
        one = package.object_for(host_platform())
        click.echo(write_editable(package, one, form), nl=False)
        return
    if parsed.kind in (LAYOUT, REMOTE, NAME):
        source, root = workspace.locate(parsed)
        packed = artifact.choose(source, root, host_platform())
        package, digest = packed.package, str(root.digest)
        size, object_digest = packed.layer.size, str(packed.layer.digest)
        platforms = [str(one) for one in artifact.platforms(source, root)]
    else:
        package, digest = workspace.read(parsed), None
        one = package.object_for(host_platform())
        size, object_digest = len(one.data), str(one.digest)
        platforms = [str(one.platform)] if one.platform else []
    if as_json:
        show_json(
            "package",
            name=package.name,
            version=package.version,
            license=package.license,
            digest=digest,
            object={"digest": object_digest, "size": size},
            platforms=platforms,
            build=_build(package),
            meta=write_meta(package),
        )
        return
    _show(package, digest, size, platforms)


def _build(package: Package) -> dict[str, Any] | None:
    made = package.build
    if made is None:
        return None
    return {"compiler": made.compiler, "flags": list(made.flags), "inputs": dict(made.inputs)}


def _show(package: Package, digest: str | None, size: int, platforms: list[str]) -> None:
    doc = package.documentation
    facts = [
        ("name", package.name),
        ("version", package.version),
        ("description", doc.brief or doc.description),
        ("license", package.license),
        ("digest", digest),
        ("object", size_text(size)),
        ("platforms", ", ".join(platforms) or None),
        ("compiler", package.build.compiler if package.build else None),
    ]
    for name, value in facts:
        if value:
            click.echo(f"{name + ':':<13}{escape(value)}")
    _section("programs", [[one.name, one.attach] for one in package.programs])
    _section(
        "options",
        [
            [f"--{(one.option and one.option.long) or one.name}", one.type, one.description or ""]
            for one in package.parameters
        ],
    )
    for export in package.exports:
        _section(
            f"reports {export.name}",
            [[one.name, one.type, one.description or ""] for one in export.members],
        )
    _section("types of kernels", [[one.path, size_text(len(one.data))] for one in package.btfs])


def _section(title: str, rows: list[list[str]]) -> None:
    if not rows:
        return
    click.echo(f"\n{escape(title)}:")
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(escape(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"  {line.rstrip()}")


@click.command()
@click.argument("source")
@click.argument("name")
def tag(source: str, name: str) -> None:
    """Give a package in the store a second name.

    For example the one under which it will be pushed.
    """
    click.echo(f"tagged {open_workspace().tag(parse_target(source), name)}")


@click.command()
@click.argument("references", nargs=-1, required=True, metavar="REF...")
def remove(references: tuple[str, ...]) -> None:
    """Remove packages from the store."""
    store = Workspace().store()
    for reference in references:
        name = parse_target(reference).full_name
        store.untag(name)
        click.echo(f"removed {name}")
