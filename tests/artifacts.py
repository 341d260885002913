"""Artifacts to move about, and places to move them between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ebpm.cache.layout import Layout
from ebpm.oci.descriptor import INDEX, MANIFEST, Descriptor
from ebpm.oci.manifest import write_index, write_manifest
from ebpm.oci.platform import Platform
from ebpm.oci.reference import Reference
from ebpm.oci.store import MemoryStore
from ebpm.registry.client import RegistryClient
from ebpm.registry.credentials import Credential, CredentialStore
from ebpm.registry.http import HttpSettings
from ebpm.registry.repository import Repository

CONFIG_TYPE = "application/vnd.example.config.v1+json"
LAYER_TYPE = "application/vnd.example.layer.v1"


def artifact(*layers: bytes, config: bytes = b'{"made":"up"}') -> tuple[MemoryStore, Descriptor]:
    """Make an artifact of one manifest."""
    store = MemoryStore()
    return store, add_manifest(store, *layers, config=config)


def add_manifest(store: MemoryStore, *layers: bytes, config: bytes = b"{}") -> Descriptor:
    """Put a manifest with its blobs into a store."""
    parts = [store.add(data, Descriptor.of(data, LAYER_TYPE)) for data in layers]
    described = store.add(config, Descriptor.of(config, CONFIG_TYPE))
    raw = write_manifest(described, parts, artifact_type="application/vnd.example.v1")
    return store.add(raw, Descriptor.of(raw, MANIFEST))


def two_platforms(*layers: bytes) -> tuple[MemoryStore, Descriptor]:
    """Make an index of two manifests, which share all but one layer."""
    store = MemoryStore()
    parts = []
    for architecture in ("amd64", "arm64"):
        one = add_manifest(store, *layers, architecture.encode())
        platform = Platform("linux", architecture)
        parts.append(
            Descriptor(media_type=MANIFEST, digest=one.digest, size=one.size, platform=platform)
        )
    raw = write_index(parts)
    return store, store.add(raw, Descriptor.of(raw, INDEX))


def files_of(root: Path | str, folder: str = "blobs/sha256") -> set[str]:
    """List what lies in a folder of a layout."""
    return {path.name for path in (Path(root) / folder).iterdir()}


def is_whole(layout: Layout) -> bool:
    """Whether all that a layout names is there, with the bytes that it should have."""
    from ebpm.oci.copy import copy

    for entry in layout.entries():
        copy(layout, entry.named(None), MemoryStore(), None)
    return True


@contextmanager
def client_for(
    folder: Path,
    *,
    login: Callable[[str, str], Credential | None] | None = None,
    **settings: object,
) -> Iterator[RegistryClient]:
    """Open a client with a credentials file of its own; retries do not keep tests waiting."""
    credentials = CredentialStore([], folder / "config.json")
    if login:
        credentials.find = login  # type: ignore[method-assign]
    client = RegistryClient(HttpSettings(**settings), credentials)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        client.close()


def repository_of(client: RegistryClient, host: str, name: str = "tools/x") -> Repository:
    """Open a repository for reading and writing."""
    return client.repository(Reference.parse(f"{host}/{name}"), push=True)
