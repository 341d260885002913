"""Which tool a short name means: the first index that has it, in the order of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ebpm.index.document import ToolIndex
from ebpm.index.entry import IndexEntry

INDEX_NAME = "index:latest"
"""Where the list of what lies below a base is kept: BASE/index:latest."""


@dataclass(frozen=True, slots=True)
class NamedIndex:
    """An index that is here, with the place that it speaks of."""

    base: str  # "ghcr.io/acme/tools"; "" for the one that ebpm brings
    index: ToolIndex

    def reference(self, entry: IndexEntry) -> str:
        """Write the reference by which an entry is pulled: its digest, and no tag that can move."""
        return f"{entry.reference or f'{self.base}/{entry.name}'}@{entry.digest}"


class Found(NamedTuple):
    """A tool that a search found, and in which index."""

    name: str
    summary: str
    score: float
    where: NamedIndex

    def entry(self) -> IndexEntry:
        """Read all that the index says of it."""
        found = self.where.index.find(self.name)
        assert found is not None, "both layers are of one index"
        return found


def index_reference(base: str) -> str:
    """Tell where the index of a base lies."""
    return f"{base.rstrip('/')}/{INDEX_NAME}"


def search(indexes: Iterable[NamedIndex], words: Sequence[str]) -> list[Found]:
    """Search all indexes, best first; of two tools of one name the earlier index's is shown."""
    found: dict[str, Found] = {}
    for one in indexes:
        for hit in one.index.text().search(words):
            found.setdefault(hit.name, Found(hit.name, hit.summary, hit.score, one))
    return sorted(found.values(), key=lambda hit: (-hit.score, hit.name))


def find(indexes: Iterable[NamedIndex], name: str, tag: str = "latest") -> Iterator[NamedIndex]:
    """Walk the indexes that have a tool, in a version that a tag allows."""
    for one in indexes:
        entry = one.index.find(name)
        if entry and tag in ("latest", entry.version):
            yield one


def nearest(indexes: Iterable[NamedIndex], name: str) -> list[str]:
    """Name tools with names like one that nobody knows."""
    return list(dict.fromkeys(near for one in indexes for near in one.index.text().nearest(name)))
