"""Names in our store: one small file for each reference, so that finding one reads one.

``index.json`` is what other tools read; it is written from these files, and can be rebuilt from
them. On the path of ``ebpm run`` for reading.
"""

from __future__ import annotations

import os

from ebpm.cache.blobs import blob_path, open_regular
from ebpm.errors import InvalidDigest, InvalidManifest, StoreUnusable
from ebpm.plainjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FOLDER = ".ebpm/refs"
_LIMIT = 4 << 20  # bytes of a reference's file


def ref_path(root: str, reference: str) -> str:
    """Tell where a reference's file lies; the name is hashed, so any text is safe."""
    import hashlib

    name = hashlib.sha256(reference.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{root}/{FOLDER}/{name[:2]}/{name}.json"


def read_ref(root: str, reference: str) -> dict[str, Any] | None:
    """Read the descriptor that a reference names; None where it names nothing here."""
    found = _read(ref_path(root, reference))
    if found is None or found["reference"] != reference:
        return None
    _, pinned, digest = reference.partition("@")
    descriptor: dict[str, Any] = found["descriptor"]
    return None if pinned and descriptor["digest"] != digest else descriptor


def _read(path: str) -> dict[str, Any] | None:
    """Read a reference's file; None where there is none, or it is not one."""
    try:
        with open_regular(path) as file:
            data: Any = loads(file.read(_LIMIT))
        descriptor = data["descriptor"]
        blob_path("", descriptor["digest"])  # nobody makes a path of what is not a digest
        sound = isinstance(data["reference"], str) and isinstance(descriptor["size"], int)
        return data if sound else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidDigest):
        return None


def write_ref(root: str, reference: str, descriptor: dict[str, Any]) -> None:
    """Write a reference ahead of the index; the caller holds the store's lock."""
    from ebpm.cache.blobs import replace_file

    path = ref_path(root, reference)
    text = dumps({"descriptor": descriptor, "reference": reference})
    data = text.encode("utf-8", "backslashreplace")  # a lone surrogate: the escape that it was
    if len(data) > _LIMIT:
        raise InvalidManifest(f"{reference}: its descriptor alone has {len(data)} bytes")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise StoreUnusable(f"cannot write {path}: {error.strerror}") from None
    replace_file(path, data, f"{root}/ingest")


def remove_ref(root: str, reference: str) -> None:
    """Forget a reference; the caller holds the store's lock."""
    try:
        os.unlink(ref_path(root, reference))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreUnusable(f"cannot write to the store {root}: {error.strerror}") from None


def all_refs(root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk all references with their descriptors."""
    for folder in _listed(f"{root}/{FOLDER}"):
        for name in _listed(f"{root}/{FOLDER}/{folder}"):
            found = _read(f"{root}/{FOLDER}/{folder}/{name}")
            if found:
                yield found["reference"], found["descriptor"]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreUnusable(f"cannot read {folder}: {error.strerror}") from None
