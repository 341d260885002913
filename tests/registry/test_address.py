import pytest

from ebpm.errors import RegistryError
from ebpm.registry.address import api_host, is_among, is_loopback, join, origin, shown, split


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST:5000", True),
        ("127.0.0.1", True),
        ("127.8.9.10:80", True),
        ("[::1]:5000", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("[::ffff:10.0.0.1]", False),
        ("localhost@evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_this_machine_is_known_from_others(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.b/x", "https://a.b:443/y?z", True),
        ("https://A.b/", "https://a.b", True),
        ("http://a.b:80", "http://a.b", True),
        ("https://a.b", "http://a.b", False),
        ("https://a.b", "https://a.b:444", False),
        ("https://a.b", "https://a.b.c", False),
        ("https://a.b", "https://a.b@c.d", False),
    ],
)
def test_a_credential_is_for_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "/v2/", "ftp://a.b/", "file:///etc/passwd", "javascript:alert(1)"),
        *("http://", "https://[::1", "http://a:x/", "http://a:0/", "http://a:99999/"),
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(RegistryError, match="no http address"):
        split(url)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/v2/x/uploads/1?a=&b=1&b=2", "http://h:1/v2/x/uploads/1?a=&b=1&b=2"),
        ("uploads/1", "http://h:1/v2/uploads/1"),
        ("?state=x", "http://h:1/v2/here?state=x"),
        ("//other/x", "http://other/x"),
        ("https://other/x?sig=%7E+%2f", "https://other/x?sig=%7E+%2f"),
    ],
)
def test_a_location_may_be_relative_and_its_query_stays(location: str, url: str) -> None:
    assert join("http://h:1/v2/here", location) == url


@pytest.mark.parametrize("location", ["http://[", "ftp://x/", "http://a:b/", "data:,x"])
def test_a_location_that_leads_nowhere_is_refused(location: str) -> None:
    with pytest.raises(RegistryError):
        join("http://h/", location)


def test_docker_hub_is_served_elsewhere() -> None:
    for name in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        assert api_host(name) == "registry-1.docker.io"
    assert api_host("ghcr.io") == "ghcr.io"


def test_hosts_may_be_listed_with_their_port_or_without_any() -> None:
    assert is_among("reg.lan:5000", ["reg.lan:5000"])
    assert is_among("reg.lan:5000", ["reg.lan"])
    assert is_among("Reg.LAN", ["reg.lan"])
    assert is_among("reg.lan:5000", ["Reg.LAN:5000"])
    assert not is_among("reg.lan:5001", ["reg.lan:5000"])
    assert not is_among("other.lan", ["reg.lan"])


def test_what_is_shown_holds_no_secret() -> None:
    assert shown("https://u:p@h:1/a/b?sig=secret#f") == "https://h:1/a/b"
    assert len(shown("https://h/" + "x" * 1000)) == 300
