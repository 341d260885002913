"""An index as an OCI artifact: a layer to search, a layer of entries, a layer of pages.

docs/spec/index.md is the contract. Entries and pages have a line for each tool, sorted by name, so
that a reader takes the one that it needs out of megabytes. The same entries give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ebpm.errors import InvalidIndex
from ebpm.index.entry import SCHEMA_VERSION, IndexEntry
from ebpm.index.search import SearchText, write_text
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.manifest import Manifest, write_manifest
from ebpm.oci.store import MemoryStore, Source, fetch, fetch_manifest

ARTIFACT_TYPE = "application/vnd.ebpm.index.v1"
CONFIG_TYPE = "application/vnd.ebpm.index.config.v1+json"
SEARCH_TYPE = "application/vnd.ebpm.index.search.v1+text"
ENTRIES_TYPE = "application/vnd.ebpm.index.entries.v1+jsonl"
PAGES_TYPE = "application/vnd.ebpm.index.pages.v1+jsonl"
_LIMIT = 256 << 20
_CONFIG_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a site shows of a tool beside its entry."""

    name: str
    readme: str
    files: Mapping[str, str]  # the source: name and text

    def to_line(self) -> bytes:
        """Write the page as one line of JSON."""
        data = {"name": self.name, "readme": self.readme, "files": dict(self.files)}
        return json.dumps(data, separators=(",", ":")).encode("ascii")


def pack_index(
    entries: Iterable[IndexEntry], pages: Iterable[Page] = ()
) -> tuple[MemoryStore, Descriptor]:
    """Make the artifact of an index.

    Raises:
        InvalidIndex: two entries have one name.
    """
    listed = sorted(entries, key=lambda one: one.name)
    names = [one.name for one in listed]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise InvalidIndex(f"the index would have {double} twice")
    shown = sorted(pages, key=lambda one: one.name)
    store = MemoryStore()
    layers = [
        _layer(store, SEARCH_TYPE, write_text(one.search_row() for one in listed).encode()),
        _layer(store, ENTRIES_TYPE, _lines(listed)),
    ]
    if shown:
        layers.append(_layer(store, PAGES_TYPE, _lines(shown)))
    config = json.dumps({"schemaVersion": SCHEMA_VERSION, "tools": len(listed)}).encode()
    described = store.add(config, Descriptor.of(config, CONFIG_TYPE))
    raw = write_manifest(described, layers, artifact_type=ARTIFACT_TYPE, annotations={})
    return store, store.add(raw, Descriptor.of(raw, MANIFEST, artifact_type=ARTIFACT_TYPE))


def _lines(items: Iterable[IndexEntry | Page]) -> bytes:
    return b"".join(one.to_line() + b"\n" for one in items)


def _layer(store: MemoryStore, media_type: str, raw: bytes) -> Descriptor:
    return store.add(raw, Descriptor.of(raw, media_type))


class ToolIndex:
    """An index that is there: its layers are read when they are needed, and checked.

    Args:
        source: the store that has it.
        root: its manifest.

    Raises:
        InvalidIndex: the artifact is no index, or one of a later ebpm.
    """

    def __init__(self, source: Source, root: Descriptor) -> None:
        self._source = source
        found = fetch_manifest(source, root)
        if not isinstance(found, Manifest) or found.config.media_type != CONFIG_TYPE:
            raise InvalidIndex(f"{root.digest} is no index of tools")
        self._layers = {one.media_type: one for one in found.layers}
        self._check(fetch(source, found.config, _CONFIG_LIMIT))

    @staticmethod
    def _check(config: bytes) -> None:
        try:
            version = str(json.loads(config)["schemaVersion"])
        except (ValueError, KeyError, TypeError):
            raise InvalidIndex("the index's config is malformed") from None
        if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
            raise InvalidIndex(
                f"the index is written in version {version}, for a later ebpm",
                hint="upgrade ebpm",
            )

    def _read(self, media_type: str) -> bytes:
        layer = self._layers.get(media_type)
        return fetch(self._source, layer, _LIMIT) if layer else b""

    def text(self) -> SearchText:
        """Read what can be searched."""
        return SearchText(self._read(SEARCH_TYPE).decode("utf-8", "replace"))

    def find(self, name: str) -> IndexEntry | None:
        """Find the entry of a tool."""
        line = _find_line(self._read(ENTRIES_TYPE), name)
        return IndexEntry.from_line(line) if line else None

    def entries(self) -> Iterator[IndexEntry]:
        """Walk all entries, by name."""
        for line in self._read(ENTRIES_TYPE).splitlines():
            yield IndexEntry.from_line(line)

    def pages(self) -> dict[str, Page]:
        """Read the pages of all tools."""
        found = {}
        for line in self._read(PAGES_TYPE).splitlines():
            page = _page(line)
            found[page.name] = page
        return found


def _find_line(raw: bytes, name: str) -> bytes | None:
    start = f'{{"name":{json.dumps(name)},'.encode()
    at = 0 if raw.startswith(start) else raw.find(b"\n" + start) + 1
    if not at and not raw.startswith(start):
        return None
    return raw[at : raw.find(b"\n", at)]


def _page(line: bytes) -> Page:
    try:
        data: dict[str, Any] = json.loads(line)
        files = {str(name): str(text) for name, text in data["files"].items()}
        return Page(name=str(data["name"]), readme=str(data["readme"]), files=files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidIndex(f"a page of the index is malformed: {error}") from None
