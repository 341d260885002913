"""With docker-registry behind a token server, which grants what was asked for and no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpm.errors import AuthenticationFailed
from ebpm.oci.copy import copy
from ebpm.oci.reference import Reference
from ebpm.oci.store import MemoryStore
from ebpm.registry.credentials import Credential
from tests.artifacts import artifact, client_for, repository_of
from tests.conftest import Ebpm
from tests.interop.test_docker_registry import fill_store
from tests.tokens import TokenServer, token_registry

pytestmark = pytest.mark.needs("docker-registry", "openssl")

ALICE = Credential("alice", "secret")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[str, TokenServer]]:
    with token_registry(tmp_path / "guarded") as running:
        yield running


def scopes(tokens: TokenServer) -> list[list[str]]:
    return [asked for _, _, asked in tokens.asked]


@pytest.mark.parametrize(
    "login", [ALICE, Credential(identity="identity")], ids=["password", "identity"]
)
def test_a_push_and_a_pull_take_a_token_each(
    guarded: tuple[str, TokenServer], tmp_path: Path, login: Credential
) -> None:
    host, tokens = guarded
    source, root = artifact(os.urandom(5 << 20), b"small")
    with client_for(tmp_path, login=lambda *_: login) as client:
        copy(source, root, repository_of(client, host), "1")
        assert scopes(tokens) == [["repository:tools/x:pull,push"]]
        reading = client.repository(Reference.parse(f"{host}/tools/x"))
        back = MemoryStore()
        copy(reading, reading.resolve("1"), back, None)
        assert back.blobs == source.blobs
        assert scopes(tokens)[1:] == [["repository:tools/x:pull"]]
    assert tokens.asked[0][0] == ("POST" if login.identity else "GET")


def test_from_one_repository_to_another_blobs_are_mounted_with_one_token(
    guarded: tuple[str, TokenServer], tmp_path: Path
) -> None:
    host, tokens = guarded
    source, root = artifact(b"layer")
    with client_for(tmp_path, login=lambda *_: ALICE) as client:
        first, second = (repository_of(client, host, f"tools/{name}") for name in "xy")
        copy(source, root, first, "1")
        copy(first, first.resolve("1"), second, "1")
        assert ["repository:tools/y:pull,push", "repository:tools/x:pull"] in scopes(tokens)
        assert second.resolve("1").digest == root.digest


def test_what_is_public_is_read_with_a_stale_login_and_without_any(
    guarded: tuple[str, TokenServer], tmp_path: Path
) -> None:
    host, _ = guarded
    source, root = artifact(b"layer")
    with client_for(tmp_path, login=lambda *_: ALICE) as client:
        for name in ("public/x", "private/x"):
            copy(source, root, repository_of(client, host, name), "1")
    for login in (None, Credential("alice", "stale")):
        with client_for(tmp_path, login=lambda *_, login=login: login) as client:  # type: ignore[misc]
            public = client.repository(Reference.parse(f"{host}/public/x"))
            assert public.resolve("1").digest == root.digest
            private = client.repository(Reference.parse(f"{host}/private/x"))
            with pytest.raises(AuthenticationFailed):
                private.resolve("1")


def test_a_token_that_ends_is_replaced(guarded: tuple[str, TokenServer], tmp_path: Path) -> None:
    """docker-registry allows a minute of wrong clocks, so this one was over long ago."""
    host, tokens = guarded
    source, root = artifact(b"layer")
    with client_for(tmp_path, login=lambda *_: ALICE) as client:
        repository = repository_of(client, host)
        tokens.life = -1000  # over for the registry; the client is told nothing that it believes
        with pytest.raises(AuthenticationFailed, match="wants a login"):
            copy(source, root, repository, "1")
        tokens.life = 300
        copy(source, root, repository, "1")
        assert repository.resolve("1").digest == root.digest


def test_the_commands_log_in_and_push(ebpm: Ebpm, guarded: tuple[str, TokenServer]) -> None:
    host, tokens = guarded
    name = f"{host}/tools/x:1.0"
    root = fill_store(name)
    ebpm.run("push", name, check=4)
    ebpm.run("login", "-u", "alice", "--password-stdin", host, input="wrong\n", check=4)
    ebpm.run("login", "-u", "alice", "--password-stdin", host, input="secret\n")
    ebpm.run("push", name)
    assert ebpm.run("resolve", name).stdout == f"{root.digest}\n"
    found = ebpm.run("doctor", "registry", f"{host}/tools/x").stdout
    assert f"bearer from {tokens.url}" in found
    assert "alice is accepted" in found
    ebpm.run("logout", host)
    ebpm.run("resolve", name, check=4)
    environment = {"EBPM_REGISTRY": host, "EBPM_USERNAME": "alice", "EBPM_PASSWORD": "secret"}
    ebpm.run("resolve", name, env={**os.environ, **environment})
