from __future__ import annotations

from pathlib import Path

import pytest

from ebpm.errors import (
    AccessDenied,
    InvalidConfig,
    ManifestNotFound,
    RegistryError,
    RegistryUnreachable,
)
from ebpm.oci.copy import copy
from ebpm.oci.reference import Reference
from ebpm.oci.store import MemoryStore
from ebpm.registry.client import RegistryClient
from ebpm.registry.credentials import CredentialStore
from ebpm.registry.http import HttpSettings
from ebpm.registry.mirrors import DIGESTS, TAGS, Mirror, Mirrors, Rule, read_mirrors
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, client_for, repository_of

CONF = """
unqualified-search-registries = ["docker.io"]

[[registry]]
prefix = "ghcr.io/acme"
location = "internal.example/acme"

[[registry.mirror]]
location = "mirror.example:5000/cache"
pull-from-mirror = "digest-only"

[[registry.mirror]]
location = "second.example"
insecure = true

[[registry]]
location = "bad.example"
blocked = true

[[registry]]
prefix = "*.wild.example"
location = "tame.example"
"""


def places(mirrors: Mirrors, text: str) -> list[tuple[str, str]]:
    return [(one.pull, str(there)) for one, there in mirrors.places(Reference.parse(text))]


@pytest.fixture
def conf(tmp_path: Path) -> Mirrors:
    (tmp_path / "registries.conf").write_text(CONF)
    return read_mirrors([], [str(tmp_path / "none"), str(tmp_path / "registries.conf")])


def test_registries_conf_is_read_as_podman_reads_it(conf: Mirrors) -> None:
    assert places(conf, "ghcr.io/acme/x:1") == [
        (DIGESTS, "mirror.example:5000/cache/x:1"),
        ("all", "second.example/x:1"),
        ("all", "internal.example/acme/x:1"),
    ]
    assert places(conf, "ghcr.io/acmes/x:1") == [("all", "ghcr.io/acmes/x:1")]
    assert places(conf, "a.b.wild.example/x/y:1") == [("all", "tame.example/x/y:1")]
    assert conf.insecure == ["second.example"]
    with pytest.raises(AccessDenied, match=r"blocked by registries\.conf"):
        conf.places(Reference.parse("bad.example/x"))


def test_the_longest_prefix_decides_and_ours_comes_first(tmp_path: Path) -> None:
    (tmp_path / "r.conf").write_text(
        '[[registry]]\nprefix="ghcr.io"\n[[registry.mirror]]\nlocation="system.example"\n'
    )
    own = [
        {"prefix": "ghcr.io", "location": "own.example/hub", "pull": TAGS},
        {"prefix": "ghcr.io/acme", "location": "near.example"},
    ]
    mirrors = read_mirrors(own, [str(tmp_path / "r.conf")])
    assert [there for _, there in places(mirrors, "ghcr.io/x:1")] == [
        *("own.example/hub/x:1", "system.example/x:1", "ghcr.io/x:1")
    ]
    assert [there for _, there in places(mirrors, "ghcr.io/acme/x:1")] == [
        *("near.example/x:1", "ghcr.io/acme/x:1")
    ]


@pytest.mark.parametrize(
    "own",
    [
        {"prefix": "x"},
        {"location": "x"},
        {"prefix": "x", "location": "y.z", "pull": "sometimes"},
        {"prefix": "x", "location": "y.z", "more": "z"},
        {"prefix": "x", "location": ""},
    ],
)
def test_what_is_wrong_with_a_mirror_of_ours_is_said(own: dict[str, str]) -> None:
    with pytest.raises(InvalidConfig):
        read_mirrors([own], [])


@pytest.mark.parametrize(
    "text",
    [
        "[registry",
        "registry = 1",
        "[[registry]]\n",
        "[[registry]]\nlocation = 1",
        '[[registry]]\nlocation = "a.b"\n[[registry.mirror]]\n',
        '[[registry]]\nlocation="a.b"\n[[registry.mirror]]\nlocation="c.d"\npull-from-mirror="x"',
    ],
)
def test_what_is_wrong_with_registries_conf_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.conf").write_text(text)
    with pytest.raises(InvalidConfig, match=r"r\.conf"):
        read_mirrors([], [str(tmp_path / "r.conf")])


# --- with registries -----------------------------------------------------------------------------


class Pair:
    """A registry and its mirror."""

    def __init__(self, home: RegistryServer, mirror: RegistryServer, folder: Path) -> None:
        self.home, self.mirror = home, mirror
        self.warnings: list[str] = []
        self.folder = folder

    def client(self, pull: str = "all") -> RegistryClient:
        rule = Rule(self.home.host, mirrors=[Mirror(f"{self.mirror.host}/cache", pull)])
        kept = CredentialStore([], self.folder / "config.json")
        settings = HttpSettings(warn=self.warnings.append)
        return RegistryClient(settings, kept, Mirrors([rule]))

    def pull(self, name: str = "tools/x:1", pull: str = "all") -> MemoryStore:
        source = self.client(pull).source(Reference.parse(f"{self.home.host}/{name}"))
        memory = MemoryStore()
        copy(source, source.resolve(Reference.parse(f"h.i/{name}").target), memory, "x")
        return memory


@pytest.fixture
def pair(server: RegistryServer, tmp_path: Path):
    with registry_server() as mirror:
        yield Pair(server, mirror, tmp_path)


def fill(server: RegistryServer, name: str, *layers: bytes, tag: str = "1"):
    source, root = artifact(*layers)
    folder = Path("/nonexistent")
    with client_for(folder) as client:
        copy(source, root, repository_of(client, server.host, name), tag)
    server.log.clear()
    return source, root


def test_what_the_mirror_has_is_not_asked_of_the_registry(pair: Pair) -> None:
    source, _ = fill(pair.mirror, "cache/tools/x", b"layer")
    assert pair.pull().blobs == source.blobs
    assert pair.home.log == []


def test_what_the_mirror_lacks_comes_from_the_registry(pair: Pair) -> None:
    source, _ = fill(pair.home, "tools/x", b"layer")
    assert pair.pull().blobs == source.blobs
    assert len(pair.mirror.requests("GET")) == 1
    assert pair.warnings == []


def test_a_mirror_that_is_gone_or_broken_is_passed_over_with_a_warning(pair: Pair) -> None:
    source, _ = fill(pair.home, "tools/x", b"layer")
    pair.mirror.faults.status_for = lambda _: 500
    assert pair.pull().blobs == source.blobs
    assert any("is passed over" in one for one in pair.warnings)


def test_a_mirror_that_breaks_off_is_replaced_where_it_broke(pair: Pair) -> None:
    layer = bytes(range(256)) * 8000
    source, _ = fill(pair.mirror, "cache/tools/x", layer)
    fill(pair.home, "tools/x", layer)
    pair.mirror.faults.status_for = lambda request: (
        pair.mirror.faults.cut_after.append(100_000)  # type: ignore[func-returns-value]
        if "/blobs/" in request.path and not request.headers.get("range")
        else 404
        if "/blobs/" in request.path
        else None
    )
    assert pair.pull().blobs == source.blobs
    assert any("range" in one.headers for one in pair.home.requests("GET"))


def test_bytes_of_a_lying_mirror_are_never_taken(pair: Pair) -> None:
    source, root = fill(pair.home, "tools/x", b"layer")
    fill(pair.mirror, "cache/tools/x", b"layer")
    pair.mirror.faults.wrong_bytes = lambda data: data[:-1] + bytes([data[-1] ^ 1])
    assert pair.pull(f"tools/x@{root.digest}").blobs.keys() == source.blobs.keys()


def test_a_mirror_of_digests_is_not_asked_what_a_tag_means(pair: Pair) -> None:
    fill(pair.mirror, "cache/tools/x", b"stale")
    source, root = fill(pair.home, "tools/x", b"layer")
    assert pair.pull(pull=DIGESTS).blobs == source.blobs
    assert [one.path for one in pair.mirror.log if "/manifests/1" in one.path] == []
    stale = pair.pull(pull=TAGS)
    assert stale.tags["x"] != root


def test_where_nobody_has_it_the_registrys_own_error_is_told(pair: Pair) -> None:
    with pytest.raises(ManifestNotFound, match=pair.home.host):
        pair.pull()
    pair.home.faults.status_for = lambda _: 500
    with pytest.raises((RegistryError, RegistryUnreachable), match=pair.home.host):
        pair.pull()


def test_tags_come_from_the_first_that_lists_them(pair: Pair) -> None:
    fill(pair.home, "tools/x", b"layer", tag="2")
    source = pair.client().source(Reference.parse(f"{pair.home.host}/tools/x"))
    assert list(source.tags()) == ["2"]
