"""Where a target lies, as a source to read from or as a place to write to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from ebpm.cache.layout import Layout
from ebpm.errors import InvalidReference, TargetNotFound
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.reference import Reference
from ebpm.oci.store import Store
from ebpm.target import LAYOUT, REMOTE, Target

if TYPE_CHECKING:
    from ebpm.cache.archive import Archive
    from ebpm.registry.client import RegistryClient

GetStore: TypeAlias = Callable[[], Layout]
GetClient: TypeAlias = "Callable[[], RegistryClient]"


def open_layout(target: Target) -> tuple[Layout | Archive, str]:
    """Open a LAYOUT for reading; give the name that is meant in it, which may be empty.

    Raises:
        TargetNotFound: the folder or file is not there, or is no layout.
    """
    from ebpm.cache.archive import Archive

    folder, name = target.layout
    if target.is_archive:
        return Archive(folder), name
    layout = Layout(folder, readonly=True)
    if not layout.exists:
        raise TargetNotFound(f"{folder} is no OCI layout folder")
    return layout, name


@contextmanager
def destination(
    target: Target, root: Descriptor, default_name: str, store: GetStore, client: GetClient
) -> Iterator[tuple[Store, str]]:
    """Open the place that a target is, for what goes there; give the name that it gets.

    Args:
        target: REMOTE, LAYOUT, or NAME, which is in our store.
        root: what goes there.
        default_name: its name in a layout, where the target says none.
        store: gives our store.
        client: gives the registries.

    Raises:
        InvalidReference: the target is pinned to another digest.
    """
    if target.kind == LAYOUT:
        folder, name = target.layout
        if not target.is_archive:
            yield Layout.create(folder), name or default_name
            return
        from ebpm.cache.archive import ArchiveWriter

        with ArchiveWriter.adding_to(folder) as archive:
            yield archive, name or default_name
        return
    reference = Reference.parse(target.text)
    if reference.digest not in (None, root.digest):
        raise InvalidReference(
            f"{reference} can be nothing but that, and the package is {root.digest}"
        )
    if target.kind == REMOTE:
        yield client().repository(reference, push=True), reference.tag or reference.target
    else:
        yield store(), str(reference)
