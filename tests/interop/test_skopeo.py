"""Skopeo reads our store as it is; and we read what skopeo wrote."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.cache.layout import Layout
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import MemoryStore
from ebpm.registry.client import RegistryClient
from ebpm.testing.registry import registry_server
from tests.artifacts import artifact, is_whole, repository_of, two_platforms
from tests.conftest import Ebpm

pytestmark = pytest.mark.needs("skopeo")

Run = Callable[..., str]
NAMES = ["x:latest", "tools/x:1.0", "localhost:5000/tools/x:1.0", "ghcr.io/acme/x:v1_2-3"]


def kept(name: str, store: Layout | None = None) -> tuple[MemoryStore, Descriptor]:
    """Put an artifact for two machines into our store."""
    source, root = two_platforms(os.urandom(50_000), b"{}")
    copy(source, root, store or Workspace().store(), name)
    return source, root


def everything(source, root: Descriptor) -> dict[str, bytes]:
    target = MemoryStore()
    copy(source, root, target, None)
    return target.blobs


@pytest.mark.parametrize("name", NAMES)
def test_it_inspects_our_store(skopeo: Run, name: str) -> None:
    source, root = kept(name)
    raw = skopeo("inspect", "--raw", f"oci:{Workspace().store().root}:{name}")
    assert raw.encode() == source.blobs[str(root.digest)]


@pytest.mark.needs("docker-registry")
@pytest.mark.parametrize("name", NAMES[1:3])
def test_it_copies_from_our_store_to_a_registry_and_we_pull_the_same(
    skopeo: Run, docker_registry: str, client: RegistryClient, name: str
) -> None:
    source, root = kept(name)
    store = Workspace().store()
    skopeo(
        *("copy", "--all", "--preserve-digests", "--dest-tls-verify=false"),
        *(f"oci:{store.root}:{name}", f"docker://{docker_registry}/copied/x:1.0"),
    )
    repository = repository_of(client, docker_registry, "copied/x")
    assert repository.resolve("1.0").digest == root.digest
    assert everything(repository, repository.resolve("1.0")) == source.blobs


@pytest.mark.needs("docker-registry")
def test_we_push_and_it_copies_to_a_folder_that_we_read(
    skopeo: Run, docker_registry: str, client: RegistryClient, tmp_path: Path
) -> None:
    source, root = two_platforms(os.urandom(50_000))
    copy(source, root, repository_of(client, docker_registry), "1.0")
    folder = tmp_path / "folder"
    skopeo(
        *("copy", "--all", "--preserve-digests", "--src-tls-verify=false"),
        *(f"docker://{docker_registry}/tools/x:1.0", f"oci:{folder}:theirs"),
    )
    layout = Layout(str(folder), readonly=True)
    for name in ("theirs", ""):
        assert layout.resolve(name).digest == root.digest
    assert everything(layout, layout.resolve("theirs")) == source.blobs


def test_it_writes_into_our_layout_folder_and_we_go_on(skopeo: Run, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    first, root = kept("first", Layout.create(str(theirs)))
    copy(first, root, Layout.create(str(ours)), "first")
    _, other = kept("second", Layout.create(str(theirs)))
    skopeo("copy", "--all", "--preserve-digests", f"oci:{theirs}:second", f"oci:{ours}:second")
    third, last = artifact(b"third")
    layout = Layout.create(str(ours))
    copy(third, last, layout, "third")
    assert {name: layout.resolve(name).digest for name in ("first", "second", "third")} == {
        "first": root.digest,
        "second": other.digest,
        "third": last.digest,
    }
    assert is_whole(layout)


def test_what_it_drops_from_our_store_comes_back(skopeo: Run, tmp_path: Path) -> None:
    """It writes the index without a lock: of twenty parallel copies two or three stay."""
    store = Workspace().store()
    for number in range(5):
        kept(f"ours:{number}", store)
    kept("from", Layout.create(str(tmp_path / "other")))
    copies = [
        subprocess.Popen(
            [
                *("skopeo", "--insecure-policy", "copy", "--quiet", "--all"),
                *(f"oci:{tmp_path}/other:from", f"oci:{store.root}:theirs:{number}"),
            ],
            stderr=subprocess.DEVNULL,
        )
        for number in range(6)
    ]
    for one in copies:
        one.wait(30)
    kept("ours:last", store)
    names = {one.ref_name for one in store.entries()}
    assert {f"ours:{number}" for number in range(5)} | {"ours:last"} <= names
    assert json.loads(Path(store.root, "index.json").read_bytes())["schemaVersion"] == 2
    assert is_whole(store)


def test_our_test_registry_serves_it(skopeo: Run, tmp_path: Path) -> None:
    source, root = kept("x:1", Layout.create(str(tmp_path / "layout")))
    with registry_server() as server:
        skopeo(
            *("copy", "--all", "--preserve-digests", "--dest-tls-verify=false"),
            *(f"oci:{tmp_path}/layout:x:1", f"docker://{server.host}/tools/x:1"),
        )
        assert server.repositories["tools/x"].tags == {"1": str(root.digest)}
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{server.host}/tools/x:1")
        assert raw.encode() == source.blobs[str(root.digest)]
        tags = skopeo("list-tags", "--tls-verify=false", f"docker://{server.host}/tools/x")
        assert json.loads(tags)["Tags"] == ["1"]


def test_the_commands_pull_from_its_folder(skopeo: Run, ebpm: Ebpm, tmp_path: Path) -> None:
    _, root = kept("x:1", Layout.create(str(tmp_path / "ours")))
    folder = tmp_path / "theirs"
    skopeo("copy", "--all", f"oci:{tmp_path}/ours:x:1", f"oci:{folder}:y:2")
    done = ebpm.run("pull", f"oci:{folder}:y:2")
    assert done.stdout == f"pulled y:2@{root.digest}\n"


def test_it_reads_our_tar_and_we_read_its(skopeo: Run, tmp_path: Path, ebpm: Ebpm) -> None:
    source, _ = kept("x:1")
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    ebpm.run("push", "x:1", f"oci:{ours}:x:1")
    skopeo(
        *("copy", "--all", "--preserve-digests"),
        *(f"oci-archive:{ours}:x:1", f"oci-archive:{theirs}:y:2"),
    )
    for text in (f"oci:{theirs}:y:2", f"oci-archive:{theirs}"):
        ebpm.run("pull", text, "-t", "back:1")
        store = Workspace().store()
        assert everything(store, store.resolve("back:1")) == source.blobs
        ebpm.run("remove", "back:1")
