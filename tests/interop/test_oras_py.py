"""oras-py as it is, oras-py on our transport, and ebpm: each reads what the others wrote."""

from __future__ import annotations

import os
from pathlib import Path

import oras.provider
import pytest

from ebpm.errors import IntegrityError
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.manifest import Manifest, write_manifest
from ebpm.oci.store import MemoryStore, fetch_manifest
from ebpm.registry.client import RegistryClient
from ebpm.registry.oras import OrasClient
from tests.artifacts import repository_of

pytestmark = pytest.mark.needs("docker-registry")
TITLE = "org.opencontainers.image.title"
BOTH = pytest.mark.parametrize("make", [oras.provider.Registry, OrasClient], ids=["plain", "ours"])
FILES = {"small.txt": b"content", "empty": b"", "large.bin": os.urandom(300_000)}


@pytest.fixture
def files(work: Path) -> list[str]:
    for name, data in FILES.items():
        (work / name).write_bytes(data)
    return list(FILES)


def ours(client: RegistryClient, host: str) -> dict[str, bytes]:
    """Pull with ebpm; give the files by their titles."""
    repository = repository_of(client, host)
    target = MemoryStore()
    root = copy(repository, repository.resolve("1"), target, None)
    manifest = fetch_manifest(target, root)
    assert isinstance(manifest, Manifest)
    return {one.annotations[TITLE]: target.blobs[str(one.digest)] for one in manifest.layers}


def theirs(script: oras.provider.Registry, host: str, folder: str) -> dict[str, bytes]:
    places = script.pull(f"{host}/tools/x:1", outdir=folder)
    return {Path(place).name: Path(place).read_bytes() for place in places}


@BOTH
@pytest.mark.parametrize("chunked", [False, True])
def test_pushed_with_oras_py_and_read_by_all(
    client: RegistryClient, docker_registry: str, files: list[str], make: type, chunked: bool
) -> None:
    make(insecure=True).push(
        target=f"{docker_registry}/tools/x:1", files=files, do_chunked=chunked, chunk_size=100_000
    )
    assert ours(client, docker_registry) == FILES
    assert theirs(oras.provider.Registry(insecure=True), docker_registry, "plain") == FILES
    assert theirs(OrasClient(insecure=True), docker_registry, "ours") == FILES


@BOTH
def test_pushed_by_ebpm_and_read_with_oras_py(
    client: RegistryClient, docker_registry: str, work: Path, make: type
) -> None:
    store = MemoryStore()
    config = store.add(b"{}", Descriptor.of(b"{}", "application/vnd.example.config+json"))
    layers = [
        store.add(data, Descriptor.of(data, "application/octet-stream", annotations={TITLE: name}))
        for name, data in FILES.items()
    ]
    raw = write_manifest(config, layers, artifact_type="application/vnd.example")
    root = store.add(raw, Descriptor.of(raw, MANIFEST))
    copy(store, root, repository_of(client, docker_registry), "1")
    script = make(insecure=True)
    assert theirs(script, docker_registry, "there") == FILES
    manifest = script.get_manifest(f"{docker_registry}/tools/x:1")
    assert manifest["layers"] == [layer.to_json() for layer in layers]
    assert script.get_tags(f"{docker_registry}/tools/x") == ["1"]


def test_both_push_the_same_manifest(docker_registry: str, files: list[str]) -> None:
    digests = set()
    for make in (oras.provider.Registry, OrasClient):
        script = make(insecure=True)
        response = script.push(target=f"{docker_registry}/tools/x:1", files=files)
        assert response.status_code == 201
        digests.add(response.headers["Docker-Content-Digest"])
    assert len(digests) == 1


@BOTH
def test_a_folder_goes_there_and_back(docker_registry: str, work: Path, make: type) -> None:
    (work / "data/deep").mkdir(parents=True)
    (work / "data/deep/file").write_bytes(b"content")
    make(insecure=True).push(target=f"{docker_registry}/tools/x:1", files=["data"])
    for number, reader in enumerate((oras.provider.Registry, OrasClient)):
        reader(insecure=True).pull(f"{docker_registry}/tools/x:1", outdir=f"there{number}")
        assert (work / f"there{number}/data/deep/file").read_bytes() == b"content"


def test_only_ours_notices_a_byte_that_changed_on_the_registrys_disk(
    client: RegistryClient, docker_registry: str, files: list[str], tmp_path: Path
) -> None:
    OrasClient(insecure=True).push(target=f"{docker_registry}/tools/x:1", files=files)
    digest = Descriptor.of(FILES["small.txt"], "x").digest.hex
    (path,) = (tmp_path / "docker-registry").rglob(f"{digest}/data")
    path.write_bytes(b"CONTENT")
    assert theirs(oras.provider.Registry(insecure=True), docker_registry, "plain")["small.txt"] == (
        b"CONTENT"
    )
    with pytest.raises(IntegrityError):
        theirs(OrasClient(insecure=True), docker_registry, "there")
    assert list(Path("there").iterdir()) == []
    with pytest.raises(IntegrityError):
        ours(client, docker_registry)
