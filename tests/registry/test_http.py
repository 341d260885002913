"""The transport: what is repeated, what is waited for, and where a credential goes."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from ebpm.errors import (
    InsecureTransport,
    InvalidConfig,
    RegistryError,
    RegistryUnreachable,
)
from ebpm.oci.digest import Digest
from ebpm.registry.answer import count_in
from ebpm.registry.http import Http, HttpSettings, SizedBody
from ebpm.registry.trouble import retry_after
from ebpm.testing.endpoints import RepositoryState, error_reply
from ebpm.testing.registry import RegistryServer, registry_server

BASIC = "Basic YWxpY2U6c2VjcmV0"


@pytest.fixture
def http() -> Iterator[Http]:
    opened = Http(HttpSettings(connect_timeout=2.0, read_timeout=2.0, user_agent="ebpm/test"))
    yield opened
    opened.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing; its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Write down how long is waited, and do not wait."""
    slept: list[float] = []
    monkeypatch.setattr("ebpm.registry.http.time.sleep", slept.append)
    return slept


def refused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


# --- what is sent --------------------------------------------------------------------------------


def test_a_request_names_us_and_asks_for_plain_bytes(http: Http, server: RegistryServer) -> None:
    http.request("GET", f"{server.url}/v2/").close()
    headers = server.log[0].headers
    assert headers["user-agent"] == "ebpm/test"
    assert headers["accept-encoding"] == "identity"
    assert set(headers) == {"host", "user-agent", "accept-encoding", "accept"}


def test_packed_bytes_are_not_unpacked(http: Http, server: RegistryServer) -> None:
    """A digest is of the bytes as they are stored."""
    server.faults.headers = {"Content-Encoding": "gzip"}
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert answer.read(100) == b"{}"
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert b"".join(answer.chunks()) == b"{}"


def test_cookies_are_neither_kept_nor_sent(http: Http, server: RegistryServer) -> None:
    server.faults.cookies = True
    for _ in range(2):
        http.request("GET", f"{server.url}/v2/").close()
    assert all("cookie" not in request.headers for request in server.log)


def test_netrc_is_not_read(
    http: Http, server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(server.url) == ("thief", "stolen")
    http.request("GET", f"{server.url}/v2/").close()
    http.request("GET", f"{server.url}/v2/", authorization=BASIC).close()
    assert [request.headers.get("authorization") for request in server.log] == [None, BASIC]


def test_a_url_arrives_as_the_server_wrote_it(http: Http, server: RegistryServer) -> None:
    """A signature may cover each of its characters."""
    path = "/v2/?a=&a=&b=%7E%2b+x&c=~(!)*'&d=é".replace("é", "%C3%A9") + "&sig=a/b=="
    http.request("GET", server.url + path).close()
    assert server.log[0].path == path.replace("%2b", "%2B")  # which urllib3 insists on


def test_a_password_in_an_address_goes_nowhere(http: Http, server: RegistryServer) -> None:
    http.request("GET", f"http://user:password@{server.host}/v2/").close()
    assert "authorization" not in server.log[0].headers


def test_a_sized_body_is_sent_with_its_length(http: Http, server: RegistryServer) -> None:
    body = SizedBody(iter([b"abc", b"de"]), 5)
    http.request("PUT", f"{server.url}/v2/x/manifests/1", body=body).close()
    assert server.log[0].body_size == 5
    assert server.log[0].headers["content-length"] == "5"
    assert "transfer-encoding" not in server.log[0].headers


# --- connections ---------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(http: Http, server: RegistryServer) -> None:
    """Whether their answers were read or not: a TLS handshake each would cost more than all."""
    for method in ("HEAD", "GET", "POST", "HEAD", "DELETE", "PUT", "GET"):
        http.request(method, f"{server.url}/v2/x/manifests/none").close()
    assert len({request.connection for request in server.log}) == 1


def test_a_large_answer_that_nobody_wants_is_not_read(http: Http, server: RegistryServer) -> None:
    server.faults.headers = {"Content-Length": str(1 << 40)}
    started = time.monotonic()
    http.request("GET", f"{server.url}/v2/").close()
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("text", ["", "x", "-1", "\u0663", "9" * 5000])
def test_a_count_that_is_none_is_not_believed(text: str) -> None:
    assert count_in(text) is None
    assert count_in("9" * 18) == 10**18 - 1


def test_several_threads_may_ask_at_once(http: Http, server: RegistryServer) -> None:
    seen: list[int] = []

    def ask() -> None:
        for number in range(20):
            with http.request("GET", f"{server.url}/v2/?{number}") as answer:
                seen.append(answer.status + len(answer.read(10)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [202] * 160


# --- trying again --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_what_may_pass_is_tried_again(
    http: Http, server: RegistryServer, status: int, method: str
) -> None:
    server.faults.statuses = [status, status]
    body = b"{}" if method in ("PUT", "POST") else None
    with http.request(method, f"{server.url}/v2/", body=body) as answer:
        assert answer.status == 200
    assert [(one.method, one.body_size) for one in server.log] == [(method, len(body or b""))] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 412, 413, 416, 422, 501])
def test_what_will_not_pass_is_not_tried_again(
    http: Http, server: RegistryServer, status: int
) -> None:
    server.faults.statuses = [status]
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert answer.status == status
    assert len(server.log) == 1


def test_a_patch_is_never_sent_twice(http: Http, server: RegistryServer) -> None:
    """Its bytes may have arrived, and would be there twice."""
    server.faults.statuses = [503]
    with http.request("PATCH", f"{server.url}/v2/", body=b"x") as answer:
        assert answer.status == 503
    server.faults.drops = 1
    with pytest.raises(RegistryUnreachable):
        http.request("PATCH", f"{server.url}/v2/", body=b"x")
    assert len(server.log) == 2


def test_a_body_that_is_read_once_is_sent_once(http: Http, server: RegistryServer) -> None:
    server.faults.statuses = [503, 503]
    body = SizedBody(iter([b"abc"]), 3)
    with http.request("PUT", f"{server.url}/v2/", body=body) as answer:
        assert answer.status == 503
    assert len(server.log) == 1


def test_the_last_answer_comes_out_in_the_end(http: Http, server: RegistryServer) -> None:
    server.faults.statuses = [503] * 10
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert answer.status == 503
    assert len(server.log) == 5


def test_a_connection_that_breaks_is_made_again(http: Http, server: RegistryServer) -> None:
    server.faults.drops = 3
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert answer.status == 200
    assert len(server.log) == 4


def test_a_connection_that_breaks_each_time_is_given_up(http: Http, server: RegistryServer) -> None:
    server.faults.drops = 100
    with pytest.raises(RegistryUnreachable, match=f"cannot reach {server.host}: ") as caught:
        http.request("GET", f"{server.url}/v2/")
    assert len(server.log) == 5
    assert "Remote end closed" in caught.value.message


@pytest.mark.parametrize(("text", "wait"), [("7", 7.0), (" 2 ", 2.0)])
def test_the_server_says_how_long_to_wait(
    http: Http, server: RegistryServer, sleeps: list[float], text: str, wait: float
) -> None:
    server.faults.statuses = [429, 503]
    server.faults.retry_after = text
    http.request("GET", f"{server.url}/v2/").close()
    assert sleeps == pytest.approx([wait, wait], abs=0.1)


def test_a_date_to_come_back_at_is_understood() -> None:
    from email.utils import formatdate

    moment = formatdate(time.time() + 30, usegmt=True)
    assert 27 < retry_after({"Retry-After": moment}) <= 30
    assert retry_after({"Retry-After": formatdate(time.time() - 30, usegmt=True)}) == 0


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "1.88ms", "99999999999999999999 Feb", "\u0663x", "9" * 5000]
)
def test_a_wait_that_nobody_understands_is_none(text: str) -> None:
    assert retry_after({"Retry-After": text}) == 0


def test_all_requests_to_a_registry_wait_when_one_is_told_to(
    http: Http, server: RegistryServer, sleeps: list[float]
) -> None:
    server.faults.statuses = [429]
    server.faults.retry_after = "7"
    http.request("GET", f"{server.url}/v2/").close()
    http.request("GET", f"{server.url}/v2/").close()
    assert sleeps == pytest.approx([7.0, 7.0], abs=0.5)  # nobody has really slept
    with registry_server() as other:
        http.request("GET", f"{other.url}/v2/").close()
    assert len(sleeps) == 2


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("retry-after: 1880ms, allowed: 2000/minute", 1.88),
        ("Retry-After: 3s", 3.0),
        ("retry-after: 2m", 120.0),
        ("retry-after: 4", 4.0),
    ],
)
def test_a_wait_may_stand_in_the_words_of_the_error(
    http: Http, server: RegistryServer, sleeps: list[float], message: str, wait: float
) -> None:
    """As GHCR does it, without a header."""
    plain = server._endpoints.answer
    refusals = [error_reply(429, "TOOMANYREQUESTS", message=message)]
    server._endpoints.answer = lambda *a: refusals.pop() if refusals else plain(*a)  # type: ignore[method-assign]
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert answer.status == 200
    assert sleeps == pytest.approx([wait], abs=0.3)


def test_a_refusal_that_says_when_to_come_back_is_a_limit(
    http: Http, server: RegistryServer, sleeps: list[float]
) -> None:
    """GitHub's secondary limit is a 403."""
    server.faults.statuses = [403]
    server.faults.retry_after = "1"
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert answer.status == 200
    assert sleeps == pytest.approx([1.0], abs=0.1)


def test_nobody_waits_longer_than_his_patience(
    http: Http, server: RegistryServer, sleeps: list[float]
) -> None:
    server.faults.statuses = [429] * 5
    server.faults.retry_after = "3600"
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert answer.status == 429
    assert (len(server.log), sleeps) == (1, [])


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    from ebpm.registry import trouble

    for attempt, whole in [(1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (20, 30.0)]:
        drawn = {trouble.pause(attempt) for _ in range(50)}
        assert len(drawn) > 1
        assert all(whole / 2 <= one <= whole for one in drawn)


def test_a_refused_port_fails_at_once(http: Http) -> None:
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="Connection refused"):
        http.request("GET", refused_url())
    assert time.monotonic() - started < 2


def test_an_unknown_name_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unknown(*arguments: object, **_: object) -> None:
        asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(RegistryUnreachable, match=r"registry\.example: Name or service not known"):
        Http(HttpSettings()).request("GET", "https://registry.example/v2/")
    assert len(asked) == 1


def test_a_silent_server_has_a_second_chance_and_no_third(server: RegistryServer) -> None:
    server.faults.delay = 1.0
    http = Http(HttpSettings(read_timeout=0.1))
    with pytest.raises(RegistryUnreachable, match="no answer in time"):
        http.request("GET", server.url)
    end = time.monotonic() + 10
    while len(server.log) < 2 and time.monotonic() < end:
        time.sleep(0.01)  # a busy machine's server has yet to read what was sent
    assert len(server.log) == 2


def test_a_single_try_may_have_its_own_time(silent: str, http: Http) -> None:
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable):
        http.request("DELETE", silent, timeout=0.1)
    assert time.monotonic() - started < 1


def test_a_server_that_falls_silent_in_a_body_is_given_up(server: RegistryServer) -> None:
    digest = str(Digest.of(b"x" * 20))
    server.repositories["x"] = RepositoryState(blobs={digest: b"x" * 20})
    server.faults.drip = (10, 3.0)
    http = Http(HttpSettings(read_timeout=0.2))
    answer = http.request("GET", f"{server.url}/v2/x/blobs/{digest}")
    with answer, pytest.raises(RegistryUnreachable, match="broke: no answer in time"):
        answer.read(100)


# --- warnings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ('299 - "moves to another host"', ["moves to another host"]),
        ('299 - "one", 299 - "two"', ["one", "two"]),
        (r'299 - "a \"quoted\" word"', ['a "quoted" word']),
        ('199 - "not for us"', []),
        ('299 proxy "of somebody else"', []),
        ("299 - unquoted", []),
        ('299 - "' + "x" * 1000 + '"', ["x" * 300]),
    ],
)
def test_what_a_registry_warns_of_is_told_once(
    server: RegistryServer, header: str, told: list[str]
) -> None:
    heard: list[str] = []
    http = Http(HttpSettings(warn=heard.append))
    server.faults.headers = {"Warning": header}
    for _ in range(3):
        http.request("GET", f"{server.url}/v2/").close()
    assert heard == [f"{server.host}: {text}" for text in told]


def test_a_registry_cannot_warn_without_end(server: RegistryServer) -> None:
    heard: list[str] = []
    http = Http(HttpSettings(warn=heard.append))
    for number in range(30):
        server.faults.headers = {"Warning": f'299 - "{number}"'}
        http.request("GET", f"{server.url}/v2/").close()
    assert len(heard) == 20


# --- redirects -----------------------------------------------------------------------------------


@contextmanager
def redirecting(location: str) -> Iterator[RegistryServer]:
    with registry_server() as server:
        server.faults.status_for = lambda request: 307
        server.faults.headers = {"Location": location}
        yield server


def test_a_redirect_to_where_nobody_is_names_that_place(http: Http) -> None:
    nowhere = refused_url()
    with redirecting(nowhere) as server, pytest.raises(RegistryUnreachable) as caught:
        http.request("GET", f"{server.url}/v2/")
    assert nowhere.removeprefix("http://").rstrip("/") in caught.value.message


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_is_followed_to_another_host_without_the_credential(
    http: Http, server: RegistryServer, method: str
) -> None:
    with redirecting(f"{server.url}/v2/") as first:
        with http.request(method, f"{first.url}/v2/x", authorization=BASIC) as answer:
            assert (answer.status, answer.url) == (200, f"{server.url}/v2/")
        assert first.log[0].headers["authorization"] == BASIC
    assert "authorization" not in server.log[0].headers


def test_a_redirect_on_the_same_host_keeps_the_credential(
    http: Http, server: RegistryServer
) -> None:
    server.faults.status_for = lambda request: 302 if request.path == "/v2/a" else None
    server.faults.headers = {"Location": "/v2/"}
    http.request("GET", f"{server.url}/v2/a", authorization=BASIC).close()
    assert [one.headers.get("authorization") for one in server.log] == [BASIC, BASIC]


def test_who_sends_us_back_gets_no_request_signed(http: Http, server: RegistryServer) -> None:
    """Another host could choose what is asked in our name."""
    with redirecting(f"{server.url}/v2/chosen-by-the-other") as other:
        server.faults.status_for = lambda request: 307 if request.path == "/v2/a" else None
        server.faults.headers = {"Location": f"{other.url}/v2/"}
        http.request("GET", f"{server.url}/v2/a", authorization=BASIC).close()
    assert [one.path for one in server.log] == ["/v2/a", "/v2/chosen-by-the-other"]
    assert [one.headers.get("authorization") for one in server.log] == [BASIC, None]


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_nothing_is_written_where_a_redirect_leads(
    http: Http, server: RegistryServer, method: str
) -> None:
    with redirecting(f"{server.url}/v2/") as first:
        answer = http.request(method, f"{first.url}/v2/", body=b"x")
        assert answer.status == 307
    assert server.log == []


def test_redirects_end(http: Http) -> None:
    with redirecting("/v2/again") as server:
        with pytest.raises(RegistryError, match="redirects without end"):
            http.request("GET", f"{server.url}/v2/")
        assert len(server.log) == 10


@pytest.mark.parametrize("location", ["ftp://h/", "file:///etc/passwd", "http://["])
def test_a_redirect_to_what_is_no_web_address_is_refused(http: Http, location: str) -> None:
    with redirecting(location) as server, pytest.raises(RegistryError, match="no http address"):
        http.request("GET", f"{server.url}/v2/")


def test_a_redirect_without_a_place_is_an_answer(http: Http, server: RegistryServer) -> None:
    server.faults.statuses = [302]
    with http.request("GET", f"{server.url}/v2/") as answer:
        assert answer.status == 302


# --- plain http ----------------------------------------------------------------------------------


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any connection a failure of the test."""

    def connect(*_: object, **__: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.getaddrinfo", connect)
    monkeypatch.setattr("socket.create_connection", connect)


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("host", ["registry.example", "10.0.0.1:5000", "0.0.0.0", "[fd00::1]:80"])
def test_plain_http_goes_nowhere_beyond_loopback(http: Http, host: str) -> None:
    assert http.base_url(host) == f"https://{host}"
    with pytest.raises(InsecureTransport, match="over plain http") as caught:
        http.request("GET", f"http://{host}/v2/")
    assert "--plain-http" in caught.value.hint


@pytest.mark.usefixtures("never")
def test_a_credential_goes_over_plain_http_to_nobody_even_where_that_is_allowed() -> None:
    http = Http(HttpSettings(plain_http=["registry.example"]))
    assert http.base_url("registry.example") == "http://registry.example"
    with pytest.raises(InsecureTransport, match=r"credential would go to registry\.example"):
        http.request("GET", "http://registry.example/v2/", authorization=BASIC)


def test_loopback_speaks_plain_http(http: Http) -> None:
    for host in ("localhost", "localhost:5000", "127.0.0.2:1", "[::1]:5000"):
        assert http.base_url(host) == f"http://{host}"


def test_a_redirect_to_plain_http_elsewhere_is_refused(http: Http) -> None:
    with redirecting("http://registry.example/x") as server, pytest.raises(InsecureTransport):
        http.request("GET", f"{server.url}/v2/")


@pytest.mark.needs("openssl")
def test_a_redirect_from_tls_to_plain_http_is_refused_even_to_loopback(
    certificate: tuple[ssl.SSLContext, str], server: RegistryServer
) -> None:
    context, file = certificate
    http = Http(HttpSettings(ca_file=file))
    with registry_server(tls=context) as secure:
        secure.faults.status_for = lambda request: 307
        secure.faults.headers = {"Location": f"{server.url}/v2/"}
        with pytest.raises(InsecureTransport, match="from https to"):
            http.request("GET", f"{secure.url}/v2/", authorization=BASIC)
    assert server.log == []


# --- TLS and proxies -----------------------------------------------------------------------------


@pytest.mark.needs("openssl")
def test_a_certificate_is_trusted_by_its_file(certificate: tuple[ssl.SSLContext, str]) -> None:
    context, file = certificate
    with registry_server(tls=context) as secure:
        with Http(HttpSettings(ca_file=file)).request("GET", f"{secure.url}/v2/") as answer:
            assert answer.status == 200
        started = time.monotonic()
        with pytest.raises(RegistryUnreachable, match="certificate verify failed"):
            Http(HttpSettings()).request("GET", f"{secure.url}/v2/")
        assert time.monotonic() - started < 2
        assert len(secure.log) == 1


@pytest.mark.needs("openssl")
def test_a_hosts_own_folder_has_its_authorities_and_our_certificate(
    certificate: tuple[ssl.SSLContext, str], tmp_path: Path
) -> None:
    """containers-certs.d(5), for a registry that lets nobody in without a certificate."""
    context, file = certificate
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(file)  # ours is its own authority
    with registry_server(tls=context) as secure:
        place = tmp_path / "certs.d" / secure.host
        place.mkdir(parents=True)
        settings = HttpSettings(
            certificate_folders=[str(tmp_path / "absent"), str(tmp_path / "certs.d")],
            ca_file="/another",
        )
        (place / "ca.crt").write_text(Path(file).read_text())
        with pytest.raises(RegistryUnreachable):
            Http(settings).request("GET", f"{secure.url}/v2/").close()
        (place / "client.cert").write_text(Path(file).read_text())
        with pytest.raises(InvalidConfig, match=r"client\.cert has no client\.key beside it"):
            Http(settings).request("GET", f"{secure.url}/v2/")
        (place / "client.key").write_text(Path(file).with_name("key.pem").read_text())
        with Http(settings).request("GET", f"{secure.url}/v2/") as answer:
            assert answer.status == 200
        assert len(secure.log) == 1


@pytest.mark.needs("openssl")
def test_another_hosts_folder_is_not_used(
    certificate: tuple[ssl.SSLContext, str], tmp_path: Path
) -> None:
    context, file = certificate
    with registry_server(tls=context) as secure:
        for name in ("127.0.0.1", f"localhost:{secure.port}"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "ca.crt").write_text(Path(file).read_text())
        http = Http(HttpSettings(certificate_folders=[str(tmp_path)]))
        with pytest.raises(RegistryUnreachable, match="certificate verify failed"):
            http.request("GET", f"{secure.url}/v2/")


def test_a_file_of_certificates_that_is_not_there_is_named(tmp_path: Path) -> None:
    http = Http(HttpSettings(ca_file=str(tmp_path / "none.pem")))
    with pytest.raises(InvalidConfig, match=r"none\.pem, does not exist"):
        http.request("GET", "https://127.0.0.1:1/")


def test_a_proxy_is_used_and_loopback_needs_none(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy, localhost would be the proxy, and passwords would leave in clear."""
    with registry_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        http = Http(HttpSettings(plain_http=["registry.example"]))
        http.request("GET", "http://registry.example/v2/").close()
        assert [one.path for one in proxy.log] == ["http://registry.example/v2/"]
        http.request("GET", f"{server.url}/v2/", authorization=BASIC).close()
        assert (len(proxy.log), len(server.log)) == (1, 1)


def test_a_proxy_may_be_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with registry_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "registry.example")
        monkeypatch.setattr("socket.getaddrinfo", _unknown)
        http = Http(HttpSettings(plain_http=["registry.example"]))
        with pytest.raises(RegistryUnreachable):
            http.request("GET", "http://registry.example/v2/")
        assert proxy.log == []


def test_a_proxy_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", refused_url())
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="Connection refused"):
        Http(HttpSettings()).request("GET", "https://registry.example/v2/")
    assert time.monotonic() - started < 2


def _unknown(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


# --- odd servers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_a_server_that_speaks_something_else_is_an_error_of_ours(raw: bytes) -> None:
    http = Http(HttpSettings(read_timeout=2, tries=1))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(raw)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises((RegistryUnreachable, RegistryError)):
            http.request("GET", url).read(100)
        thread.join()


def test_each_request_is_logged_in_a_line_without_secrets(server: RegistryServer) -> None:
    lines: list[str] = []
    http = Http(HttpSettings(log=lines.append))
    http.request("GET", f"{server.url}/v2/?token=hidden", authorization=BASIC).close()
    with pytest.raises(RegistryUnreachable):
        http.request("GET", refused_url())
    assert lines[0] == f"GET {server.url}/v2/ -> 200"
    assert lines[1].endswith("-> Connection refused")


def test_the_settings_have_sane_defaults() -> None:
    settings = HttpSettings()
    assert 0 < settings.connect_timeout <= 30
    assert 0 < settings.read_timeout <= 120
