"""oras, crane and cosign: they read what we push and our store, and we what they write."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.artifacts import discover
from ebpm.cache.layout import Layout
from ebpm.errors import IntegrityError
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import Manifest
from ebpm.oci.store import MemoryStore, fetch_manifest
from ebpm.registry.client import RegistryClient
from ebpm.registry.repository import Repository
from tests import needs
from tests.artifacts import artifact, client_for, is_whole, repository_of, two_platforms
from tests.conftest import Ebpm
from tests.oci.test_referrers import refer, tag_signature

pytestmark = pytest.mark.needs("docker-registry")

Run = Callable[..., str]
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SPDX = "application/spdx+json"


@pytest.fixture
def run(work: Path) -> Run:
    """Run a program in an empty folder, with nothing to reach but loopback; give its words."""
    environment = {**os.environ, "COSIGN_PASSWORD": "", "HTTPS_PROXY": "http://127.0.0.1:9"}

    def call(*command: str | Path, check: bool = True) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    return call


def with_notes() -> tuple[MemoryStore, Descriptor]:
    """Make an artifact for two machines, with a note, a note of that, and a signature's tag."""
    source, root = two_platforms(os.urandom(50_000))
    refer(source, refer(source, root, b"note"), b"of the note")
    tag_signature(source, root, b"signature")
    return source, root


def everything(source: Repository | Layout, name: str) -> MemoryStore:
    target = MemoryStore()
    copy(source, source.resolve(name), target, None, referrers=True)
    return target


# --- oras ----------------------------------------------------------------------------------------


@pytest.mark.needs("oras")
def test_oras_pulls_what_we_push_and_sees_what_we_attach(
    run: Run, ebpm: Ebpm, docker_registry: str, work: Path
) -> None:
    Path("tool.txt").write_text("content")
    place = f"{docker_registry}/t/x:1"
    run("oras", "push", "--plain-http", place, "tool.txt:text/plain")
    Path("sbom.json").write_text("{}")
    ebpm.run("attach", place, f"sbom.json:{SPDX}", "--type", SPDX, "-a", "made=up")
    seen = json.loads(run("oras", "discover", "--plain-http", "--format", "json", place))
    (one,) = seen.get("referrers") or seen["manifests"]
    assert (one["artifactType"], one["annotations"]) == (SPDX, {"made": "up"})
    ebpm.run("copy", place, f"{docker_registry}/t/y:2")
    run("oras", "pull", "--plain-http", "-o", "there", f"{docker_registry}/t/y:2")
    assert Path("there/tool.txt").read_text() == "content"
    run("oras", "pull", "--plain-http", "-o", "sbom", f"{docker_registry}/t/y@{one['digest']}")
    assert Path("sbom/sbom.json").read_text() == "{}"


@pytest.mark.needs("oras")
def test_we_see_what_oras_attaches(
    run: Run, docker_registry: str, client: RegistryClient, work: Path
) -> None:
    source, root = with_notes()
    repository = repository_of(client, docker_registry, "t/x")
    copy(source, root, repository, "1")
    Path("note.txt").write_text("note")
    for text in ("one", "two"):
        run(
            *("oras", "attach", "--plain-http", "--artifact-type", "a/b"),
            *(f"{docker_registry}/t/x:1", "note.txt", "-a", f"text={text}"),
        )
    found = repository.referrers(root)
    assert sorted(one.annotations["text"] for one in found) == ["one", "two"]
    assert {one.artifact_type for one in found} == {"a/b"}


@pytest.mark.needs("oras")
def test_oras_and_we_carry_the_same_things(
    run: Run, docker_registry: str, client: RegistryClient, work: Path
) -> None:
    """Ours to a registry, on with `oras cp -r` to a folder, and from there back with us."""
    source, root = with_notes()
    copy(source, root, repository_of(client, docker_registry, "t/x"), "1", referrers=True)
    place = f"{docker_registry}/t/x:1"
    run("oras", "cp", "-r", "--from-plain-http", "--to-oci-layout", place, "folder:1")
    back = everything(Layout("folder", readonly=True), "1")
    assert back.attached == source.attached  # cosign's tags are nothing that oras knows
    assert back.blobs.items() <= source.blobs.items()


@pytest.mark.needs("oras")
def test_oras_reads_our_store_and_our_folders(run: Run, docker_registry: str, work: Path) -> None:
    source, root = with_notes()
    store = Workspace().store()
    copy(source, root, store, "localhost:5000/tools/x:1", referrers=True)
    raw = run("oras", "manifest", "fetch", "--oci-layout-path", store.root,
              "localhost:5000/tools/x:1")  # fmt: skip
    assert raw.encode() == source.blobs[str(root.digest)]
    folder = Layout.create("folder")
    copy(source, root, folder, "1", referrers=True)
    tree = json.loads(run("oras", "discover", "--oci-layout", "--format", "json", "folder:1"))
    assert len(tree.get("referrers") or tree["manifests"]) == 1
    run("oras", "cp", "-r", "--from-oci-layout", "--to-plain-http", "folder:1",
        f"{docker_registry}/t/x:1")  # fmt: skip
    with client_for(work) as client:
        back = everything(repository_of(client, docker_registry, "t/x"), "1")
        assert back.attached == source.attached


@pytest.mark.needs("oras")
def test_what_oras_keeps_though_it_is_wrong_we_do_not(
    run: Run, ebpm: Ebpm, docker_registry: str, work: Path
) -> None:
    """oras reports the wrong bytes, and leaves them under the final name."""
    Path("tool.txt").write_text("content")
    place = f"{docker_registry}/t/x:1"
    run("oras", "push", "--plain-http", place, "tool.txt:text/plain")
    digest = Descriptor.of(b"content", "text/plain").digest
    (stored,) = (work / "docker-registry").rglob(f"{digest.hex}/data")
    stored.write_bytes(b"CONTENT")
    run("oras", "pull", "--plain-http", "-o", "there", place, check=False)
    assert Path("there/tool.txt").read_text() == "CONTENT"
    ebpm.run("blob", "get", "-o", "mine", f"{docker_registry}/t/x@{digest}", check=6)
    assert not Path("mine").exists()


@pytest.mark.needs("oras")
def test_twelve_processes_that_attach_at_once_are_all_found(
    run: Run, ebpm: Ebpm, docker_registry: str, client: RegistryClient, work: Path
) -> None:
    """Of twelve parallel `oras attach` five stayed on docker-registry, and none failed."""
    source, root = artifact(b"layer")
    repository = repository_of(client, docker_registry, "t/x")
    copy(source, root, repository, "1")
    place = f"{docker_registry}/t/x:1"
    running = [
        ebpm.start("attach", place, "--type", "a/b", "-a", f"number={number}")
        for number in range(12)
    ]
    assert [one.wait(60) for one in running] == [0] * 12
    found = {one.annotations["number"] for one in repository.referrers(root)}
    assert found == set(map(str, range(12)))
    for one in running:
        for stream in (one.stdout, one.stderr):
            assert stream
            stream.close()
    tree = json.loads(run("oras", "discover", "--plain-http", "--format", "json", place))
    assert len(tree.get("referrers") or tree["manifests"]) == 12


# --- crane ---------------------------------------------------------------------------------------


@pytest.mark.needs("crane")
def test_crane_reads_what_we_push_and_we_what_it_pulls(
    run: Run, docker_registry: str, client: RegistryClient, work: Path
) -> None:
    source, root = two_platforms(os.urandom(50_000))
    place = f"{docker_registry}/t/x:1"
    copy(source, root, repository_of(client, docker_registry, "t/x"), "1")
    assert run("crane", "digest", "--insecure", place).strip() == str(root.digest)
    assert run("crane", "manifest", "--insecure", place).encode() == source.blobs[str(root.digest)]
    assert run("crane", "ls", "--insecure", f"{docker_registry}/t/x").split() == ["1"]
    run("crane", "pull", "--insecure", "--format=oci", place, "folder")
    layout = Layout("folder", readonly=True)
    assert everything(layout, "").blobs == source.blobs


@pytest.mark.needs("crane")
def test_crane_sends_our_folder(
    run: Run, docker_registry: str, client: RegistryClient, work: Path
) -> None:
    source, root = two_platforms(os.urandom(50_000))
    copy(source, root, Layout.create("folder"), "1")
    run("crane", "push", "--insecure", "--index", "folder", f"{docker_registry}/t/x:1")
    repository = repository_of(client, docker_registry, "t/x")
    # crane sends the folder's index, in which ours is the only entry.
    found = everything(repository, "1").blobs
    assert found.items() >= source.blobs.items()


@pytest.fixture
def crane_registry(work: Path) -> Iterator[str]:
    """Run `crane registry serve`, another implementation of the server's side."""

    def command(port: int) -> list[str]:
        return ["crane", "registry", "serve", "--address", f"127.0.0.1:{port}"]

    with needs.program_registry(command, work / "crane-log") as host:
        yield host


@pytest.mark.needs("crane")
def test_we_push_to_cranes_registry_and_pull_all_of_it(
    crane_registry: str, client: RegistryClient
) -> None:
    source, root = with_notes()
    source.blobs |= (large := artifact(os.urandom(6 << 20)))[0].blobs
    repository = repository_of(client, crane_registry, "t/x")
    copy(source, root, repository, "1", referrers=True)
    copy(source, large[1], repository, "2")
    back = everything(repository, "1")
    assert back.attached == source.attached
    assert set(back.tags) <= {*source.tags}
    assert everything(repository, "2").blobs == large[0].blobs
    other = repository_of(client, crane_registry, "t/y")
    copy(repository, repository.resolve("1"), other, "1", referrers=True)
    assert everything(other, "1").blobs == back.blobs
    assert set(repository.tags()) >= {"1", "2"}


# --- cosign --------------------------------------------------------------------------------------


@pytest.fixture
def signed(run: Run, docker_registry: str, client: RegistryClient, work: Path) -> Descriptor:
    """An artifact at t/x:1, signed by cosign in both of its ways with cosign.key."""
    source, root = two_platforms(os.urandom(1000))
    copy(source, root, repository_of(client, docker_registry, "t/x"), "1")
    run("cosign", "generate-key-pair")
    Path("config.json").write_text(run("cosign", "signing-config", "create"))
    sign = ("cosign", "sign", "-y", "--key", "cosign.key", "--allow-http-registry")
    old = ("--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false")
    for way in (("--signing-config", "config.json"), old):
        run(*sign, *way, f"{docker_registry}/t/x@{root.digest}")
    return root


def verify(run: Run, place: str) -> None:
    """Let cosign verify both signatures."""
    words = ("cosign", "verify", "--key", "cosign.pub", "--allow-http-registry")
    for way in ((), ("--new-bundle-format=false",)):
        assert run(*words, "--insecure-ignore-tlog", *way, place)


@pytest.mark.needs("cosign")
def test_what_cosign_signs_is_found_whatever_type_it_writes_into_the_list(
    signed: Descriptor, docker_registry: str, client: RegistryClient
) -> None:
    repository = repository_of(client, docker_registry, "t/x")
    (one,) = repository.referrers(signed)
    assert one.artifact_type == BUNDLE
    assert one.annotations["dev.sigstore.bundle.content"] == "dsse-envelope"
    assert [found.tag for found in discover(repository, signed)] == [
        None, f"sha256-{signed.digest.hex}.sig",
    ]  # fmt: skip
    listed = fetch_manifest(repository, one)
    assert isinstance(listed, Manifest)
    assert listed.subject
    assert listed.subject.digest == signed.digest


@pytest.mark.needs("cosign")
def test_what_we_copy_cosign_still_verifies(
    run: Run, ebpm: Ebpm, signed: Descriptor, docker_registry: str
) -> None:
    ways = [f"{docker_registry}/t/x:1", "oci:folder:1", "x:1", "oci-archive:bundle.tar:1"]
    for source, target in zip(ways, [*ways[1:], f"{docker_registry}/t/end:1"], strict=True):
        ebpm.run("copy", source, target)
    verify(run, f"{docker_registry}/t/end@{signed.digest}")
    assert is_whole(Workspace().store())


@pytest.mark.needs("cosign")
def test_a_changed_signature_is_not_carried(
    run: Run, signed: Descriptor, docker_registry: str, client: RegistryClient, work: Path
) -> None:
    repository = repository_of(client, docker_registry, "t/x")
    (one,) = repository.referrers(signed)
    (stored,) = (work / "docker-registry").rglob(f"{one.digest.hex}/data")
    stored.write_bytes(stored.read_bytes().replace(b"dsse-envelope", b"DSSE-envelope"))
    with pytest.raises(IntegrityError):
        copy(repository, signed, MemoryStore(), "1", referrers=True)
