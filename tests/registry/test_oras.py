"""Scripts of oras-py on our transport."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import oras.client
import oras.layout
import oras.provider
import pytest

from ebpm.errors import (
    AuthenticationFailed,
    DigestMismatch,
    InsecureTransport,
    IntegrityError,
    InvalidDigest,
    InvalidManifest,
    InvalidReference,
    ManifestNotFound,
    PlatformNotFound,
    RegistryUnreachable,
    Unsupported,
)
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import INDEX, MANIFEST, Descriptor
from ebpm.oci.manifest import write_index, write_manifest
from ebpm.oci.platform import Platform
from ebpm.oci.store import MemoryStore
from ebpm.registry.credentials import Credential
from ebpm.registry.oras import OrasClient
from ebpm.testing.guard import Guard
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import client_for, repository_of

TITLE = "org.opencontainers.image.title"
FOLDER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@pytest.fixture
def oras_client(server: RegistryServer, work: Path) -> OrasClient:
    return OrasClient(insecure=True)


@pytest.fixture
def files(work: Path) -> list[str]:
    (work / "one.txt").write_bytes(b"one")
    (work / "two.bin").write_bytes(os.urandom(100_000))
    return ["one.txt", "two.bin"]


def put(
    server: RegistryServer,
    tmp_path: Path,
    layers: dict[str, bytes],
    media_type: str = "application/octet-stream",
    platforms: tuple[str, ...] = (),
) -> None:
    """Push files as an artifact, under any titles."""
    store = MemoryStore()
    config = store.add(b"{}", Descriptor.of(b"{}", "application/vnd.oci.empty.v1+json"))
    parts = [
        store.add(data, Descriptor.of(data, media_type, annotations={TITLE: title}))
        for title, data in layers.items()
    ]
    raw = write_manifest(config, parts)
    root = store.add(raw, Descriptor.of(raw, MANIFEST))
    if platforms:
        entries = [
            Descriptor.of(raw, MANIFEST, platform=Platform("linux", one)) for one in platforms
        ]
        raw = write_index(entries)
        root = store.add(raw, Descriptor.of(raw, INDEX))
    with client_for(tmp_path) as client:
        copy(store, root, repository_of(client, server.host), "1")


def pulled(oras_client: OrasClient, server: RegistryServer, **options: Any) -> dict[str, bytes]:
    places = oras_client.pull(f"{server.host}/tools/x:1", outdir="there", **options)
    here = Path("there").resolve()
    return {str(Path(place).relative_to(here)): Path(place).read_bytes() for place in places}


# --- as scripts do it ----------------------------------------------------------------------------


def test_it_is_what_scripts_expect() -> None:
    assert isinstance(OrasClient(), oras.provider.Registry)
    assert isinstance(OrasClient(), oras.client.OrasClient)


@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_pushed_is_pulled(
    oras_client: OrasClient, server: RegistryServer, files: list[str], chunked: bool
) -> None:
    response = oras_client.push(
        target=f"{server.host}/tools/x:1", files=files, do_chunked=chunked, chunk_size=30_000
    )
    assert response.status_code == 201
    assert pulled(oras_client, server) == {name: Path(name).read_bytes() for name in files}
    assert len(server.requests("PATCH")) == (5 if chunked else 0)
    tag = server.repositories["tools/x"].tags["1"]
    assert response.headers["Docker-Content-Digest"] == tag


def test_pushing_again_sends_nothing(
    oras_client: OrasClient, server: RegistryServer, files: list[str]
) -> None:
    for _ in range(2):
        server.log.clear()
        response = oras_client.push(target=f"{server.host}/tools/x:1", files=files)
        assert response.ok
    assert server.requests("PUT") == server.requests("POST") == []


def test_a_folder_is_pushed_and_pulled(
    oras_client: OrasClient, server: RegistryServer, work: Path
) -> None:
    (work / "data/deep").mkdir(parents=True)
    (work / "data/deep/file").write_bytes(b"content")
    (work / "data/run").write_bytes(b"#!/bin/sh\n")
    (work / "data/run").chmod(0o755)
    oras_client.push(target=f"{server.host}/tools/x:1", files=["data"])
    for _ in range(2):  # a second time over the first
        (place,) = oras_client.pull(f"{server.host}/tools/x:1", outdir="there")
        assert Path(place) == work / "there/data"
        assert (work / "there/data/deep/file").read_bytes() == b"content"
        assert (work / "there/data/run").stat().st_mode & stat.S_IXUSR
    assert {path.name for path in (work / "there").iterdir()} == {"data"}


def test_of_an_index_the_files_for_this_machine_are_pulled(
    oras_client: OrasClient, server: RegistryServer, tmp_path: Path
) -> None:
    here = Platform.of_machine(os.uname().machine).architecture
    put(server, tmp_path, {"tool": b"binary"}, platforms=("mips64", here))
    assert pulled(oras_client, server) == {"tool": b"binary"}
    put(server, tmp_path, {"tool": b"other"}, platforms=("mips64", "s390x"))
    with pytest.raises(PlatformNotFound):
        pulled(oras_client, server)


def test_tags_are_listed_over_all_pages(
    oras_client: OrasClient, server: RegistryServer, files: list[str]
) -> None:
    for tag in "abcde":
        oras_client.push(target=f"{server.host}/tools/x:{tag}", files=files)
    for relative in (False, True):
        server.faults.page_size = 2  # and each list begins with an empty page
        server.faults.relative_links = relative
        assert oras_client.get_tags(f"{server.host}/tools/x") == list("abcde")
        assert oras_client.get_tags(f"{server.host}/tools/x", N=3) == list("abc")


def test_a_deleted_tag_takes_no_other_with_it(
    oras_client: OrasClient, server: RegistryServer, files: list[str]
) -> None:
    for tag in ("1", "latest"):
        oras_client.push(target=f"{server.host}/tools/x:{tag}", files=files)
    assert oras_client.delete_tag(f"{server.host}/tools/x", "1")
    assert oras_client.delete_tags(f"{server.host}/tools/x", ["1", "2"]) == []
    assert oras_client.get_tags(f"{server.host}/tools/x") == ["latest"]


def test_a_manifest_is_read_and_written(
    oras_client: OrasClient, server: RegistryServer, files: list[str]
) -> None:
    oras_client.push(target=f"{server.host}/tools/x:1", files=files)
    manifest = oras_client.get_manifest(f"{server.host}/tools/x:1")
    assert [layer["annotations"][TITLE] for layer in manifest["layers"]] == files
    manifest["annotations"] = {"a": "b"}
    response = oras_client.upload_manifest(
        manifest, oras_client.get_container(f"{server.host}/tools/x:2")
    )
    assert response.status_code == 201
    assert oras_client.get_manifest(f"{server.host}/tools/x:2")["annotations"] == {"a": "b"}
    with pytest.raises(InvalidManifest, match="is of type"):
        oras_client.get_manifest(f"{server.host}/tools/x:1", allowed_media_type=[INDEX])


def test_a_layout_goes_there_and_back(
    oras_client: OrasClient, server: RegistryServer, files: list[str], work: Path
) -> None:
    oras_client.push(target=f"{server.host}/tools/x:1", files=files)
    target = f"{server.host}/tools/x:1"
    layout = oras.layout.NewLayoutFromRegistry("layout", oras_client, target, tag="1")
    layout.push_to_registry(oras_client, f"{server.host}/tools/y:1", tag="1")
    assert server.repositories["tools/y"].tags["1"] == server.repositories["tools/x"].tags["1"]


def test_a_blob_is_read_by_those_who_stream(
    oras_client: OrasClient, server: RegistryServer, tmp_path: Path
) -> None:
    put(server, tmp_path, {"f": b"x" * 50_000})
    digest = str(Descriptor.of(b"x" * 50_000, "x").digest)
    container = oras_client.get_container(f"{server.host}/tools/x")
    with oras_client.get_blob(container, digest, stream=True) as response:
        response.raise_for_status()
        assert b"".join(response.iter_content(chunk_size=8192)) == b"x" * 50_000
    assert oras_client.get_blob(container, digest).content == b"x" * 50_000
    assert oras_client.get_blob(container, digest, head=True).status_code == 200
    server.faults.wrong_bytes = bytes.upper
    response = oras_client.get_blob(container, digest, stream=True)
    with response, pytest.raises(DigestMismatch):
        list(response.iter_content(chunk_size=8192))


def test_existing_files_are_kept_for_those_who_want_it(
    oras_client: OrasClient, server: RegistryServer, tmp_path: Path
) -> None:
    put(server, tmp_path, {"a": b"new", "b": b"new"})
    Path("there").mkdir()
    Path("there/a").write_bytes(b"old")
    assert pulled(oras_client, server, overwrite=False) == {"b": b"new"}
    assert Path("there/a").read_bytes() == b"old"
    assert pulled(oras_client, server) == {"a": b"new", "b": b"new"}


# --- names and logins ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "registry", "path"),
    [
        ("ghcr.io/acme/x:1", "ghcr.io", "acme/x"),
        ("localhost/foo:bar", "localhost", "foo"),
        ("localhost:5000/foo", "localhost:5000", "foo"),
        ("acme/x", "docker.io", "acme/x"),
        ("x", "docker.io", "x"),
    ],
)
def test_names_are_read_by_our_rules(name: str, registry: str, path: str) -> None:
    container = OrasClient().get_container(name)
    assert (container.registry, container.api_prefix) == (registry, path)
    channel = OrasClient()._channel(name)
    where = "registry-1.docker.io" if registry == "docker.io" else registry
    assert f"://{where}/v2/{'library/x' if path == 'x' else path}" in channel.url


def test_a_hostname_is_for_names_without_one() -> None:
    assert OrasClient(hostname="ghcr.io").get_container("acme/x").registry == "ghcr.io"


@pytest.mark.parametrize("name", ["ghcr.io/a/../b", "ghcr.io/a?x=1", "ghcr.io/a b", "Ghcr.io/A"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidReference):
        OrasClient().get_container(name)


@pytest.mark.parametrize("tokens", [False, True])
def test_a_login_is_tried_kept_and_used(
    tokens: bool, work: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry_server(Guard(tokens=tokens)) as server:
        oras_client = OrasClient(insecure=True)
        with pytest.raises(AuthenticationFailed):
            oras_client.login("alice", "wrong", hostname=server.host)
        assert not (Path.home() / ".docker/config.json").exists()
        assert oras_client.login("alice", "secret", hostname=server.host) == {
            "Status": "Login Succeeded"
        }
        assert stat.S_IMODE((Path.home() / ".docker/config.json").stat().st_mode) == 0o600
        oras_client.push(target=f"{server.host}/tools/x:1", files=files)
        again = OrasClient(insecure=True)  # out of the file
        assert len(again.pull(f"{server.host}/tools/x:1", outdir="there")) == 2
        for client in (oras_client, again):
            client.logout(server.host)
            with pytest.raises(AuthenticationFailed):
                client.get_tags(f"{server.host}/tools/x")


def test_a_login_may_be_kept_elsewhere(work: Path, files: list[str]) -> None:
    with registry_server(Guard()) as server:
        OrasClient(insecure=True).login(
            "alice", "secret", hostname=server.host, config_path="logins.json"
        )
        assert not (Path.home() / ".docker").exists()
        target = f"{server.host}/tools/x:1"
        OrasClient(insecure=True).push(target=target, files=files, config_path="logins.json")
        with pytest.raises(AuthenticationFailed):
            OrasClient(insecure=True).push(target=target, files=files)


def test_a_password_that_is_given_goes_to_the_first_registry_and_no_other(
    work: Path, files: list[str]
) -> None:
    with registry_server(Guard()) as one, registry_server(Guard()) as other:
        oras_client = OrasClient(insecure=True)
        oras_client.auth.set_basic_auth("alice", "secret")
        oras_client.push(target=f"{one.host}/tools/x:1", files=files)
        with pytest.raises(AuthenticationFailed):
            oras_client.push(target=f"{other.host}/tools/x:1", files=files)
        assert all("authorization" not in request.headers for request in other.log)


def test_a_password_that_is_given_later_is_used(work: Path, files: list[str]) -> None:
    with registry_server(Guard(tokens=True)) as server:
        oras_client = OrasClient(server.host, insecure=True)
        with pytest.raises(AuthenticationFailed):
            oras_client.get_tags("tools/x")
        oras_client.auth.set_basic_auth("alice", "secret")
        oras_client.push(target="tools/x:1", files=files)
        assert oras_client.get_tags("tools/x") == ["1"]


def test_our_settings_and_logins_can_be_its_own(
    work: Path, tmp_path: Path, files: list[str]
) -> None:
    lines: list[str] = []
    alice = Credential("alice", "secret")
    with (
        registry_server(Guard()) as server,
        client_for(tmp_path, login=lambda *_: alice, log=lines.append) as client,
    ):
        OrasClient(client=client).push(target=f"{server.host}/tools/x:1", files=files)
        assert any("manifests/1 -> 201" in line for line in lines)


def test_a_header_with_a_credential_does_not_travel(
    oras_client: OrasClient, server: RegistryServer
) -> None:
    oras_client.set_header("Authorization", "Bearer leaked")
    oras_client.set_header("X-Trace", "kept")
    with registry_server() as elsewhere:
        oras_client.do_request(f"{elsewhere.url}/v2/x/tags/list", headers=oras_client.headers)
        (request,) = elsewhere.log
    assert "authorization" not in request.headers
    assert request.headers["x-trace"] == "kept"
    assert oras_client.headers == {"Authorization": "Bearer leaked", "X-Trace": "kept"}


def test_a_credential_is_for_registries_that_the_script_names(work: Path) -> None:
    """Not for any address that somebody else made up."""
    with registry_server(Guard()) as server:
        oras_client = OrasClient(insecure=True)
        oras_client.auth.give(Credential("alice", "secret"), server.host)
        url = f"{server.url}/v2/tools/x/tags/list"
        assert oras_client.do_request(url).status_code == 401
        oras_client.get_container(f"{server.host}/tools/x")
        assert oras_client.do_request(url).status_code == 404


# --- what is refused -----------------------------------------------------------------------------


def test_wrong_bytes_leave_no_file(
    oras_client: OrasClient, server: RegistryServer, tmp_path: Path
) -> None:
    put(server, tmp_path, {"f": b"right"})
    server.faults.wrong_bytes = lambda data: data.replace(b"right", b"wrong")
    with pytest.raises(IntegrityError):
        pulled(oras_client, server)
    digest = str(Descriptor.of(b"right", "x").digest)
    with pytest.raises(IntegrityError):
        oras_client.download_blob(f"{server.host}/tools/x", digest, "there/g")
    assert list(Path("there").iterdir()) == []


def test_a_download_that_breaks_off_leaves_no_file(
    oras_client: OrasClient, server: RegistryServer, tmp_path: Path
) -> None:
    put(server, tmp_path, {"f": b"x" * 1000})
    server.faults.status_for = lambda request: (
        server.faults.cut_after.append(10)
        if request.method == "GET" and "/blobs/" in request.path
        else None
    )  # type: ignore[func-returns-value]
    server.faults.no_range = True
    with pytest.raises(RegistryUnreachable):
        pulled(oras_client, server)
    assert list(Path("there").iterdir()) == []


@pytest.mark.parametrize("digest", ["sha256:../../../../etc/x", "x", "sha256:" + "0" * 63])
def test_a_digest_that_is_none_becomes_no_path(
    oras_client: OrasClient, server: RegistryServer, digest: str
) -> None:
    with pytest.raises(InvalidDigest):
        oras_client.download_blob(f"{server.host}/tools/x", digest, "there/f")
    assert not Path("there").exists()
    assert server.log == []


@pytest.mark.parametrize(
    "title",
    ["../out", "/tmp/ebpm-test-out", "a/../../out", "..", ".", "a/..", "x\0y", "link/out"],
)
def test_a_file_is_not_written_outside_of_its_folder(
    oras_client: OrasClient, server: RegistryServer, tmp_path: Path, title: str
) -> None:
    put(server, tmp_path, {title: b"evil"})
    Path("there").mkdir()
    Path("elsewhere").mkdir()
    Path("there/link").symlink_to(Path("elsewhere").resolve())
    with pytest.raises(InvalidManifest):
        pulled(oras_client, server)
    assert [path.name for path in Path("there").iterdir()] == ["link"]
    assert list(Path("elsewhere").iterdir()) == []
    assert not Path("/tmp/ebpm-test-out").exists()


def test_two_files_of_one_name_are_refused(
    oras_client: OrasClient, server: RegistryServer, tmp_path: Path
) -> None:
    put(server, tmp_path, {"a": b"one", "./a": b"two"})
    with pytest.raises(InvalidManifest, match="two files of one name"):
        pulled(oras_client, server)


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return whole.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    "members",
    [
        [(member("../out"), b"evil")],
        [(member("/tmp/ebpm-test-out"), b"evil")],
        [(member("data/../../out"), b"evil")],
        [(member("data-evil/../../there-evil/out"), b"evil")],
        [(member("l", tarfile.SYMTYPE, ".."), b""), (member("l/out"), b"evil")],
        [(member("l", tarfile.SYMTYPE, "/"), b"")],
        [(member("l", tarfile.LNKTYPE, "../victim"), b"")],
        [(member("d", tarfile.CHRTYPE), b"")],
        [(member("f", tarfile.FIFOTYPE), b"")],
        [(member("a"), b"one"), (member("a"), b"two")],
        [(member("a"), b"file"), (member("a/b"), b"in a file")],
    ],
    ids=lambda members: members[0][0].name,
)
def test_an_archive_writes_nothing_outside_and_makes_no_links(
    oras_client: OrasClient,
    server: RegistryServer,
    tmp_path: Path,
    members: list[tuple[tarfile.TarInfo, bytes]],
) -> None:
    Path("victim").write_bytes(b"untouched")
    put(server, tmp_path, {"data": archive(*members)}, FOLDER_TYPE)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InvalidManifest):
        pulled(oras_client, server)
    assert list(Path("there").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} - before <= {"there"}
    assert Path("victim").read_bytes() == b"untouched"


@pytest.mark.parametrize("data", [b"", b"no archive", archive((member("a"), b"x" * 999))[:-20]])
def test_a_damaged_archive_is_refused(
    oras_client: OrasClient, server: RegistryServer, tmp_path: Path, data: bytes
) -> None:
    put(server, tmp_path, {"data": data}, FOLDER_TYPE)
    with pytest.raises(InvalidManifest, match="archive"):
        pulled(oras_client, server)
    assert list(Path("there").iterdir()) == []


def test_an_archive_of_endless_files_is_refused(
    oras_client: OrasClient,
    server: RegistryServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ebpm.registry.oras_files._LARGEST", 1000)
    put(server, tmp_path, {"data": archive((member("a"), bytes(1001)))}, FOLDER_TYPE)
    with pytest.raises(InvalidManifest, match="more than anybody"):
        pulled(oras_client, server)


def test_a_refusal_has_the_registrys_words(oras_client: OrasClient, server: RegistryServer) -> None:
    with pytest.raises(ManifestNotFound, match="MANIFEST_UNKNOWN"):
        oras_client.get_manifest(f"{server.host}/tools/x:1")
    response = oras_client.do_request(f"{server.url}/v2/tools/x/manifests/1")
    with pytest.raises(ManifestNotFound, match="MANIFEST_UNKNOWN"):
        oras_client._check_200_response(response)


def test_a_file_outside_of_the_folder_is_not_pushed(
    oras_client: OrasClient, server: RegistryServer, work: Path
) -> None:
    (work.parent / f"{work.name}-beside").mkdir()
    (work.parent / f"{work.name}-beside/secret").write_bytes(b"x")
    with pytest.raises(ValueError, match="present working directory"):
        oras_client.push(target=f"{server.host}/tools/x:1", files=[f"../{work.name}-beside/secret"])


def test_certificates_are_always_checked_and_ecr_has_its_helper() -> None:
    with pytest.raises(InsecureTransport, match="always checks"):
        OrasClient(tls_verify=False)
    with pytest.raises(Unsupported, match="ecr"):
        OrasClient(auth_backend="ecr")


def test_a_refused_port_is_said_at_once(oras_client: OrasClient, server: RegistryServer) -> None:
    """oras-py itself tries six times, for 131 seconds."""
    with registry_server() as gone:
        host = gone.host
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable):
        oras_client.pull(f"{host}/tools/x:1")
    assert time.monotonic() - started < 2


def test_the_command_line_does_not_import_it() -> None:
    code = "import sys, ebpm.cli.commands, ebpm.registry.client; print('oras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
