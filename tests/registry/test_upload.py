"""Uploads in chunks, for registries that take no large bodies."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from ebpm.errors import DigestMismatch, InsecureTransport, RegistryError, RegistryRefused
from ebpm.oci.descriptor import Descriptor
from ebpm.registry.channel import Channel
from ebpm.registry.client import RegistryClient
from ebpm.registry.credentials import CredentialStore
from ebpm.registry.http import HttpSettings
from ebpm.registry.upload import upload_in_chunks
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import repository_of

DATA = os.urandom(10_000)
BLOB = Descriptor.of(DATA, "application/octet-stream")


@pytest.fixture
def channel(client: RegistryClient, server: RegistryServer) -> Channel:
    return repository_of(client, server.host).channel


def pieces_of(data: bytes, size: int = 777) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def sent(server: RegistryServer) -> list[int]:
    return [one.body_size for one in server.requests("PATCH")]


def kept(server: RegistryServer) -> bytes | None:
    return server.repositories["tools/x"].blobs.get(str(BLOB.digest))


def test_a_blob_goes_up_in_pieces_of_the_size_that_was_asked_for(
    channel: Channel, server: RegistryServer
) -> None:
    upload_in_chunks(channel, BLOB, pieces_of(DATA), 4000)
    assert sent(server) == [4000, 4000, 2000]
    ranges = [one.headers["content-range"] for one in server.requests("PATCH")]
    assert ranges == ["0-3999", "4000-7999", "8000-9999"]
    assert kept(server) == DATA


def test_the_registrys_smallest_chunk_is_kept_to(channel: Channel, server: RegistryServer) -> None:
    server.faults.least_chunk = 6000
    upload_in_chunks(channel, BLOB, pieces_of(DATA), 1000)
    assert sent(server) == [6000, 4000]
    assert kept(server) == DATA


@pytest.mark.parametrize("left", [[0], [1], [3999], [4000], [100, 200, 300], [0, 0, 0, 0]])
def test_after_a_loss_it_goes_on_where_the_registry_is(
    channel: Channel, server: RegistryServer, left: list[int]
) -> None:
    """What arrived before the failure is there, and must not be sent twice."""
    server.faults.keep_of_patch = left
    upload_in_chunks(channel, BLOB, pieces_of(DATA), 4000)
    assert kept(server) == DATA


def test_a_connection_that_breaks_is_no_end(channel: Channel, server: RegistryServer) -> None:
    broken = []

    def break_off(request):
        if request.method == "PATCH" and len(broken) < 2:
            broken.append(request)
            server.faults.drops = 1

    plain = server.answer
    server.answer = lambda request, body: (break_off(request), plain(request, body))[1]  # type: ignore[method-assign]
    upload_in_chunks(channel, BLOB, pieces_of(DATA), 4000)
    assert len(broken) == 2
    assert kept(server) == DATA


def test_a_registry_that_takes_nothing_is_given_up(
    channel: Channel, server: RegistryServer
) -> None:
    server.faults.keep_of_patch = [0] * 100
    with pytest.raises(RegistryError, match="takes no more"):
        upload_in_chunks(channel, BLOB, pieces_of(DATA), 4000)
    assert len(sent(server)) == 5
    assert server.requests("DELETE")


def test_a_chunk_that_is_too_large_is_given_up(channel: Channel, server: RegistryServer) -> None:
    server.faults.patch_limit = 3000
    with pytest.raises(RegistryError, match="takes no more"):
        upload_in_chunks(channel, BLOB, pieces_of(DATA), 4000)


def test_a_registry_that_went_back_is_not_believed(
    channel: Channel, server: RegistryServer
) -> None:
    def forget(request):
        if request.headers.get("content-range") == "4000-7999":
            for state in server.repositories.values():
                state.uploads = dict.fromkeys(state.uploads, b"x" * 10)

    server.faults.status_for = forget
    with pytest.raises(RegistryError, match="lost bytes"):
        upload_in_chunks(channel, BLOB, pieces_of(DATA), 4000)


def test_other_bytes_do_not_go_up(channel: Channel, server: RegistryServer) -> None:
    with pytest.raises(DigestMismatch):
        upload_in_chunks(channel, BLOB, pieces_of(DATA[:-1] + b"?"), 4000)
    assert kept(server) is None
    assert server.repositories["tools/x"].uploads == {}


def test_a_refusal_ends_it(channel: Channel, server: RegistryServer) -> None:
    server.faults.status_for = lambda request: 413 if request.method == "PATCH" else None
    with pytest.raises(RegistryRefused, match="413"):
        upload_in_chunks(channel, BLOB, pieces_of(DATA), 4000)
    assert len(sent(server)) == 1


def test_an_empty_blob_needs_no_chunk(channel: Channel, server: RegistryServer) -> None:
    empty = Descriptor.of(b"", "application/octet-stream")
    upload_in_chunks(channel, empty, [])
    assert sent(server) == []
    assert server.repositories["tools/x"].blobs == {str(empty.digest): b""}


@pytest.mark.needs("openssl")
def test_an_upload_does_not_leave_tls(
    certificate: tuple[ssl.SSLContext, str], server: RegistryServer, tmp_path: Path
) -> None:
    context, file = certificate
    with registry_server(tls=context) as secure:
        client = RegistryClient(HttpSettings(ca_file=file), CredentialStore([], tmp_path / "c"))
        client._http._may_be_plain = lambda host: host == server.host  # type: ignore[method-assign]
        repository = repository_of(client, secure.host)
        secure.faults.location = lambda place: f"{server.url}{place}"
        with pytest.raises(InsecureTransport, match="an upload without TLS"):
            repository.put(BLOB, [DATA])
        assert server.log == []
        secure.faults.location = None
        repository.put(BLOB, [DATA])
        assert repository.has(BLOB)
