"""A registry over a store: our client, another tool's, and requests by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpm.cache.archive import Archive
from ebpm.cache.layout import Layout
from ebpm.errors import IntegrityError, RegistryRefused, RegistryUnreachable, StoreUnusable
from ebpm.mirror.bundle import Item, export
from ebpm.mirror.serve import MirrorServer
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import MemoryStore
from tests.artifacts import artifact, client_for, repository_of
from tests.conftest import Ebpm
from tests.mirror.test_bundle import signed

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    return Layout.create(str(tmp_path / "store"), journal=True)


@pytest.fixture
def server(store: Layout) -> Iterator[MirrorServer]:
    with MirrorServer(store, "127.0.0.1", 0) as running:
        yield running


def ask(
    server: MirrorServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(
        f"http://{server.address}{path}", method=method, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_everything_can_be_pulled_with_what_refers_to_it(
    store: Layout, server: MirrorServer, tmp_path: Path
) -> None:
    source, root = signed(b"layer" * 100_000)
    copy(source, root, store, "ghcr.io/acme/x:1", referrers=True)
    with client_for(tmp_path) as client:
        for name in ("acme/x", "ghcr.io/acme/x"):
            repository = repository_of(client, server.address, name)
            assert repository.resolve("1") == repository.resolve(str(root.digest)) == root
            memory = MemoryStore()
            copy(repository, root, memory, "1", referrers=True)
            assert memory.blobs == source.blobs
            assert "1" in list(repository.tags())


def test_nothing_can_be_written(store: Layout, server: MirrorServer, tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    with client_for(tmp_path) as client, pytest.raises(RegistryRefused):
        copy(source, root, repository_of(client, server.address, "acme/x"), "1")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert ask(server, f"/v2/x/manifests/{DIGEST}", method)[0] == 405
    assert store.entries() == []


def test_names_of_two_hosts_are_told_apart_by_who_asks(store: Layout, server: MirrorServer) -> None:
    roots = {}
    for host in ("a.example", "b.example"):
        source, roots[host] = artifact(host.encode())
        copy(source, roots[host], store, f"{host}/acme/x:1")
    assert ask(server, "/v2/acme/x/manifests/1")[0] == 404
    for host, root in roots.items():
        for path in (f"/v2/acme/x/manifests/1?ns={host}", f"/v2/{host}/acme/x/manifests/1"):
            assert ask(server, path)[2]["Docker-Content-Digest"] == str(root.digest)


def test_what_is_asked_for_and_is_not_there_is_not_found(
    store: Layout, server: MirrorServer
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, store, "x:1")
    for path, code in (
        ("/v2/x/manifests/2", "MANIFEST_UNKNOWN"),
        ("/v2/y/manifests/1", "MANIFEST_UNKNOWN"),
        (f"/v2/x/manifests/{DIGEST}", "MANIFEST_UNKNOWN"),
        (f"/v2/x/manifests/{Descriptor.of(b'layer', 'x').digest}", "MANIFEST_UNKNOWN"),
        (f"/v2/x/blobs/{DIGEST}", "BLOB_UNKNOWN"),
        ("/v2/y/tags/list", "NAME_UNKNOWN"),
        ("/", "NAME_UNKNOWN"),
        ("/etc/passwd", "NAME_UNKNOWN"),
    ):
        status, body, _ = ask(server, path)
        assert (status, json.loads(body)["errors"][0]["code"]) == (404, code), path
    for bad in ("sha256:../../../etc/passwd", "sha256:%2e%2e%2fx", "md5:00"):
        assert ask(server, f"/v2/x/blobs/{bad}")[0] in (400, 404)
    assert ask(server, f"/v2/x/referrers/{DIGEST}")[0] == 200


def test_heads_ranges_and_pages(store: Layout, server: MirrorServer) -> None:
    source, root = artifact(b"0123456789")
    for tag in ("a", "b", "c"):
        copy(source, root, store, f"x:{tag}")
    blob = f"/v2/x/blobs/{Descriptor.of(b'0123456789', 'x').digest}"
    status, body, headers = ask(server, blob, "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "10")
    for wanted, expected in (("2-", b"23456789"), ("2-4", b"234"), ("9-99", b"9")):
        status, body, headers = ask(server, blob, Range=f"bytes={wanted}")
        assert (status, body) == (206, expected)
        assert headers["Content-Range"].endswith("/10")
    assert ask(server, blob, Range="bytes=10-")[0] == 416
    assert ask(server, blob, Range=f"bytes={'9' * 5000}-")[0] == 200  # as if it asked for no part
    assert ask(server, f"/v2/x/tags/list?n={'9' * 5000}")[0] == 200
    path, seen = "/v2/x/tags/list?n=2", []
    while path:
        _, body, headers = ask(server, path)
        seen += json.loads(body)["tags"]
        path = headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert seen == ["a", "b", "c"]
    assert json.loads(ask(server, "/v2/_catalog")[1]) == {"repositories": ["x"]}
    assert ask(server, "/v2/")[0] == 200


def test_referrers_are_filtered_and_it_says_so(store: Layout, server: MirrorServer) -> None:
    source, root = signed(b"layer")
    copy(source, root, store, "x:1", referrers=True)
    path = f"/v2/x/referrers/{root.digest}"
    assert len(json.loads(ask(server, path)[1])["manifests"]) == 1
    _, body, headers = ask(server, f"{path}?artifactType=other/type")
    assert json.loads(body)["manifests"] == []
    assert headers["OCI-Filters-Applied"] == "artifactType"


def test_what_is_damaged_does_not_arrive(
    store: Layout, server: MirrorServer, tmp_path: Path
) -> None:
    source, root = artifact(b"a layer")
    copy(source, root, store, "x:1")
    path = Path(store.root, "blobs/sha256", Descriptor.of(b"a layer", "x").digest.hex)
    path.chmod(0o644)
    path.write_bytes(b"a Layer")
    with (
        client_for(tmp_path) as client,
        pytest.raises((IntegrityError, RegistryUnreachable)),
    ):
        copy(repository_of(client, server.address, "x"), root, MemoryStore(), None)


def test_a_bundle_can_be_served_as_it_is(tmp_path: Path) -> None:
    source, root = signed(b"layer")
    export([Item("x:1", source, root)], str(tmp_path / "x.tar"))
    with (
        Archive(str(tmp_path / "x.tar")) as archive,
        MirrorServer(archive, "::1", 0) as server,
        client_for(tmp_path) as client,
    ):
        memory = MemoryStore()
        copy(repository_of(client, server.address, "x"), root, memory, "1", referrers=True)
        assert memory.blobs == source.blobs


def test_an_address_that_is_taken_is_an_error(server: MirrorServer, store: Layout) -> None:
    with pytest.raises(StoreUnusable, match="cannot listen"):
        MirrorServer(store, "127.0.0.1", int(server.address.rpartition(":")[2]))


@pytest.mark.needs("skopeo")
def test_skopeo_pulls_from_it(store: Layout, server: MirrorServer, tmp_path: Path) -> None:
    source, root = signed(b"layer")
    copy(source, root, store, "ghcr.io/acme/x:1")
    subprocess.run(
        [
            *("skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false"),
            *(f"docker://{server.address}/acme/x:1", f"oci:{tmp_path}/out:1"),
        ],
        check=True,
        capture_output=True,
    )
    assert Layout(str(tmp_path / "out")).resolve("1").digest == root.digest


def test_the_command_serves_until_it_is_stopped(ebpm: Ebpm) -> None:
    from ebpm.api import Workspace

    source, root = artifact(b"layer")
    copy(source, root, Workspace().store(), "x:1")
    with ebpm.start("mirror", "serve", "--listen", "127.0.0.1:0") as process:
        assert process.stdout
        address = process.stdout.readline().split()[2].rstrip(";")
        with urllib.request.urlopen(f"http://{address}/v2/x/manifests/1", timeout=10) as answer:
            assert answer.headers["Docker-Content-Digest"] == str(root.digest)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert "write HOST:PORT" in ebpm.run("mirror", "serve", "--listen", "x", check=2).stderr
