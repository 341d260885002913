"""``index.json``: what a layout names, for us and for other tools.

Other tools write it as well, whole and without a lock. So what it says beside its entries is kept,
and our store notes how the file looked when we wrote it last: where it looks otherwise since, or
was never finished, the references' own files (:mod:`ebpm.cache.refs`) are asked too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from ebpm.cache import refs
from ebpm.cache.blobs import discard, open_regular, replace_file, sync_folder
from ebpm.errors import InvalidManifest, StoreUnusable
from ebpm.oci.descriptor import INDEX, Descriptor
from ebpm.oci.layout import LARGEST_INDEX, parse_index
from ebpm.oci.manifest import write_json

_STAMP = ".ebpm/index.stamp"


@dataclass(slots=True)
class Index:
    """The entries of a layout, in their order, and what else its index says."""

    entries: list[Descriptor] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


def read_index(root: str, *, journal: bool) -> Index:
    """Read what a layout names.

    Args:
        root: the layout.
        journal: it is a store of ours, with references in files of their own.

    Raises:
        InvalidManifest: index.json is damaged, and nothing is there to rebuild it from.
        StoreUnusable: it cannot be read.
    """
    try:
        with open_regular(f"{root}/index.json") as file:
            look = _look(os.fstat(file.fileno()))
            found = Index(*parse_index(file.read(LARGEST_INDEX + 1)))
    except FileNotFoundError:
        look, found = "", Index()
    except OSError as error:
        raise StoreUnusable(f"cannot read {root}/index.json: {error.strerror}") from None
    except (ValueError, InvalidManifest) as error:
        if not journal:
            raise InvalidManifest(f"{root}/index.json is damaged: {error}") from None
        look, found = "", Index()
    if journal and look != _stamp(root):
        _merge(found, root)
    return found


def _merge(index: Index, root: str) -> None:
    """Let the references' own files decide what their names mean."""
    named: dict[str, Descriptor] = {}
    for name, data in refs.all_refs(root):
        try:
            named[name] = Descriptor.from_json(data).named(None if name.startswith("@") else name)
        except InvalidManifest:
            continue  # damaged: the index, if it is sound, still knows
    known = {file_name(one) for one in index.entries}
    entries = [named.get(file_name(one), one) for one in index.entries]
    index.entries = entries + [one for name, one in named.items() if name not in known]


def file_name(entry: Descriptor) -> str:
    """Tell under which name an entry has a file of its own; a referrer is known by its digest."""
    return entry.ref_name or f"@{entry.digest}"


def is_complete(root: str) -> bool:
    """Whether the references' own files are all that index.json names: it is as we wrote it."""
    look = looks(root)
    return bool(look) and look == _stamp(root)


def looks(root: str) -> str:
    """Tell how index.json looks now: another text means that it was written; empty, it is gone."""
    try:
        return _look(os.lstat(f"{root}/index.json"))
    except OSError:
        return ""


def change(root: str) -> None:
    """Say that references are about to change; the caller holds the store's lock."""
    if os.path.lexists(f"{root}/{_STAMP}"):
        discard(f"{root}/{_STAMP}")
        sync_folder(os.path.dirname(f"{root}/{_STAMP}"))


def write_index(root: str, index: Index, *, journal: bool) -> None:
    """Replace index.json; the caller holds the store's lock."""
    manifests = [one.to_json() for one in index.entries]
    fields = {"schemaVersion": 2, "mediaType": INDEX, **index.fields, "manifests": manifests}
    written = replace_file(f"{root}/index.json", write_json(fields), f"{root}/ingest")
    if journal:
        look = _look(written)
        replace_file(f"{root}/{_STAMP}", look.encode(), f"{root}/ingest")


def _look(status: os.stat_result) -> str:
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _stamp(root: str) -> str | None:
    try:
        with open_regular(f"{root}/{_STAMP}") as file:
            return file.read(200).decode("ascii", "replace")
    except OSError:
        return None
