"""Many artifacts at once: the content first, then all names in one step."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from ebpm.cache.layout import Layout
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import described_referrer


class Batch:
    """A target that puts content into a store as it comes, and names nothing before the end.

    The caller holds the store's session from the first copy to :meth:`commit`.

    Args:
        store: where it goes.
        large: there is so much that one sync(2) for all costs less than a sync for each blob.
    """

    def __init__(self, store: Layout, *, large: bool = False) -> None:
        self._store = store
        self._lasting = False if large else store.lasting
        self._sync = large and store.lasting
        self._named: dict[str, Descriptor] = {}
        self._referrers: dict[str, Descriptor] = {}

    def session(self) -> AbstractContextManager[object]:
        """Need nothing: the caller has it."""
        return nullcontext()

    def has(self, descriptor: Descriptor) -> bool:
        """Ask the store."""
        return self._store.has(descriptor)

    def put(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Write content."""
        self._store.put(descriptor, chunks, lasting=self._lasting)

    def attach(self, descriptor: Descriptor, raw: bytes) -> None:
        """Write a manifest that has a subject; it is found from there in the end."""
        self._referrers[str(descriptor.digest)] = described_referrer(descriptor, raw)[1]
        if not self.has(descriptor):
            self.put(descriptor, [raw])

    def tag(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
        """Write a manifest that gets a name in the end."""
        if not self.has(descriptor):
            self.put(descriptor, [raw])
        self._named[name] = descriptor

    def name(self, descriptor: Descriptor, name: str) -> None:
        """Give a manifest that is here already a name in the end."""
        self._named[name] = descriptor

    def commit(self) -> dict[str, Descriptor]:
        """Give all names in one step; tell them."""
        if self._sync:
            os.sync()
        self._store.tag_all(self._named, self._referrers.values())
        return self._named
