"""What mirrors do with a workspace: gather, push, keep up to date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

from ebpm.api import Workspace
from ebpm.artifacts import origin
from ebpm.cache.archive import Archive, ArchiveWriter
from ebpm.cache.layout import Layout
from ebpm.errors import EbpmError, InvalidReference, NotFound, RegistryRefused, TargetNotFound
from ebpm.mirror.bundle import Item, unwanted
from ebpm.mirror.jobs import Job, Jobs
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import INDEX, Descriptor
from ebpm.oci.manifest import Index, write_index
from ebpm.oci.overlay import Overlay
from ebpm.oci.reference import Reference
from ebpm.oci.store import MemoryStore, Source, fetch_manifest
from ebpm.oci.store import Target as Sink
from ebpm.target import LAYOUT, REMOTE, Target, parse_target

ORIGINAL_DIGEST = "dev.ebpm.mirror.original-digest"
"""Annotation of an index that was reduced to some platforms: the digest that it had."""


@contextmanager
def gathered(workspace: Workspace, targets: Iterable[Target]) -> Iterator[Iterator[Item]]:
    """Find artifacts, each under the name under which it travels.

    A registry is asked itself, so that what refers to an artifact comes along; content that our
    stores have is not downloaded. Offline, the stores have to have all.
    """
    stores = workspace.stores()
    with ExitStack() as stack:

        def find() -> Iterator[Item]:
            for target in targets:
                if target.kind == REMOTE and workspace.config.offline:
                    source, root = workspace.locate(target)
                else:
                    source, root = stack.enter_context(origin(workspace, target))
                yield Item(_name(target, source), Overlay(source, stores), root)

        yield find()


def _name(target: Target, source: object) -> str:
    if target.kind != LAYOUT:
        return str(Reference.parse(target.text))
    assert isinstance(source, (Layout, Archive))
    name = source.find(target.layout[1]).ref_name
    if not name:
        raise InvalidReference(f"{target.text} has no name there", hint="give it one first")
    return name


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one reference."""

    source: str
    target: str
    state: str  # copied, unchanged, reduced, failed, or wanted in a dry run
    digest: str | None = None
    error: EbpmError | None = None


class Place:
    """Where copies go: HOST[/PATH], oci:DIR, oci:FILE.tar, or our store.

    Args:
        workspace: whose store and registries are meant.
        text: which it is.
        keep_host: put the source's host into the path of a registry.
    """

    def __init__(self, workspace: Workspace, text: str, *, keep_host: bool = False) -> None:
        self._workspace = workspace
        self._prefix = ""
        self._layout: Layout | None = None
        self._keep_host = keep_host
        self._text = text
        if text == "store":
            self._layout = workspace.store()
        elif not text.startswith(("oci:", "oci-archive:")):
            host = text.partition("/")[0]
            self._prefix = text.rstrip("/")
            if not ("." in host or ":" in host or host == "localhost"):
                raise InvalidReference(
                    f"{text!r} is no place for a mirror",
                    hint="write HOST[/PATH], oci:DIR, oci:FILE.tar or store",
                )

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open it for as long as copies go there; a tar is written at the end."""
        target = parse_target(self._text)
        if self._prefix or self._layout or target.kind != LAYOUT:
            yield
            return
        folder, _ = target.layout
        writer: AbstractContextManager[Layout] = (
            ArchiveWriter.adding_to(folder)
            if target.is_archive
            else nullcontext(Layout.create(folder))
        )
        try:
            with writer as self._layout:
                yield
        finally:
            self._layout = None  # it can be opened again, for more

    def name(self, reference: Reference, name: str | None = None) -> Reference:
        """Name what a reference becomes there."""
        if not self._prefix:
            return reference
        host = f"{reference.registry}/" if self._keep_host and reference.registry else ""
        path = f"{self._prefix}/{name or host.replace(':', '-') + reference.repository}"
        tag = f":{reference.tag}" if reference.tag else ""
        digest = f"@{reference.digest}" if reference.digest else ""
        return Reference.parse(f"{path}{tag}{digest}")

    def sink(self, reference: Reference) -> tuple[Sink, str]:
        """Get at the place of a name there, and its tag."""
        if self._layout:
            return self._layout, str(reference)
        repository = self._workspace.client().repository(reference, push=True)
        return repository, reference.tag or reference.target

    def digest(self, reference: Reference) -> str | None:
        """Tell what a name means there; None if nothing."""
        sink, name = self.sink(reference)
        try:
            return str(sink.resolve(name).digest)  # type: ignore[attr-defined]
        except NotFound:
            return None


def push(workspace: Workspace, items: Iterable[Item], place: Place) -> Iterator[Outcome]:
    """Copy artifacts with what refers to them; what is there is not sent again."""
    with place.opened():
        for item in items:
            reference = Reference.parse(item.name)
            yield _moved(workspace, item, place, reference, place.name(reference))


def _moved(
    workspace: Workspace,
    item: Item,
    place: Place,
    source: Reference,
    there: Reference,
    job: Job | None = None,
) -> Outcome:
    texts = str(source), str(there)
    try:
        before = place.digest(there)
        sink, name = place.sink(there)
        referrers = job.referrers if job else True
        unchanged = before == str(item.root.digest)
        if not unchanged or referrers:
            skip = unwanted(item.source, item.root, job.platforms) if job else set()
            skip |= set(item.left_out)
            progress = workspace.progress
            try:
                copy(
                    *(item.source, item.root, sink, name),
                    referrers=referrers,
                    skip=skip,
                    progress=progress,
                )
            except (RegistryRefused, NotFound):
                if not skip or (made := reduced(item.source, item.root, skip)) is None:
                    raise
                copy(*made, sink, name, progress=progress)
                return Outcome(*texts, "reduced", str(made[1].digest))
    except EbpmError as error:
        return Outcome(*texts, "failed", error=error)
    return Outcome(*texts, "unchanged" if unchanged else "copied", str(item.root.digest))


def reduced(
    source: Source, root: Descriptor, skip: Collection[str]
) -> tuple[Source, Descriptor] | None:
    """Make an index without what was left out, for registries that take only whole ones.

    It has another digest, so no signature holds for it; an annotation has the one that it had. None
    where the root is no index, or lacks nothing.
    """
    found = fetch_manifest(source, root)
    if not isinstance(found, Index):
        return None
    left = [one for one in found.manifests if str(one.digest) not in skip]
    if len(left) == len(found.manifests):
        return None
    memory = MemoryStore()
    raw = write_index(
        left,
        artifact_type=found.artifact_type,
        annotations={**found.annotations, ORIGINAL_DIGEST: str(root.digest)},
    )
    described = memory.add(raw, Descriptor.of(raw, INDEX))
    return Overlay(source, [memory]), described


def sync(
    workspace: Workspace, jobs: Jobs, *, keep_host: bool = False, dry_run: bool = False
) -> Iterator[Outcome]:
    """Do all jobs; one that fails does not keep the others from being done."""
    place = Place(workspace, jobs.target, keep_host=keep_host)
    with place.opened() if not dry_run else nullcontext():
        for job in jobs.jobs:
            yield from _job(workspace, job, place, dry_run)


def _job(workspace: Workspace, job: Job, place: Place, dry_run: bool) -> Iterator[Outcome]:
    try:
        source = workspace.client().source(job.source)
        tags = job.choose(source.tags())
        if not tags:
            raise TargetNotFound(f"{job.source.name} has no tag that the job wants")
    except EbpmError as error:
        yield Outcome(job.source.name, "", "failed", error=error)
        return
    for tag in tags:
        reference = Reference.parse(f"{job.source.name}:{tag}")
        there = place.name(reference, job.name)
        if dry_run:
            yield Outcome(str(reference), str(there), "wanted")
            continue
        try:
            item = Item(str(reference), source, source.resolve(tag))
        except EbpmError as error:
            yield Outcome(str(reference), str(there), "failed", error=error)
            continue
        yield _moved(workspace, item, place, reference, there, job)


def all_of(place: Layout | Archive) -> list[Item]:
    """List all that a layout or bundle names."""
    named = [one for one in place.entries() if one.ref_name]
    return [Item(str(one.ref_name), place, one.named(None), tuple(place.left_out)) for one in named]
