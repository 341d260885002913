"""``ebpm copy``, ``attach``, ``discover``, ``resolve``, ``tags``, ``manifest`` and ``blob``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ebpm import artifacts
from ebpm.api import Workspace
from ebpm.artifacts import Referrer
from ebpm.cli.view import ProgressBar, Show, with_format
from ebpm.cli.workspace import complete_name, open_workspace
from ebpm.files import whole_file
from ebpm.oci.attachment import FILE_TYPE, File
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.platform import Platform
from ebpm.oci.store import Source, verified
from ebpm.output.escape import escape
from ebpm.target import Target, parse_target

_PLAIN = click.option("--plain-http", is_flag=True, help="Speak plain http to the registry.")
_PLATFORM = click.option(
    "--platform", metavar="PLATFORM", help="Of an index, take what is for linux/amd64, …"
)
_OUTPUT = click.option("-o", "--output", metavar="FILE", help="Write to FILE, not standard output.")


def _workspace(
    plain_http: bool, *targets: Target, progress: ProgressBar | None = None
) -> Workspace:
    hosts = [one.host for one in targets if plain_http and one.host]
    return open_workspace(hosts, progress=progress)


@click.command()
@click.argument("source", metavar="SOURCE", shell_complete=complete_name)
@click.argument("target", metavar="TARGET", shell_complete=complete_name)
@click.option(
    "--referrers/--no-referrers",
    default=True,
    show_default=True,
    help="Take along what refers to it: signatures, attestations, SBOMs.",
)
@_PLAIN
@with_format
def copy(source: str, target: str, referrers: bool, plain_http: bool, show: Show) -> None:
    """Copy an artifact from one place to another, whatever it is.

    SOURCE and TARGET are HOST/NAME[:TAG|@DIGEST] in a registry, oci:DIR[:TAG], a layout folder,
    oci-archive:FILE[:TAG], a layout in a tar, or NAME[:TAG] in the store.
    """
    one, other = parse_target(source), parse_target(target)
    progress = ProgressBar("copying")
    workspace = _workspace(plain_http, one, other, progress=progress)
    try:
        root = artifacts.copy_artifact(workspace, one, other, referrers=referrers)
    finally:
        progress.close()
    show(
        "copy",
        f"copied {source} to {target}: {root.digest}",
        source=source,
        target=target,
        digest=str(root.digest),
        size=root.size,
    )


@click.command()
@click.argument("reference", metavar="REF", shell_complete=complete_name)
@click.argument("files", metavar="FILE[:TYPE]...", nargs=-1)
@click.option("--type", "kind", required=True, metavar="TYPE", help="What is attached: a/b.")
@click.option(
    "-a", "--annotation", "pairs", metavar="KEY=VALUE", multiple=True, help="May be repeated."
)
@_PLATFORM
@_PLAIN
@with_format
def attach(
    reference: str,
    files: Sequence[str],
    kind: str,
    pairs: Sequence[str],
    platform: str | None,
    plain_http: bool,
    show: Show,
) -> None:
    """Attach files to an artifact, where it lies.

    They get a manifest of their own that refers to REF, which does not change. The same files give
    the same digest.
    """
    target = parse_target(reference)
    subject, made = artifacts.attach(
        _workspace(plain_http, target),
        target,
        _media_type(kind, "--type"),
        [_file(text) for text in files],
        dict(_pair(text) for text in pairs),
        Platform.parse(platform) if platform else None,
    )
    show(
        "attach",
        f"attached {made.digest} to {reference}",
        reference=reference,
        subject=str(subject.digest),
        digest=str(made.digest),
        size=made.size,
    )


def _file(text: str) -> File:
    path, colon, kind = text.rpartition(":")
    if not colon or os.path.exists(text):
        return File(text)
    return File(path, _media_type(kind, f"the type of {path}"))


def _media_type(text: str, what: str) -> str:
    """Check a type as far as registries do (RFC 6838: type/subtype)."""
    left, slash, right = text.partition("/")
    if not (slash and left and right) or not text.isascii() or set(text) & set(' \t,;"'):
        raise click.UsageError(f"{what} is {text!r}, not a media type such as {FILE_TYPE}")
    return text


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise click.UsageError(f"{text!r} is no KEY=VALUE")
    return key, value


@click.command()
@click.argument("reference", metavar="REF", shell_complete=complete_name)
@click.option("--type", "kind", metavar="TYPE", help="Show what is of this artifactType alone.")
@_PLATFORM
@_PLAIN
@with_format
def discover(
    reference: str, kind: str | None, platform: str | None, plain_http: bool, show: Show
) -> None:
    """Show what refers to an artifact, and what refers to that."""
    target = parse_target(reference)
    with artifacts.origin(_workspace(plain_http, target), target) as (source, root):
        subject = _chosen(source, root, platform)
        found = artifacts.discover(source, subject, kind)
    lines = [f"{reference}@{subject.digest}" if "@" not in reference else reference]
    show(
        "discover",
        "\n".join([*map(escape, lines), *_tree(found, "")]),
        reference=reference,
        digest=str(subject.digest),
        referrers=[_document(one) for one in found],
    )


def _tree(found: Sequence[Referrer], indent: str) -> Iterator[str]:
    for number, one in enumerate(found, 1):
        last = number == len(found)
        what = one.tag or one.descriptor.artifact_type or "unknown"
        yield f"{indent}{'└── ' if last else '├── '}{escape(what)}  {one.descriptor.digest}"
        yield from _tree(one.referrers, indent + ("    " if last else "│   "))


def _document(one: Referrer) -> dict[str, Any]:
    return {
        "digest": str(one.descriptor.digest),
        "mediaType": one.descriptor.media_type,
        "size": one.descriptor.size,
        "artifactType": one.descriptor.artifact_type,
        "annotations": dict(one.descriptor.annotations),
        "tag": one.tag,
        "referrers": [_document(more) for more in one.referrers],
    }


@click.command()
@click.argument("reference", metavar="REF", shell_complete=complete_name)
@_PLATFORM
@_PLAIN
@with_format
def resolve(reference: str, platform: str | None, plain_http: bool, show: Show) -> None:
    """Tell the digest that a name means where it lies."""
    target = parse_target(reference)
    with artifacts.origin(_workspace(plain_http, target), target) as (source, root):
        found = _chosen(source, root, platform)
    show(
        "resolve",
        str(found.digest),
        reference=reference,
        digest=str(found.digest),
        mediaType=found.media_type,
        size=found.size,
    )


@click.command()
@click.argument("repository", metavar="HOST/NAME")
@click.option("--exclude-digest-tags", is_flag=True, help="Leave out sha256-… tags.")
@_PLAIN
@with_format
def tags(repository: str, exclude_digest_tags: bool, plain_http: bool, show: Show) -> None:
    """List the tags of a repository in a registry."""
    target = parse_target(repository)
    found = artifacts.list_tags(_workspace(plain_http, target), target)
    if exclude_digest_tags:
        found = [one for one in found if not one.startswith(("sha256-", "sha512-"))]
    show("tags", "\n".join(map(escape, found)), repository=repository, tags=found)


@click.group()
def manifest() -> None:
    """Read manifests as they are."""


@manifest.command(name="get")
@click.argument("reference", metavar="REF", shell_complete=complete_name)
@_PLATFORM
@_OUTPUT
@_PLAIN
def manifest_get(
    reference: str, platform: str | None, output: str | None, plain_http: bool
) -> None:
    """Print a manifest or index, byte for byte."""
    target = parse_target(reference)
    with artifacts.origin(_workspace(plain_http, target), target) as (source, root):
        raw = artifacts.read_manifest(source, _chosen(source, root, platform))
    _write(iter([raw]), output)


@click.group()
def blob() -> None:
    """Read blobs as they are."""


@blob.command(name="get")
@click.argument("reference", metavar="HOST/NAME@DIGEST")
@_OUTPUT
@_PLAIN
def blob_get(reference: str, output: str | None, plain_http: bool) -> None:
    """Print a blob, byte for byte.

    FILE appears when all of it is there and right. On standard output, the last bytes come when all
    of them are known to be right.
    """
    target = parse_target(reference)
    with artifacts.blob(_workspace(plain_http, target), target) as (descriptor, chunks):
        _write(verified(chunks, descriptor), output)


def _chosen(source: Source, root: Descriptor, platform: str | None) -> Descriptor:
    if platform is None:
        return root
    return artifacts.for_platform(source, root, Platform.parse(platform))


def _write(chunks: Iterator[bytes], output: str | None) -> None:
    if output is None or output == "-":
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    with whole_file(output) as file:
        file.writelines(chunks)
