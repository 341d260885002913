"""The registry that tests are run against is right where it is not told to be wrong."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ebpm.oci.descriptor import INDEX, MANIFEST
from ebpm.testing.guard import Guard
from ebpm.testing.registry import RegistryServer, registry_server

DATA = b"0123456789"
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2}


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["errors"][0]["code"])


def ask(
    server: RegistryServer, method: str, path: str, body: bytes = b"", **headers: str
) -> Answer:
    """Send one request, without any client of ours."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, fields)
        return Answer(connection.getresponse())
    finally:
        connection.close()


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as running:
        yield running


def push_blob(server: RegistryServer, data: bytes, name: str = "a/b") -> str:
    answer = ask(server, "POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(data)}", data)
    assert answer.status == 201
    return digest_of(data)


def manifest(layer: bytes = DATA, **fields: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {**EMPTY, "digest": digest_of(b"{}")},
        "layers": [{"mediaType": "x/y", "digest": digest_of(layer), "size": len(layer)}],
        **fields,
    }
    return json.dumps(document).encode()


def push_manifest(server: RegistryServer, name: str = "a/b", tag: str = "1", **fields: Any) -> str:
    for data in (b"{}", DATA):
        push_blob(server, data, name)
    raw = manifest(**fields)
    answer = ask(server, "PUT", f"/v2/{name}/manifests/{tag}", raw, Content_Type=MANIFEST)
    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == digest_of(raw)
    return digest_of(raw)


# --- blobs ---------------------------------------------------------------------------------------


def test_a_blob_goes_up_in_two_requests(server: RegistryServer) -> None:
    place = ask(server, "POST", "/v2/a/b/blobs/uploads/")
    assert place.status == 202
    url = f"{place.headers['Location']}&digest={digest_of(DATA)}"
    assert ask(server, "PUT", url, DATA).status == 201
    found = ask(server, "GET", f"/v2/a/b/blobs/{digest_of(DATA)}")
    assert (found.status, found.body) == (200, DATA)
    assert found.headers["Docker-Content-Digest"] == digest_of(DATA)


def test_a_blob_goes_up_in_chunks_that_must_be_in_order(server: RegistryServer) -> None:
    url = ask(server, "POST", "/v2/a/b/blobs/uploads/").headers["Location"]
    wrong = ask(server, "PATCH", url, DATA[5:], Content_Range="5-9")
    assert (wrong.status, wrong.code) == (416, "BLOB_UPLOAD_INVALID")
    first = ask(server, "PATCH", url, DATA[:5], Content_Range="0-4")
    assert (first.status, first.headers["Range"]) == (202, "0-4")
    assert ask(server, "GET", first.headers["Location"]).headers["Range"] == "0-4"
    url = f"{first.headers['Location']}&digest={digest_of(DATA)}"
    assert ask(server, "PUT", url, DATA[5:], Content_Range="5-9").status == 201


def test_a_blob_under_a_wrong_digest_is_refused(server: RegistryServer) -> None:
    for digest in (digest_of(b"other"), "sha256:../..", "md5:0", ""):
        url = ask(server, "POST", "/v2/a/b/blobs/uploads/").headers["Location"]
        assert ask(server, "PUT", f"{url}&digest={digest}", DATA).code == "DIGEST_INVALID"
    assert server.repositories["a/b"].blobs == {}


def test_an_upload_can_be_given_up(server: RegistryServer) -> None:
    url = ask(server, "POST", "/v2/a/b/blobs/uploads/").headers["Location"]
    assert ask(server, "DELETE", url).status == 204
    assert ask(server, "PUT", url, DATA).code == "BLOB_UPLOAD_UNKNOWN"


def test_a_blob_is_mounted_from_another_repository(server: RegistryServer) -> None:
    digest = push_blob(server, DATA)
    path = f"/v2/c/d/blobs/uploads/?mount={digest}&from="
    assert ask(server, "POST", path + "a/b").status == 201
    assert ask(server, "GET", f"/v2/c/d/blobs/{digest}").body == DATA
    assert ask(server, "POST", path + "no/such").status == 202


@pytest.mark.parametrize(
    ("span", "status", "body"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=4-", 206, b"456789"),
        ("bytes=8-100", 206, b"89"),
        ("bytes=10-", 416, None),
        ("nonsense", 200, DATA),
    ],
)
def test_a_part_of_a_blob_is_read(
    server: RegistryServer, span: str, status: int, body: bytes | None
) -> None:
    answer = ask(server, "GET", f"/v2/a/b/blobs/{push_blob(server, DATA)}", Range=span)
    assert answer.status == status
    assert body is None or answer.body == body


def test_what_is_not_there_is_unknown(server: RegistryServer) -> None:
    assert ask(server, "GET", f"/v2/a/b/blobs/{digest_of(b'x')}").code == "BLOB_UNKNOWN"
    assert ask(server, "GET", "/v2/a/b/manifests/1").code == "MANIFEST_UNKNOWN"
    assert ask(server, "GET", "/v2/a/b/tags/list").code == "NAME_UNKNOWN"
    assert ask(server, "GET", "/v2/UPPER/manifests/1").code == "NAME_UNKNOWN"
    assert ask(server, "GET", "/elsewhere").status == 404


def test_a_blob_is_deleted(server: RegistryServer) -> None:
    digest = push_blob(server, DATA)
    assert ask(server, "DELETE", f"/v2/a/b/blobs/{digest}").status == 202
    assert ask(server, "HEAD", f"/v2/a/b/blobs/{digest}").status == 404


# --- manifests -----------------------------------------------------------------------------------


def test_a_manifest_has_a_tag_and_a_digest(server: RegistryServer) -> None:
    digest = push_manifest(server)
    for name in ("1", digest, digest.replace(":", "%3A")):
        answer = ask(server, "GET", f"/v2/a/b/manifests/{name}")
        assert (answer.body, answer.headers["Content-Type"]) == (manifest(), MANIFEST)
    head = ask(server, "HEAD", "/v2/a/b/manifests/1")
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(manifest())))


def test_a_manifest_needs_what_it_names(server: RegistryServer) -> None:
    push_blob(server, b"{}")
    answer = ask(server, "PUT", "/v2/a/b/manifests/1", manifest(), Content_Type=MANIFEST)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    child = {"mediaType": MANIFEST, "digest": digest_of(b"none"), "size": 4}
    index = json.dumps({"schemaVersion": 2, "manifests": [child]}).encode()
    answer = ask(server, "PUT", "/v2/a/b/manifests/1", index, Content_Type=INDEX)
    assert answer.code == "MANIFEST_BLOB_UNKNOWN"


@pytest.mark.parametrize(
    ("reference", "body", "media_type", "status"),
    [
        ("1", b"", MANIFEST, 400),
        ("1", b"[" * 50_000, MANIFEST, 400),
        ("1", b'{"layers":[5]}', MANIFEST, 400),
        ("1", b"[]", MANIFEST, 400),
        ("-bad", manifest(), MANIFEST, 400),
        ("1", manifest(), INDEX, 400),
        (digest_of(b"other"), manifest(), MANIFEST, 400),
        ("1", b" " * (5 << 20), MANIFEST, 400),
        ("1", manifest() + b" " * (5 << 20), MANIFEST, 413),
    ],
    ids=range(9),
)
def test_a_bad_manifest_is_refused(
    server: RegistryServer, reference: str, body: bytes, media_type: str, status: int
) -> None:
    for data in (b"{}", DATA):
        push_blob(server, data)
    answer = ask(server, "PUT", f"/v2/a/b/manifests/{reference}", body, Content_Type=media_type)
    assert (answer.status, answer.code) == (status, "MANIFEST_INVALID")


def test_a_tag_is_deleted_alone_and_a_digest_with_its_tags(server: RegistryServer) -> None:
    digest = push_manifest(server, tag="1")
    push_manifest(server, tag="2")
    push_manifest(server, tag="3")
    assert ask(server, "DELETE", "/v2/a/b/manifests/1").status == 202
    assert server.repositories["a/b"].tags == {"2": digest, "3": digest}
    assert ask(server, "DELETE", f"/v2/a/b/manifests/{digest}").status == 202
    assert server.repositories["a/b"].tags == {}


def test_tags_come_in_pages(server: RegistryServer) -> None:
    for tag in ("b", "a", "c"):
        push_manifest(server, tag=tag)
    assert ask(server, "GET", "/v2/a/b/tags/list").json == {"name": "a/b", "tags": ["a", "b", "c"]}
    page = ask(server, "GET", "/v2/a/b/tags/list?n=2")
    assert page.json["tags"] == ["a", "b"]
    link = page.headers["Link"].partition(">")[0].removeprefix("<")
    rest = ask(server, "GET", link)
    assert (rest.json["tags"], rest.headers["Link"]) == (["c"], None)
    assert ask(server, "GET", "/v2/a/b/tags/list?n=x").status == 400


def test_what_refers_to_a_manifest_is_listed(server: RegistryServer) -> None:
    subject = {"mediaType": MANIFEST, "digest": push_manifest(server), "size": len(manifest())}
    kinds = {}
    for kind in ("x/signature", "x/sbom"):
        kinds[kind] = push_manifest(server, tag=kind[2:], subject=subject, artifactType=kind)
    path = f"/v2/a/b/referrers/{subject['digest']}"
    found = ask(server, "GET", path).json["manifests"]
    assert {one["artifactType"]: one["digest"] for one in found} == kinds
    some = ask(server, "GET", f"{path}?artifactType=x/sbom")
    assert [one["artifactType"] for one in some.json["manifests"]] == ["x/sbom"]
    assert some.headers["OCI-Filters-Applied"] == "artifactType"
    server.faults.no_referrers = True
    assert ask(server, "GET", path).status == 404


# --- who may come in -----------------------------------------------------------------------------


def basic(user: str = "alice", password: str = "secret") -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def test_passwords_are_looked_at() -> None:
    with registry_server(Guard()) as server:
        refused = ask(server, "GET", "/v2/")
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (
            401,
            'Basic realm="ebpm-test"',
        )
        for header in (basic(password="wrong"), "Basic !!", "Basic", "Bearer x", "x"):
            assert ask(server, "GET", "/v2/", Authorization=header).status == 401
        assert ask(server, "GET", "/v2/", Authorization=basic()).status == 200


def token_of(server: RegistryServer, *scopes: str, **headers: str) -> str:
    query = "&".join(f"scope={scope}" for scope in scopes)
    return str(ask(server, "GET", f"/token?service=ebpm-test&{query}", **headers).json["token"])


def test_a_token_is_for_what_it_was_asked_for_and_ends() -> None:
    guard = Guard(tokens=True)
    with registry_server(guard) as server:
        token = token_of(server, "repository:a/b:pull", Authorization=basic())
        bearer = f"Bearer {token}"
        assert ask(server, "GET", "/v2/a/b/manifests/1", Authorization=bearer).status == 404
        for method, path in (
            ("POST", "/v2/a/b/blobs/uploads/"),
            ("GET", "/v2/other/manifests/1"),
        ):
            refused = ask(server, method, path, Authorization=bearer)
            assert refused.status == 401
            assert 'scope="repository:' in refused.headers["WWW-Authenticate"]
        guard.life = -1
        token = token_of(server, "repository:a/b:pull", Authorization=basic())
        assert ask(server, "GET", "/v2/a/b/x", Authorization=f"Bearer {token}").status == 401


def test_a_token_for_nobody_reads_what_is_public() -> None:
    with registry_server(Guard(tokens=True, public=["open/x"])) as server:
        token = token_of(server, "repository:open/x:pull,push", "repository:a/b:pull")
        bearer = f"Bearer {token}"
        assert ask(server, "GET", "/v2/open/x/manifests/1").status == 404
        assert ask(server, "GET", "/v2/open/x/manifests/1", Authorization=bearer).status == 404
        assert ask(server, "GET", "/v2/a/b/manifests/1", Authorization=bearer).status == 401
        assert ask(server, "POST", "/v2/open/x/blobs/uploads/", Authorization=bearer).status == 401


def test_a_wrong_password_gets_no_token() -> None:
    with registry_server(Guard(tokens=True, identity_tokens=["it"])) as server:
        assert ask(server, "GET", "/token", Authorization=basic(password="x")).status == 401
        assert ask(server, "POST", "/token", b"refresh_token=other").status == 401
        good = ask(server, "POST", "/token", b"refresh_token=it&scope=registry:catalog:*")
        assert good.status == 200
        assert good.json["expires_in"] == 300


# --- the server itself ---------------------------------------------------------------------------


def test_requests_are_written_down(server: RegistryServer) -> None:
    ask(server, "PUT", "/v2/a/b/manifests/1?x=y", b"body", X_Header="value")
    (request,) = server.log
    assert str(request) == "PUT /v2/a/b/manifests/1?x=y"
    assert request.headers["x-header"] == "value"
    assert request.body_size == 4
    assert server.requests("PUT") == [request]


def test_a_chunked_body_is_read(server: RegistryServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    url = f"/v2/a/b/blobs/uploads/?digest={digest_of(DATA)}"
    connection.request("POST", url, iter([DATA[:3], DATA[3:]]), encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()


def test_a_slow_reader_keeps_nobody_else_waiting(server: RegistryServer) -> None:
    digest = push_blob(server, DATA)
    server.faults.drip = (5, 0.3)
    slow = threading.Thread(target=ask, args=(server, "GET", f"/v2/a/b/blobs/{digest}"))
    slow.start()
    started = time.monotonic()
    assert ask(server, "GET", "/v2/").status == 200
    assert time.monotonic() - started < 0.3
    slow.join()


def test_after_its_end_nobody_answers_on_an_old_connection() -> None:
    with registry_server() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/v2/")
        assert connection.getresponse().read() == b"{}"
        old = connection.sock
    old.settimeout(5)
    assert old.recv(1) == b""
    connection.close()


def test_faults_come_and_go(server: RegistryServer) -> None:
    server.faults.statuses = [503, 429]
    server.faults.retry_after = "7"
    first, second, third = (ask(server, "GET", "/v2/") for _ in range(3))
    assert [first.status, second.status, third.status] == [503, 429, 200]
    assert first.headers["Retry-After"] == "7"
    assert third.headers["Retry-After"] is None
    server.faults.drops = 1
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, "GET", "/v2/")
    assert ask(server, "GET", "/v2/").status == 200


def test_what_hosted_registries_do_can_be_switched_on(server: RegistryServer) -> None:
    digest = push_blob(server, DATA)
    server.faults.warning = "moves"
    assert ask(server, "GET", "/v2/").headers["Warning"] == '299 - "moves"'
    server.faults.no_authorization = True
    assert ask(server, "GET", "/v2/", Authorization="Basic eDp5").status == 400
    assert ask(server, "GET", "/v2/").status == 200
    server.faults.no_delete = True
    assert ask(server, "DELETE", f"/v2/a/b/blobs/{digest}").status == 405
    server.faults.redirect_referrers_to = "http://elsewhere.example"
    answer = ask(server, "GET", f"/v2/a/b/referrers/{digest}")
    assert answer.status == 303
    assert answer.headers["Location"].startswith("http://elsewhere.example/-/v2/packages/a/b/sha")
    server.faults.body_limit = 5
    assert ask(server, "POST", "/v2/a/b/blobs/uploads/", b"123456").status == 413


def test_two_servers_have_nothing_in_common(server: RegistryServer) -> None:
    push_blob(server, DATA)
    with registry_server() as other:
        assert other.port != server.port
        assert other.repositories == {}
