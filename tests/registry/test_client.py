"""Files by their address."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpm.errors import (
    InsecureTransport,
    RegistryError,
    RegistryUnreachable,
    TargetNotFound,
)
from ebpm.registry.client import RegistryClient
from ebpm.registry.credentials import Credential
from ebpm.testing.faults import Reply
from ebpm.testing.registry import RegistryServer
from tests.artifacts import client_for


@pytest.fixture
def files(server: RegistryServer) -> RegistryServer:
    """A server of files: one of 1000 bytes."""
    plain = server.answer

    def answer(request, body):
        reply = plain(request, body)
        return Reply(200, b"x" * 1000) if request.path.startswith("/file") else reply

    server.answer = answer  # type: ignore[method-assign]
    return server


def test_a_file_is_fetched(files: RegistryServer, client: RegistryClient) -> None:
    assert client.download(f"{files.url}/file.json?a=b", 1000).data == b"x" * 1000


def test_a_file_that_is_too_large_is_not_kept(
    files: RegistryServer, client: RegistryClient
) -> None:
    with pytest.raises(RegistryError, match="larger than 999 bytes"):
        client.download(f"{files.url}/file.json", 999)


def test_a_file_that_is_not_there_is_not_found(
    files: RegistryServer, client: RegistryClient
) -> None:
    with pytest.raises(TargetNotFound, match=r"/other\.json does not exist"):
        client.download(f"{files.url}/other.json", 1000)


def test_a_user_in_the_address_is_for_its_host_and_is_not_shown(
    files: RegistryServer, tmp_path: Path
) -> None:
    lines: list[str] = []
    with client_for(tmp_path, log=lines.append) as client:
        client.download(f"http://al%40ice:sec%3Aret@{files.host}/file.json", 1000)
        with pytest.raises(TargetNotFound) as caught:
            client.download(f"http://alice:secret@{files.host}/other", 1000)
    assert files.log[0].headers["authorization"] == Credential("al@ice", "sec:ret").basic
    assert "sec" not in caught.value.message + "".join(lines)


def test_a_file_that_breaks_off_is_no_file(files: RegistryServer, client: RegistryClient) -> None:
    files.answer = lambda *_: Reply(200, b"x" * 1000, cut=500)  # type: ignore[method-assign]
    with pytest.raises(RegistryUnreachable, match="broke"):
        client.download(f"{files.url}/file.json", 1000)


def test_plain_http_elsewhere_is_for_those_who_ask_for_it(client: RegistryClient) -> None:
    with pytest.raises(InsecureTransport, match="over plain http"):
        client.download("http://files.example/file.json", 1000)


def test_what_is_no_address_is_refused(client: RegistryClient) -> None:
    with pytest.raises(RegistryError, match="no http address"):
        client.download("https://", 1000)
