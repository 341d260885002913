"""``ebpm convert``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ebpm.api import Workspace, host_platform
from ebpm.cli.report import warn
from ebpm.cli.view import size_text
from ebpm.cli.workspace import open_workspace
from ebpm.errors import PlatformNotFound, UsageError, WasmModule
from ebpm.files import write_whole
from ebpm.oci.platform import Platform
from ebpm.package.files import FORMS, form_of, write_files
from ebpm.package.model import ObjectFile, Package
from ebpm.sources import TYPES
from ebpm.target import LAYOUT, NAME, REMOTE, Target, parse_target

_ARTIFACT = "artifact"
_NAMES = {"json": "package.json", "yaml": "package.yaml"}  # the others are named after the tool


@click.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option(
    "--format",
    "--to",
    "form",
    type=click.Choice([*FORMS, _ARTIFACT]),
    help="Form of OUT.  [default: what its suffix says]",
)
@click.option("--type", "kind", type=click.Choice(TYPES), help="What IN holds, if not as it looks.")
@click.option("--platform", metavar="OS/ARCH", help="Whose object.  [default: this machine's]")
@click.option("--no-cache", is_flag=True, help="Download again what comes from a URL.")
def convert(
    source: str,
    target: str,
    form: str | None,
    kind: str | None,
    platform: str | None,
    no_cache: bool,
) -> None:
    """Write a package in another form.

    IN is a package of any form and generation, or a Wasm module, whose object is taken out. OUT is
    a file whose suffix tells its form (.json, .yaml, .skel.json, .skel.yaml, .o, .tar, .tar.gz), a
    folder, - for standard output, oci:DIR[:TAG], or a name for the store.
    """
    workspace = open_workspace()
    workspace.form, workspace.no_cache = kind, no_cache
    where = Platform.parse(platform) if platform else None
    package = _read(workspace, parse_target(source))
    out = parse_target(target)
    named = out.kind in (LAYOUT, REMOTE, NAME)
    if form == _ARTIFACT or (form is None and named and _plain(target)):
        if not named:
            raise UsageError(f"{target} is no name for an artifact", hint="oci:DIR[:TAG], or NAME")
        if out.kind == REMOTE:
            out = Target(NAME, out.text)  # into the store; `ebpm push` sends it on
        descriptor = workspace.push_package(package, out, platform=where)
        click.echo(f"wrote {target} ({descriptor.digest})")
        return
    one = _object(package, where)
    path = Path(target)
    if path.is_dir() or target.endswith("/"):
        path /= _NAMES.get(form or "json") or f"{package.name}.{form if form != 'o' else 'bpf.o'}"
    form = form or form_of(path.name)
    if form is None:
        raise UsageError(
            f"the name of {target} tells no form", hint=f"say --format {'|'.join(FORMS)}"
        )
    if form == "o":
        warn("an object alone does not carry the package's metadata")
    _write(write_files(package, one, form, path.name), path, standard_output=target == "-")


def _plain(target: str) -> bool:
    """Whether a name promises no form of a file."""
    return target.startswith("oci:") or not (form_of(target) or target.endswith("/"))


def _read(workspace: Workspace, target: Target) -> Package:
    if target.kind in (LAYOUT, REMOTE, NAME):
        from ebpm.package.artifact import platforms, unpack

        source, root = workspace.locate(target)
        return unpack(source, root, platforms(source, root))
    try:
        return workspace.read(target)
    except WasmModule as error:
        from ebpm.package.bare import from_object

        if error.embedded is None:
            raise
        warn(f"{error.message}: that is taken, the module's user-space part is not")
        name = target.text.rpartition("/")[2].split(".")[0]
        return from_object(ObjectFile(data=error.embedded), "object" if name in ("", "-") else name)


def _object(package: Package, where: Platform | None) -> ObjectFile:
    if where is not None:
        return package.object_for(where)
    try:
        one = package.object_for(host_platform())
    except PlatformNotFound:
        one = package.objects[0]
    if len(package.objects) > 1:
        warn(f"of {len(package.objects)} objects, the one for {one.serves} is written")
    return one


def _write(files: dict[str, bytes], path: Path, *, standard_output: bool) -> None:
    if standard_output:
        if len(files) > 1:
            raise UsageError("a skeleton and its object are two files, not for standard output")
        sys.stdout.buffer.write(next(iter(files.values())))
        return
    for name, data in files.items():
        place = path.with_name(name)
        write_whole(place, data)
        click.echo(f"wrote {place} ({size_text(len(data))})")
