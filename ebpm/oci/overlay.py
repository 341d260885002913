"""A source whose content is looked for nearer first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import Source, Store


class Overlay:
    """What one source names, with content out of others where they have it undamaged.

    Args:
        source: decides what names mean.
        nearer: asked for content before, in their order.
    """

    def __init__(self, source: Source, nearer: Sequence[Store]) -> None:
        self._source = source
        self._nearer = nearer

    def resolve(self, name: str) -> Descriptor:
        """Ask the source."""
        return self._source.resolve(name)

    def open(
        self, descriptor: Descriptor, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open content where it is nearest."""
        place = next((one for one in self._nearer if one.has(descriptor)), self._source)
        return place.open(descriptor, start)

    def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """Ask the source."""
        return self._source.referrers(descriptor)

    def signature_tags(self, descriptor: Descriptor) -> dict[str, Descriptor]:
        """Ask the source."""
        return self._source.signature_tags(descriptor)
