"""The one loop that moves artifacts. Pull, push and mirror are this function between two stores."""

from __future__ import annotations

from collections.abc import Collection

from ebpm.oci.content import Content, Progress
from ebpm.oci.crew import Crew
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.reference import beside
from ebpm.oci.store import Source, Target
from ebpm.oci.walk import Found, Walk


def copy(
    source: Source,
    descriptor: Descriptor,
    target: Target,
    name: str | None,
    *,
    referrers: bool = False,
    skip: Collection[str] = (),
    progress: Progress | None = None,
) -> Descriptor:
    """Copy an artifact with all that it refers to.

    Children go before their parents and the name comes last, so that an interrupted copy leaves
    nothing that looks whole. What the target has already is not sent again.

    Args:
        source: where it is.
        descriptor: what ``source.resolve`` gave: the name is resolved once, by the caller.
        target: where it goes.
        name: its tag there; None leaves it without one.
        referrers: copy what refers to it as well: signatures, attestations, lists of materials,
            and what refers to those.
        skip: digests that are left out with all that they refer to: of an index, the platforms
            that nobody wants.
        progress: told of bytes.

    Raises:
        EbpmError: whatever reading, checking or writing raises.
    """
    with target.session():
        found = Walk(source, descriptor, referrers=referrers, skip=skip)
        here = Crew(target.has).run(found.blobs)
        missing = [blob for blob, has in zip(found.blobs, here, strict=True) if not has]
        if progress:
            progress.start(sum(blob.size for blob in missing))
        _copy_blobs(source, missing, target, progress)
        *others, root = found.manifests
        for one in others:
            _put_manifest(target, one)
            if one.tag:
                target.tag(one.descriptor, beside(name, one.tag), one.raw)
        if name is None or root.subject:
            _put_manifest(target, root)
        if name is not None:
            target.tag(descriptor, name, root.raw)
    return descriptor


def _put_manifest(target: Target, one: Found) -> None:
    if one.subject:
        target.attach(one.descriptor, one.raw)
    elif not one.tag and not target.has(one.descriptor):
        target.put(one.descriptor, [one.raw])


def _copy_blobs(
    source: Source, blobs: list[Descriptor], target: Target, progress: Progress | None
) -> None:
    def copy_one(blob: Descriptor) -> None:
        with Content(source, blob, check=crew.check, progress=progress) as content:
            target.put(blob, content)

    crew = Crew(copy_one)
    crew.run(blobs)
