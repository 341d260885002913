"""Names in our store: one small file for each reference, so that finding one reads one.

``index.json`` is what other tools read; it is written from these files, and can be rebuilt from
them. On the path of ``ebpm run`` for reading.
"""

from __future__ import annotations

import os

from ebpm.cache.blobs import blob_path, open_regular
from ebpm.cache.hashes import hex_digest
from ebpm.errors import InvalidDigest, InvalidManifest, ManifestNotFound, StoreUnusable
from ebpm.plainjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FOLDER = ".ebpm/refs"
_LIMIT = 4 << 20  # bytes of a reference's file
_BATCH = 64


def ref_path(root: str, reference: str) -> str:
    """Tell where a reference's file lies; the name is hashed, so any text is safe."""
    name = hex_digest("sha256", reference.encode("utf-8", "surrogatepass"))
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


def write_refs(root: str, named: dict[str, dict[str, Any]]) -> None:
    """Write references ahead of the index; the caller holds the store's lock.

    Args:
        root: the store.
        named: descriptors by name.
    """
    from ebpm.cache.blobs import replace_file

    files = {ref_path(root, name): _text(root, name, one) for name, one in named.items()}
    try:
        for folder in {os.path.dirname(path) for path in files}:
            os.makedirs(folder, exist_ok=True)
        if len(files) >= _BATCH:
            _replace_all(files, f"{root}/ingest")
            return
    except OSError as error:
        raise StoreUnusable(f"cannot write to the store {root}: {error.strerror}") from None
    for path, data in files.items():
        replace_file(path, data, f"{root}/ingest")


def _text(root: str, reference: str, descriptor: dict[str, Any]) -> bytes:
    fields: dict[str, Any] = {"descriptor": descriptor, "reference": reference}
    if is_pinned(root, reference):
        fields["pinned"] = True
    data = dumps(fields).encode("utf-8", "backslashreplace")  # a lone surrogate: as it was
    if len(data) > _LIMIT:
        raise InvalidManifest(f"{reference}: its descriptor alone has {len(data)} bytes")
    return data


def _replace_all(files: dict[str, bytes], folder: str) -> None:
    """Replace many files; one sync(2) for all costs less than a sync for each."""
    from ebpm.cache.blobs import discard, sync_folder

    mark = f"{os.getpid()}.{os.urandom(6).hex()}"
    temporary = {path: f"{folder}/{os.path.basename(path)}.{mark}" for path in files}
    try:
        for path, data in files.items():
            with open(temporary[path], "xb") as file:
                file.write(data)
        os.sync()
        for path, new in temporary.items():
            os.replace(new, path)
        for parent in {os.path.dirname(path) for path in files}:
            sync_folder(parent)
    finally:
        for new in temporary.values():
            discard(new)


def is_pinned(root: str, reference: str) -> bool:
    """Whether a reference is kept whatever quota there is."""
    found = _read(ref_path(root, reference))
    return bool(found and found.get("pinned") is True)


def pin(root: str, reference: str, *, pinned: bool) -> None:
    """Pin a reference, or take the pin away; the caller holds the store's lock."""
    from ebpm.cache.blobs import replace_file

    path = ref_path(root, reference)
    found = _read(path)
    if found is None:
        raise ManifestNotFound(f"{reference}: not in {root}")
    found["pinned"] = pinned
    replace_file(path, dumps(found).encode("utf-8", "backslashreplace"), f"{root}/ingest")


def touch(root: str, reference: str, when: float | None = None) -> None:
    """Note that a reference is used, now or then: for whoever removes what nobody uses."""
    try:
        times = None if when is None else (when, when)
        os.utime(ref_path(root, reference), times, follow_symlinks=False)
    except OSError:
        return  # another user's store, or a disk that is only read


def last_use(root: str, reference: str) -> float:
    """Tell when a reference was last written or run, in seconds since 1970; 0 if unknown."""
    try:
        return os.lstat(ref_path(root, reference)).st_mtime
    except OSError:
        return 0.0


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
