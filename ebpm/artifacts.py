"""Verbs on artifacts of any kind, wherever they lie: copy, attach, discover, and single parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from ebpm.api import Workspace
from ebpm.errors import (
    InvalidReference,
    NotFound,
    PlatformNotFound,
    TargetNotFound,
)
from ebpm.oci.attachment import File, make_attachment
from ebpm.oci.copy import copy
from ebpm.oci.crew import Crew
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import LARGEST, Index, parse_manifest
from ebpm.oci.platform import Platform
from ebpm.oci.reference import Reference
from ebpm.oci.store import Source, fetch
from ebpm.oci.versions import sort_tags
from ebpm.places import destination, open_layout
from ebpm.target import LAYOUT, NAME, REMOTE, Target

_DEPTH_LIMIT = 8


@contextmanager
def origin(workspace: Workspace, target: Target) -> Iterator[tuple[Source, Descriptor]]:
    """Open the place where an artifact lies, for reading; a registry is asked itself.

    Args:
        workspace: whose store and registries are meant.
        target: REMOTE, LAYOUT, or NAME, which is in a store.

    Raises:
        NotFound: it is not there.
        InvalidReference: the target is something else.
    """
    if target.kind == LAYOUT:
        layout, name = open_layout(target)
        with layout if isinstance(layout, AbstractContextManager) else nullcontext():
            yield layout, layout.resolve(name)
    elif target.kind == REMOTE:
        reference = Reference.parse(target.text)
        repository = workspace.client().source(reference)
        yield repository, repository.resolve(reference.target)
    elif target.kind == NAME:
        Reference.parse(target.text)
        yield _in_stores(workspace, target)
    else:
        raise InvalidReference(
            f"{target.text!r} names no artifact",
            hint="write HOST/NAME[:TAG], oci:DIR[:TAG], or a name in the store",
        )


def _in_stores(workspace: Workspace, target: Target) -> tuple[Source, Descriptor]:
    for store in workspace.stores():
        try:
            return store, store.resolve(target.full_name)
        except NotFound:
            continue
    raise TargetNotFound(f"the store has no {target.full_name}")


def copy_artifact(
    workspace: Workspace, source: Target, target: Target, *, referrers: bool = True
) -> Descriptor:
    """Copy an artifact from any place to any other, with what refers to it."""
    with (
        origin(workspace, source) as (place, root),
        destination(target, root, _tag_of(source), workspace.store, workspace.client) as (
            there,
            name,
        ),
    ):
        return copy(place, root, there, name, referrers=referrers, progress=workspace.progress)


def _tag_of(target: Target) -> str:
    """Take the name that something has in a layout, where nobody gives another."""
    if target.kind == LAYOUT:
        return target.layout[1] or "latest"
    return target.full_name


def attach(
    workspace: Workspace,
    target: Target,
    kind: str,
    files: Sequence[File],
    annotations: Mapping[str, str] | None = None,
    platform: Platform | None = None,
) -> tuple[Descriptor, Descriptor]:
    """Attach files to an artifact where it lies; give its descriptor and that of what is new."""
    with origin(workspace, target) as (place, root):
        subject = for_platform(place, root, platform) if platform else root
    made, manifest = make_attachment(subject, kind, files, annotations)
    with destination(_unpinned(target), manifest, "", workspace.store, workspace.client) as (
        there,
        _,
    ):
        copy(made, manifest, there, None, progress=workspace.progress)
    return subject, manifest


def _unpinned(target: Target) -> Target:
    """Take the digest away, which is the subject's and not that of what is attached."""
    return target if target.kind == LAYOUT else Target(target.kind, target.text.partition("@")[0])


def for_platform(source: Source, root: Descriptor, platform: Platform) -> Descriptor:
    """Find the manifest for a platform in an index.

    Raises:
        PlatformNotFound: there is none; a manifest that is no index is for nobody in particular.
    """
    manifest = parse_manifest(fetch(source, root, LARGEST), root.media_type)
    if isinstance(manifest, Index):
        for one in manifest.manifests:
            if one.platform == platform:
                return one
    raise PlatformNotFound(f"{root.digest} has nothing for {platform}")


@dataclass(frozen=True, slots=True)
class Referrer:
    """Something that refers to an artifact, and what refers to it in turn."""

    descriptor: Descriptor
    tag: str | None  # where cosign before version 3 kept it
    referrers: list[Referrer]


def discover(
    source: Source, subject: Descriptor, kind: str | None = None, depth: int = _DEPTH_LIMIT
) -> list[Referrer]:
    """List what refers to an artifact, recursively.

    Args:
        source: where it lies.
        subject: the artifact.
        kind: leave out all others; what refers to those is not looked for then.
        depth: how far to go.
    """
    if not depth:
        return []
    direct = source.referrers(subject)
    chosen = [one for one in direct if kind in (None, one.artifact_type)]

    def look_below(one: Descriptor) -> list[Referrer]:
        return discover(source, one, kind, depth - 1)

    below = Crew(look_below).run(chosen)
    found = [Referrer(one, None, more) for one, more in zip(chosen, below, strict=True)]
    if kind is None:
        tags = source.signature_tags(subject)
        found += [Referrer(one, tag, []) for tag, one in sorted(tags.items())]
    return found


def read_manifest(source: Source, root: Descriptor) -> bytes:
    """Read a manifest's bytes, checked."""
    return fetch(source, root, LARGEST)


def list_tags(workspace: Workspace, target: Target) -> list[str]:
    """List the tags of a repository in a registry: names, then versions, the newest last."""
    if target.kind != REMOTE:
        raise InvalidReference(f"{target.text!r} names no repository of a registry")
    reference = Reference.parse(target.text)
    if reference.digest or ":" in target.text.rpartition("/")[2]:
        raise InvalidReference(
            f"{target.text!r} names one artifact of a repository",
            hint=f"write {reference.name}",
        )
    return sort_tags(workspace.client().source(reference).tags())


@contextmanager
def blob(workspace: Workspace, target: Target) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
    """Open a blob by its digest, ``HOST/NAME@sha256:…``; its chunks are not checked yet."""
    if target.kind != REMOTE:
        raise InvalidReference(f"{target.text!r} names no blob", hint="write HOST/NAME@sha256:…")
    reference = Reference.parse(target.text)
    if reference.digest is None:
        raise InvalidReference(
            f"{target.text!r} names no blob: a blob has a digest", hint="write HOST/NAME@sha256:…"
        )
    repository = workspace.client().repository(reference)
    size = repository.blob_size(reference.digest)
    described = Descriptor(
        media_type="application/octet-stream", digest=reference.digest, size=size
    )
    with repository.open(described) as chunks:
        yield described, chunks
