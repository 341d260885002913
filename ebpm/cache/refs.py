"""Names in our store: one small file for each reference, so that finding one reads one.

``index.json`` is what other tools read; it is written from these files, and can be rebuilt from
them. On the path of ``ebpm run`` for reading.
"""

from __future__ import annotations

import os

from ebpm.plainjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FOLDER = ".ebpm/refs"


def ref_path(root: str, reference: str) -> str:
    """Tell where a reference's file lies; the name is hashed, so any text is safe."""
    import hashlib

    name = hashlib.sha256(reference.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{root}/{FOLDER}/{name[:2]}/{name}.json"


def read_ref(root: str, reference: str) -> dict[str, Any] | None:
    """Read the descriptor that a reference names; None where it names nothing here."""
    found = _read(ref_path(root, reference))
    return found["descriptor"] if found and found.get("reference") == reference else None


def _read(path: str) -> dict[str, Any] | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            data: Any = loads(file.read(65536))
        descriptor = data["descriptor"]
        if isinstance(data["reference"], str) and isinstance(descriptor["digest"], str):
            return data  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def write_ref(root: str, reference: str, descriptor: dict[str, Any]) -> None:
    """Write a reference ahead of the index; the caller holds the store's lock."""
    from ebpm.cache.blobs import replace_file

    path = ref_path(root, reference)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    data = dumps({"descriptor": descriptor, "reference": reference}).encode()
    replace_file(path, data, f"{root}/ingest")


def remove_ref(root: str, reference: str) -> None:
    """Forget a reference; the caller holds the store's lock."""
    try:
        os.unlink(ref_path(root, reference))
    except FileNotFoundError:
        pass


def all_refs(root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk all references with their descriptors."""
    try:
        folders = sorted(os.listdir(f"{root}/{FOLDER}"))
    except FileNotFoundError:
        return
    for folder in folders:
        for name in sorted(os.listdir(f"{root}/{FOLDER}/{folder}")):
            found = _read(f"{root}/{FOLDER}/{folder}/{name}")
            if found:
                yield found["reference"], found["descriptor"]
