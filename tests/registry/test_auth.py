"""Who we are: challenges, tokens, logins, and to whom none of it is told."""

from __future__ import annotations

import base64
import json
import stat
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from ebpm.errors import (
    AccessDenied,
    AuthenticationFailed,
    InsecureTransport,
    InvalidReference,
    RegistryError,
    RegistryUnreachable,
)
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.reference import Reference
from ebpm.oci.store import MemoryStore
from ebpm.registry.auth import Authorizer
from ebpm.registry.challenge import Challenge
from ebpm.registry.client import RegistryClient
from ebpm.registry.credentials import Credential, CredentialStore
from ebpm.registry.http import Http, HttpSettings
from ebpm.testing.faults import Request
from ebpm.testing.guard import Guard
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, client_for, repository_of

ALICE = Credential("alice", "secret")
TOKENS = pytest.mark.parametrize("tokens", [False, True], ids=["basic", "bearer"])


def as_alice(_host: str, _repository: str) -> Credential:
    return ALICE


def asked_scopes(server: RegistryServer) -> list[str]:
    """List what the token server was asked for."""
    asked = [urlsplit(one.path) for one in server.log]
    return [parse_qs(one.query).get("scope", [""])[0] for one in asked if one.path == "/token"]


def authorizations(server: RegistryServer) -> set[str]:
    """Tell the schemes that the server saw."""
    headers = [one.headers.get("authorization", "none") for one in server.log]
    return {header.partition(" ")[0] for header in headers}


# --- answering -----------------------------------------------------------------------------------


@TOKENS
def test_a_login_pushes_and_pulls(tmp_path: Path, tokens: bool) -> None:
    source, root = artifact(b"layer", b"more")
    with (
        registry_server(Guard(tokens=tokens)) as server,
        client_for(tmp_path, login=as_alice) as client,
    ):
        repository = repository_of(client, server.host)
        copy(source, root, repository, "1")
        pulled = MemoryStore()
        copy(repository, repository.resolve("1"), pulled, None)
        assert pulled.blobs == source.blobs


@TOKENS
def test_nobody_gets_in_without_a_login(
    tmp_path: Path, client: RegistryClient, tokens: bool
) -> None:
    with registry_server(Guard(tokens=tokens)) as server:
        with pytest.raises(AuthenticationFailed, match="UNAUTHORIZED") as caught:
            repository_of(client, server.host).resolve("1")
        assert caught.value.hint == f"ebpm login {server.host}"


@TOKENS
def test_a_wrong_password_is_said_to_be_wrong_and_tried_once(tmp_path: Path, tokens: bool) -> None:
    wrong = Credential("alice", "wrong")
    with (
        registry_server(Guard(tokens=tokens)) as server,
        client_for(tmp_path, login=lambda *_: wrong) as client,
    ):
        with pytest.raises(AuthenticationFailed, match=r"not accept the login|wants a login"):
            repository_of(client, server.host).resolve("1")
        sent = [one for one in server.log if "authorization" in one.headers]
        assert len(sent) == 1


def test_what_is_public_is_read_without_a_login_and_with_a_stale_one(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    guard = Guard(tokens=True, public=["tools/x"])
    with registry_server(guard) as server:
        with client_for(tmp_path, login=as_alice) as client:
            copy(source, root, repository_of(client, server.host), "1")
        for login in (None, Credential("alice", "stale")):
            guard.public = []
            with client_for(tmp_path, login=lambda *_, one=login: one) as client:
                reading = client.repository(Reference.parse(f"{server.host}/tools/x"))
                guard.public = ["tools/x"]
                assert reading.resolve("1").digest == root.digest


def test_a_stale_login_does_not_write_as_nobody(tmp_path: Path) -> None:
    stale = Credential("alice", "stale")
    source, root = artifact(b"layer")
    with (
        registry_server(Guard(tokens=True)) as server,
        client_for(tmp_path, login=lambda *_: stale) as client,
    ):
        with pytest.raises(AuthenticationFailed, match="does not accept the login"):
            copy(source, root, repository_of(client, server.host), "1")
        assert server.requests("POST") == []


def test_reading_asks_for_reading_and_writing_for_both_at_once(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    with (
        registry_server(Guard(tokens=True)) as server,
        client_for(tmp_path, login=as_alice) as client,
    ):
        copy(source, root, repository_of(client, server.host), "1")
        reading = client.repository(Reference.parse(f"{server.host}/tools/x"))
        reading.resolve("1")
        assert asked_scopes(server) == [
            "repository:tools/x:pull,push",
            "repository:tools/x:pull",
        ]


def test_each_repository_has_a_token_of_its_own(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    with (
        registry_server(Guard(tokens=True)) as server,
        client_for(tmp_path, login=as_alice) as client,
    ):
        for name in ("a", "b", "a"):
            copy(source, root, repository_of(client, server.host, name), "1")
        assert asked_scopes(server) == ["repository:a:pull,push", "repository:b:pull,push"]


def test_a_token_that_ended_is_replaced(tmp_path: Path) -> None:
    guard = Guard(tokens=True)
    source, root = artifact(b"layer")
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        repository = repository_of(client, server.host)
        copy(source, root, repository, "1")
        guard.issued.clear()
        assert repository.resolve("1").digest == root.digest
        assert len(asked_scopes(server)) == 2


@pytest.mark.parametrize(
    ("life", "left", "asked"),
    [(300, 80, 1), (300, 40, 2), (60, 25, 1), (60, 5, 2), (None, 25, 1), (None, 5, 2)],
)
def test_a_token_is_renewed_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, life: int | None, left: float, asked: int
) -> None:
    """A large upload cannot be sent twice, so its token must last; 60 s if nobody says."""
    source, root = artifact(b"layer")
    guard = Guard(tokens=True)
    plain = guard.token
    guard.token = lambda *a: (200, {**plain(*a)[1], "expires_in": life})  # type: ignore[method-assign]
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        repository = repository_of(client, server.host)
        copy(source, root, repository, "1")
        later = time.monotonic() + (life or 60) - left
        clock = SimpleNamespace(monotonic=lambda: later)
        monkeypatch.setattr("ebpm.registry.auth.time", clock)
        repository.resolve("1")
        assert len(asked_scopes(server)) == asked


@pytest.mark.parametrize(("left", "asked"), [(180, 1), (120, 2)])
def test_before_a_long_upload_a_token_is_renewed_at_half_of_its_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, asked: int
) -> None:
    source, root = artifact(b"layer")
    large = Descriptor.of(b"x" * (5 << 20), "application/x")
    guard = Guard(tokens=True, life=300)
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        repository = repository_of(client, server.host)
        copy(source, root, repository, "1")
        later = time.monotonic() + 300 - left
        monkeypatch.setattr("ebpm.registry.auth.time", SimpleNamespace(monotonic=lambda: later))
        repository.put(large, iter([b"x" * (5 << 20)]))
        assert len(asked_scopes(server)) == asked


def test_a_token_that_ends_during_a_large_upload_does_not_end_it(tmp_path: Path) -> None:
    data = bytes(range(256)) * (5 << 12)
    blob = Descriptor.of(data, "application/x")
    guard = Guard(tokens=True)
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:

        def end(request: Request) -> None:
            if request.method == "PUT" and len(server.requests("PUT")) == 1:
                guard.issued.clear()

        server.faults.status_for = end
        repository_of(client, server.host).put(blob, [data])
        assert server.repositories["tools/x"].blobs[str(blob.digest)] == data


def test_a_mount_asks_for_both_repositories_at_once(tmp_path: Path) -> None:
    """Docker Hub wants the right to read the source even if everybody may."""
    source, root = artifact(b"layer")
    with (
        registry_server(Guard(tokens=True)) as server,
        client_for(tmp_path, login=as_alice) as client,
    ):
        first, second = (repository_of(client, server.host, f"tools/{name}") for name in "xy")
        copy(source, root, first, "1")
        server.log.clear()
        copy(first, first.resolve("1"), second, "1")
        asked = [parse_qs(urlsplit(one.path).query).get("scope", []) for one in server.log]
        assert ["repository:tools/y:pull,push", "repository:tools/x:pull"] in asked
        assert [one for one in server.requests("PUT") if "/uploads/" in one.path] == []


def test_a_mount_without_the_right_to_read_the_source_is_an_upload(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    guard = Guard(tokens=True)
    plain = guard.token

    def token(method: str, query: str, *rest: object) -> tuple[int, dict[str, object]]:
        return (403, {}) if query.count("scope=") > 1 else plain(method, query, *rest)  # type: ignore[arg-type]

    guard.token = token  # type: ignore[method-assign]
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        first, second = (repository_of(client, server.host, f"tools/{name}") for name in "xy")
        copy(source, root, first, "1")
        copy(first, first.resolve("1"), second, "1")
        assert server.repositories["tools/y"].tags == {"1": str(root.digest)}


def test_an_identity_token_is_exchanged(tmp_path: Path) -> None:
    guard = Guard(tokens=True, identity_tokens=["the identity token"])
    source, root = artifact(b"layer")
    identity = Credential("00000000-0000", identity="the identity token")
    with (
        registry_server(guard) as server,
        client_for(tmp_path, login=lambda *_: identity) as client,
    ):
        copy(source, root, repository_of(client, server.host), "1")
        assert server.requests("POST")[0].path == "/token"
        assert "the identity token" not in " ".join(map(str, server.log))
        assert authorizations(server) == {"none", "Bearer"}


def test_a_registry_token_is_sent_as_it_is(tmp_path: Path) -> None:
    guard = Guard(tokens=True)
    guard.issued["ready made"] = ({"repository:tools/x:pull"}, time.monotonic() + 100)
    with (
        registry_server(guard) as server,
        client_for(tmp_path, login=lambda *_: Credential(bearer="ready made")) as client,
    ):
        repository = repository_of(client, server.host)
        with pytest.raises(Exception, match="does not exist"):
            repository.resolve("1")
        assert asked_scopes(server) == []
        guard.issued.clear()
        with pytest.raises(AuthenticationFailed, match="does not accept the login"):
            repository.resolve("1")


def test_a_credential_for_a_path_is_used_for_that_path(tmp_path: Path) -> None:
    asked = []

    def find(host: str, repository: str) -> Credential | None:
        asked.append((host, repository))
        return ALICE if repository == "team/x" else None

    with registry_server(Guard(tokens=True)) as server, client_for(tmp_path, login=find) as client:
        source, root = artifact(b"layer")
        copy(source, root, repository_of(client, server.host, "team/x"), "1")
        with pytest.raises(AuthenticationFailed):
            copy(source, root, repository_of(client, server.host, "other/x"), "1")
        assert asked == [(server.host, "team/x"), (server.host, "other/x")]


def test_credentials_are_looked_up_once_and_not_for_every_request(tmp_path: Path) -> None:
    """A helper may take a second, or ask the user for his finger."""
    asked = []

    def find(_host: str, repository: str) -> Credential | None:
        asked.append(repository)
        return None

    guard = Guard(tokens=True, public=["tools/x"])
    with registry_server(guard) as server, client_for(tmp_path, login=find) as client:
        guard.public = []
        repository = repository_of(client, server.host)
        for _ in range(3):
            with pytest.raises(AuthenticationFailed):
                repository.resolve("1")
    assert asked == ["tools/x"]


@pytest.mark.parametrize(
    "header",
    [
        'Basic realm="r", {}',
        "Negotiate, {}",
        '{}, Basic realm="r"',
        'X-Other a="b", {},',
    ],
)
def test_of_several_challenges_the_one_for_a_token_is_answered(tmp_path: Path, header: str) -> None:
    guard = Guard(tokens=True)
    plain = guard.refuse
    guard.refuse = lambda *a: (found := plain(*a)) and header.format(found)  # type: ignore[method-assign]
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        source, root = artifact(b"layer")
        copy(source, root, repository_of(client, server.host), "1")


def test_a_challenge_that_nobody_knows_is_a_refusal(tmp_path: Path) -> None:
    guard = Guard()
    guard.refuse = lambda *_: "Negotiate"  # type: ignore[method-assign, assignment]
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        with pytest.raises(AuthenticationFailed, match="wants a login"):
            repository_of(client, server.host).resolve("1")
        assert authorizations(server) == {"none"}


def test_threads_that_are_refused_together_ask_for_one_token(tmp_path: Path) -> None:
    """None of them calls the password wrong because another was quicker."""
    for tokens in (False, True):
        with (
            registry_server(Guard(tokens=tokens)) as server,
            client_for(tmp_path, login=as_alice) as client,
        ):
            repository = repository_of(client, server.host)
            start = threading.Barrier(6)
            failures = []

            def ask(repository=repository, start=start, failures=failures) -> None:
                start.wait()
                try:
                    repository.resolve("1")
                except Exception as error:  # noqa: BLE001
                    failures.append(str(error))

            threads = [threading.Thread(target=ask) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            assert len(failures) == 6
            assert all("does not exist" in one for one in failures)
            assert len(asked_scopes(server)) == tokens


# --- token servers -------------------------------------------------------------------------------


class Never(Http):
    """Connections that must not be made; loopback counts as far away."""

    def __init__(self, base: str = "https") -> None:
        super().__init__(HttpSettings())
        self._scheme = base

    def base_url(self, registry: str) -> str:
        return f"{self._scheme}://{registry}"

    def request(self, method: str, url: str, **_: object):  # type: ignore[override]
        raise AssertionError(f"asked {url}")


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example/token",
        "http://registry.example/token",
        "https://10.0.0.1/token",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1:8443/token",
        "https://localhost/token",
        "https://[::1]/token",
        "https://[fd00::1]/token",
        "ftp://auth.example/",
        "file:///etc/passwd",
        "registry.example",
        "basic-realm",
        "https://[",
        "",
    ],
)
def test_a_registry_cannot_send_a_password_to_any_address(realm: str) -> None:
    authorizer = Authorizer(Never(), "registry.example", as_alice)
    with pytest.raises(RegistryError, match="names a token server"):
        authorizer.answer([Challenge("bearer", {"realm": realm})], "repository:x:pull", None)


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("registry.example", "https://auth.elsewhere.example/token"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000/token"),
        ("registry.example", "https://registry.example:443/service/token"),
        ("docker.io", "https://auth.docker.io/token"),
    ],
)
def test_a_registrys_own_token_server_is_asked(host: str, realm: str) -> None:
    authorizer = Authorizer(Never(), host, as_alice)
    with pytest.raises(AssertionError, match=f"asked {realm}"):
        authorizer.answer([Challenge("bearer", {"realm": realm})], "repository:x:pull", None)


def test_a_registry_in_plain_http_cannot_send_a_password_in_clear_elsewhere() -> None:
    http = Http(HttpSettings(plain_http=["reg.lan"]))
    authorizer = Authorizer(http, "reg.lan", as_alice)
    for realm in ("http://auth.example/token", "http://reg.lan/token"):
        with pytest.raises(InsecureTransport):
            authorizer.answer([Challenge("bearer", {"realm": realm})], "repository:x:pull", None)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((200, "nothing"), RegistryError, "answers no JSON|gives no token"),
        ((200, []), RegistryError, "answers no JSON"),
        ((200, {}), RegistryError, "gives no token"),
        ((200, {"token": 5}), RegistryError, "gives no token"),
        ((200, {"token": "a\r\nX: y"}), RegistryError, "gives no token"),
        ((200, {"token": "\u20ac"}), RegistryError, "gives no token"),
        ((404, {}), RegistryError, "answers 404"),
        ((500, {}), RegistryError, "answers 500"),
        (
            (401, {"error": "invalid_grant", "error_description": "expired yesterday"}),
            AuthenticationFailed,
            "invalid_grant expired yesterday",
        ),
        (
            (403, {"errors": [{"code": "DENIED", "message": "no seat"}]}),
            AuthenticationFailed,
            "no seat",
        ),
    ],
)
def test_a_token_server_that_gives_no_token_is_quoted(
    tmp_path: Path, answer: tuple[int, object], error: type[Exception], said: str
) -> None:
    guard = Guard(tokens=True)
    guard.token = lambda *_: answer  # type: ignore[method-assign, assignment, return-value]
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        repository = repository_of(client, server.host)
        with pytest.raises(error, match=said):
            repository.resolve("1")


def test_a_token_server_may_call_it_an_access_token_and_state_no_life(tmp_path: Path) -> None:
    guard = Guard(tokens=True)
    plain = guard.token

    def token(*arguments):
        _, document = plain(*arguments)
        return 200, {"access_token": document["token"], "expires_in": "soon"}

    guard.token = token  # type: ignore[method-assign]
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        source, root = artifact(b"layer")
        copy(source, root, repository_of(client, server.host), "1")


# --- to whom nothing is told ---------------------------------------------------------------------


@TOKENS
def test_a_place_that_refuses_credentials_serves_blobs(tmp_path: Path, tokens: bool) -> None:
    """Docker Hub's CDN rejects a request that carries one."""
    source, root = artifact(b"layer")
    with (
        registry_server() as cdn,
        registry_server(Guard(tokens=tokens)) as server,
        client_for(tmp_path, login=as_alice) as client,
    ):
        repository = repository_of(client, server.host)
        copy(source, root, repository, "1")
        cdn.repositories["tools/x"] = server.repositories["tools/x"]
        cdn.faults.no_authorization = True
        server.faults.redirect_blobs_to = cdn.url
        back = MemoryStore()
        copy(repository, repository.resolve("1"), back, None)
        assert back.blobs == source.blobs
        assert cdn.log


@TOKENS
def test_where_blobs_are_redirected_no_credential_goes(tmp_path: Path, tokens: bool) -> None:
    source, root = artifact(b"layer", b"more")
    with (
        registry_server(Guard(tokens=tokens)) as server,
        registry_server() as cdn,
        client_for(tmp_path, login=as_alice) as client,
    ):
        repository = repository_of(client, server.host)
        copy(source, root, repository, "1")
        cdn.repositories.update(server.repositories)
        server.faults.redirect_blobs_to = cdn.url
        pulled = MemoryStore()
        copy(repository, repository.resolve("1"), pulled, None)
        assert pulled.blobs == source.blobs
        assert len(cdn.requests("GET")) == 3
        assert authorizations(cdn) == {"none"}


@TOKENS
def test_the_place_of_a_redirect_cannot_ask_for_a_credential(tmp_path: Path, tokens: bool) -> None:
    source, root = artifact(b"layer")
    with (
        registry_server(Guard(tokens=tokens)) as server,
        registry_server(Guard(tokens=tokens)) as thief,
        client_for(tmp_path, login=as_alice) as client,
    ):
        repository = repository_of(client, server.host)
        copy(source, root, repository, "1")
        server.faults.redirect_blobs_to = thief.url
        with pytest.raises(AuthenticationFailed):
            copy(repository, repository.resolve("1"), MemoryStore(), None)
        assert authorizations(thief) == {"none"}
        assert asked_scopes(thief) == []


@TOKENS
def test_an_upload_that_is_sent_elsewhere_goes_without_credential(
    tmp_path: Path, tokens: bool
) -> None:
    source, root = artifact(b"layer")
    with (
        registry_server(Guard(tokens=tokens)) as server,
        registry_server(Guard(tokens=tokens)) as elsewhere,
        client_for(tmp_path, login=as_alice) as client,
    ):
        server.faults.location = lambda place: elsewhere.url + place
        with pytest.raises(AuthenticationFailed):
            copy(source, root, repository_of(client, server.host), "1")
        assert elsewhere.requests("PUT")
        assert authorizations(elsewhere) == {"none"}
        assert asked_scopes(elsewhere) == []


def test_each_registry_gets_its_own_credential_and_no_other(tmp_path: Path) -> None:
    with registry_server(Guard()) as one, registry_server(Guard()) as other:
        logins = {one.host: ALICE, other.host: Credential("bob", "word")}
        other.guard.users = {"bob": "word"}  # type: ignore[union-attr]
        source, root = artifact(b"layer")
        with client_for(tmp_path, login=lambda host, _: logins[host]) as client:
            for server in (one, other, one):
                copy(source, root, repository_of(client, server.host), "1")
        for server, login in ((one, ALICE), (other, logins[other.host])):
            sent = {one.headers.get("authorization") for one in server.log}
            assert sent == {None, login.basic}


# --- login and logout ----------------------------------------------------------------------------


@TOKENS
def test_a_login_is_tried_and_then_kept_for_its_owner_alone(tmp_path: Path, tokens: bool) -> None:
    path = tmp_path / "config.json"
    with registry_server(Guard(tokens=tokens)) as server, client_for(tmp_path) as client:
        assert client.login(server.host, ALICE) == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert CredentialStore([], path).find(server.host) == ALICE
        source, root = artifact(b"layer")
        copy(source, root, repository_of(client, server.host), "1")


@TOKENS
@pytest.mark.parametrize("public", [True, False])
def test_a_wrong_login_is_not_kept(tmp_path: Path, tokens: bool, public: bool) -> None:
    guard = Guard(tokens=tokens, public=["tools/x"] if public else [])
    wrong = Credential("alice", "wrong")
    with registry_server(guard) as server, client_for(tmp_path) as client:
        host = server.host
        with pytest.raises(AuthenticationFailed, match="not accept"):
            client.login(host, wrong)
    assert not (tmp_path / "config.json").exists()


def test_a_login_is_not_taken_for_good_by_an_anonymous_token(tmp_path: Path) -> None:
    """GHCR's challenge for /v2/ names a placeholder that anybody may read."""
    guard = Guard(tokens=True, public=["user/image"])
    plain = guard.refuse

    def placeholder(header: str | None, name: str, write: bool) -> str | None:
        refusal = plain(header, name, write)
        return refusal and f'{refusal},scope="repository:user/image:pull"'

    guard.refuse = placeholder  # type: ignore[method-assign]
    wrong = Credential("alice", "wrong")
    with registry_server(guard) as server, client_for(tmp_path) as client:
        host = server.host
        with pytest.raises(AuthenticationFailed):
            client.login(host, wrong)
        client.login(host, ALICE)


def test_an_open_registry_that_looks_at_passwords_refuses_a_wrong_one(tmp_path: Path) -> None:
    guard = Guard()
    plain = guard.refuse
    guard.refuse = lambda header, *rest: header and plain(header, *rest)  # type: ignore[method-assign]
    with registry_server(guard) as server, client_for(tmp_path) as client:
        with pytest.raises(AuthenticationFailed):
            client.login(server.host, Credential("alice", "wrong"))
        client.login(server.host, ALICE)


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, RegistryError), (500, RegistryError), (403, AuthenticationFailed), (429, RegistryError)],
)
def test_what_is_no_registry_takes_no_login(
    tmp_path: Path, status: int, error: type[Exception]
) -> None:
    with registry_server(Guard()) as server, client_for(tmp_path) as client:
        server.faults.status_for = lambda request: (
            status if status != 403 or "authorization" in request.headers else None
        )
        with pytest.raises(error):
            client.login(server.host, ALICE)
    assert not (tmp_path / "config.json").exists()


def test_a_registry_that_is_not_there_takes_no_login(tmp_path: Path) -> None:
    with registry_server() as server:
        host = server.host
    with client_for(tmp_path) as client, pytest.raises(RegistryUnreachable):
        client.login(host, ALICE)
    assert not (tmp_path / "config.json").exists()


def test_a_login_does_not_go_over_plain_http_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry_server() as proxy, client_for(tmp_path, plain_http=["reg.lan"]) as client:
        monkeypatch.setenv("http_proxy", proxy.url)  # whose eyes would see the password
        with pytest.raises(InsecureTransport, match="credential would go to"):
            client.login("reg.lan", ALICE)
        assert authorizations(proxy) == {"none"}
    assert not (tmp_path / "config.json").exists()


def test_after_a_logout_nothing_is_sent_any_more(tmp_path: Path) -> None:
    with registry_server(Guard(tokens=True)) as server, client_for(tmp_path) as client:
        client.login(server.host, ALICE)
        source, root = artifact(b"layer")
        copy(source, root, repository_of(client, server.host), "1")
        assert client.logout(server.host)
        before = {one.headers.get("authorization") for one in server.log} - {None}
        server.log.clear()
        with pytest.raises(AuthenticationFailed):
            repository_of(client, server.host).resolve("1")
        assert before
        assert not before & {one.headers.get("authorization") for one in server.log}
        assert not client.logout(server.host)


def test_a_host_is_the_same_in_upper_case(tmp_path: Path) -> None:
    with registry_server(Guard()) as server, client_for(tmp_path) as client:
        host = f"localhost:{server.port}"
        client.login(host.upper(), ALICE)
        assert list(json.loads((tmp_path / "config.json").read_text())["auths"]) == [host]
        assert client.logout(host.upper())


# --- refusals ------------------------------------------------------------------------------------


def test_a_denial_is_quoted_and_no_password_is_asked_for_again(tmp_path: Path) -> None:
    with registry_server() as server, client_for(tmp_path, login=as_alice) as client:
        server.faults.statuses = [403]
        with pytest.raises(AccessDenied, match=f"{server.host} denies access to tools/x: UNAVAIL"):
            repository_of(client, server.host).resolve("1")
        assert len(server.log) == 1


def test_a_name_without_a_registry_is_not_looked_for_anywhere(client: RegistryClient) -> None:
    with pytest.raises(InvalidReference, match="names no registry"):
        client.repository(Reference.parse("sigsnoop:1.0"))


def test_a_header_of_a_user_is_base64_of_utf8() -> None:
    text = Credential("älice", "sécret:x").basic.removeprefix("Basic ")
    assert base64.b64decode(text).decode() == "älice:sécret:x"


@pytest.mark.parametrize("ambient", [False, True])
def test_a_login_of_the_environment_goes_to_its_host_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ambient: bool
) -> None:
    from ebpm.api import Workspace

    source, root = artifact(b"layer")
    with registry_server(Guard()) as ours, registry_server(Guard()) as other:
        if ambient:
            monkeypatch.setattr("ebpm.config.Config.actions_login", (ours.host, "alice", "secret"))
        else:
            monkeypatch.setenv("EBPM_REGISTRY", ours.host)
            monkeypatch.setenv("EBPM_USERNAME", "alice")
            monkeypatch.setenv("EBPM_PASSWORD", "secret")
        client = Workspace().client()
        copy(source, root, repository_of(client, ours.host), "1")
        with pytest.raises(AuthenticationFailed):
            copy(source, root, repository_of(client, other.host), "1")
        assert authorizations(other) == {"none"}
