"""With Debian's docker-registry: what everybody else's client has been tried on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.cache.layout import Layout
from ebpm.errors import AuthenticationFailed, IntegrityError, ManifestNotFound
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import MemoryStore
from ebpm.registry.client import RegistryClient
from ebpm.registry.credentials import Credential
from ebpm.registry.oras import OrasClient
from ebpm.registry.upload import upload_in_chunks
from tests.artifacts import artifact, client_for, is_whole, repository_of, two_platforms
from tests.conftest import Ebpm

pytestmark = pytest.mark.needs("docker-registry")


def fill_store(name: str) -> Descriptor:
    source, root = two_platforms(os.urandom(100_000), b"")
    return copy(source, root, Workspace().store(), name)


def test_what_is_pushed_is_pulled_byte_for_byte(
    client: RegistryClient, docker_registry: str
) -> None:
    source, root = two_platforms(os.urandom(6 << 20), b"small", b"")
    repository = repository_of(client, docker_registry)
    for _ in range(2):
        copy(source, root, repository, "1.0")
    pulled = MemoryStore()
    copy(repository, repository.resolve("1.0"), pulled, None)
    assert pulled.blobs == source.blobs


def test_the_commands_push_pull_and_list(ebpm: Ebpm, docker_registry: str) -> None:
    name = f"{docker_registry}/tools/x:1.0"
    root = fill_store(name)
    pushed = ebpm.run("push", name).stdout
    assert pushed == f"pushed {name}@{root.digest}\n"
    ebpm.run("remove", name)
    assert ebpm.run("pull", name).stdout == f"pulled {name}@{root.digest}\n"
    pinned = f"{docker_registry}/tools/x@{root.digest}"
    assert ebpm.run("pull", pinned).stdout == f"pulled {pinned}@{root.digest}\n"
    assert is_whole(Workspace().store())


def test_a_blob_goes_up_in_chunks(client: RegistryClient, docker_registry: str) -> None:
    data = os.urandom(300_000)
    blob = Descriptor.of(data, "application/octet-stream")
    repository = repository_of(client, docker_registry)
    upload_in_chunks(repository.channel, blob, [data], 70_000)
    assert repository.has(blob)


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_disk_of_the_registry_reaches_no_store(
    client: RegistryClient, docker_registry: str, tmp_path: Path, damage: str
) -> None:
    source, root = artifact(b"a program" * 1000)
    repository = repository_of(client, docker_registry)
    copy(source, root, repository, "1")
    digest = Descriptor.of(b"a program" * 1000, "x").digest.hex
    (path,) = (tmp_path / "docker-registry").rglob(f"{digest}/data")
    data = path.read_bytes()
    path.write_bytes(data[:-9] if damage == "cut" else b"A" + data[1:])
    store = Layout.create(str(tmp_path / "store"))
    with pytest.raises(IntegrityError):
        copy(repository, repository.resolve("1"), store, "x:1")
    assert store.entries() == []


# --- with a password -----------------------------------------------------------------------------


def test_a_login_is_tried_and_then_pushes_and_pulls(ebpm: Ebpm, guarded_registry: str) -> None:
    name = f"{guarded_registry}/tools/x:1.0"
    fill_store(name)
    refused = ebpm.run("push", name, check=4)
    assert refused.stderr.startswith("error[authentication-failed]")
    assert f"hint: ebpm login {guarded_registry}" in refused.stderr

    def login(password: str, check: int) -> str:
        done = ebpm.run(
            "login", "-u", "alice", "--password-stdin", guarded_registry, input=password,
            check=check,
        )  # fmt: skip
        return done.stdout + done.stderr

    assert "error[authentication-failed]" in login("wrong\n", 4)
    assert not Path(os.environ["DOCKER_CONFIG"], "config.json").exists()
    assert "logged in" in login("secret\n", 0)
    ebpm.run("push", name)
    ebpm.run("remove", name)
    ebpm.run("pull", name)
    ebpm.run("logout", guarded_registry)
    ebpm.run("pull", name, check=4)


def test_a_password_is_for_one_registry(
    guarded_registry: str, docker_registry: str, tmp_path: Path
) -> None:
    login = {guarded_registry: Credential("alice", "secret")}
    with client_for(tmp_path, login=lambda host, _: login.get(host)) as client:
        source, root = artifact(b"layer")
        for host in (guarded_registry, docker_registry):
            copy(source, root, repository_of(client, host), "1")
        with pytest.raises(ManifestNotFound, match="MANIFEST_UNKNOWN manifest unknown"):
            repository_of(client, guarded_registry).resolve("2")


def test_scripts_of_oras_py_log_in_too(guarded_registry: str, work: Path) -> None:
    (work / "f").write_bytes(b"content")
    script = OrasClient(insecure=True)
    with pytest.raises(AuthenticationFailed):
        script.push(target=f"{guarded_registry}/x:1", files=["f"])
    script.login("alice", "secret", hostname=guarded_registry)
    script.push(target=f"{guarded_registry}/x:1", files=["f"])
    assert script.get_tags(f"{guarded_registry}/x") == ["1"]
