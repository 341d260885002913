"""The defects of oras-py 0.2.43 that were measured, each tried on our client.

The ids are those of the list from which this client was built; what the row says of oras-py stands
in the docstring. Rows of features that are not there yet (models, deletion) have no test.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from ebpm.cache.layout import Layout
from ebpm.config import Config
from ebpm.errors import (
    AccessDenied,
    AuthenticationFailed,
    BlobNotFound,
    DigestMismatch,
    InsecureTransport,
    InvalidManifest,
    InvalidReference,
    RegistryError,
    RegistryRefused,
    RegistryUnreachable,
    SizeMismatch,
    UsageError,
)
from ebpm.oci.attachment import File, make_attachment
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import INDEX, MANIFEST, Descriptor
from ebpm.oci.manifest import write_index, write_manifest
from ebpm.oci.platform import Platform
from ebpm.oci.reference import Reference
from ebpm.oci.store import MemoryStore, fetch
from ebpm.registry.challenge import parse_challenges
from ebpm.registry.client import RegistryClient
from ebpm.registry.credentials import Credential, CredentialStore
from ebpm.registry.oras import OrasClient
from ebpm.registry.upload import PIECE, upload_in_chunks
from ebpm.testing.endpoints import RepositoryState
from ebpm.testing.guard import Guard
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, client_for, files_of, is_whole, repository_of

ALICE = Credential("alice", "secret")


def as_alice(*_: str) -> Credential:
    return ALICE


def push(client: RegistryClient, server: RegistryServer, name: str = "tools/x") -> Descriptor:
    source, root = artifact(b"a program")
    return copy(source, root, repository_of(client, server.host, name), "1")


def pull(client: RegistryClient, server: RegistryServer, store: Layout, ref: str = "1") -> None:
    repository = repository_of(client, server.host)
    copy(repository, repository.resolve(ref), store, "x:1")


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    return Layout.create(str(tmp_path / "store"), journal=True)


# --- security ------------------------------------------------------------------------------------


def test_s1_a_blob_of_other_bytes_is_refused(
    client: RegistryClient, server: RegistryServer, store: Layout
) -> None:
    """Blob digest never compared: pull saved "EVIL program"."""
    push(client, server)
    server.faults.wrong_bytes = lambda data: data.replace(b"a program", b"an  evil!")
    with pytest.raises(DigestMismatch):
        pull(client, server, store)
    assert store.entries() == []


def test_s2_a_manifest_of_other_bytes_is_refused(
    client: RegistryClient, server: RegistryServer, store: Layout
) -> None:
    """Manifest digest never compared: pull of @sha256:000…0 returned content."""
    push(client, server)
    asked = f"sha256:{'0' * 64}"
    content = server.repositories["tools/x"]
    content.manifests[asked] = content.manifests[content.tags["1"]]
    with pytest.raises(DigestMismatch):
        pull(client, server, store, asked)
    assert files_of(store.root) == set()


@pytest.mark.parametrize("digest", ["sha256:../../../../etc/x", "sha256:..", "../../x", ""])
def test_s3_a_digest_that_is_a_path_is_refused(
    client: RegistryClient, server: RegistryServer, store: Layout, digest: str, tmp_path: Path
) -> None:
    """A layer digest sha256:../../../.. wrote a file outside the layout."""
    layer = {"mediaType": "a/b", "digest": digest, "size": 4}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": layer, "layers": [layer]}
    raw = json.dumps(document).encode()
    root = str(Descriptor.of(raw, MANIFEST).digest)
    server.repositories["tools/x"] = RepositoryState(
        manifests={root: (MANIFEST, raw)}, tags={"1": root}
    )
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidManifest):
        pull(client, server, store)
    assert sorted(tmp_path.rglob("*")) == before


def pull_folder(server: RegistryServer, client: RegistryClient, *members: tarfile.TarInfo) -> None:
    """Pull an archive with oras-py's verb; packages of ours are never unpacked."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"evil"))
    title = {"org.opencontainers.image.title": "out"}
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    source, _ = artifact()
    layer = Descriptor.of(whole.getvalue(), kind, annotations=title)
    source.add(whole.getvalue(), layer)
    config = source.add(b"{}", Descriptor.of(b"{}", "a/b"))
    raw = write_manifest(config, [layer])
    root = source.add(raw, Descriptor.of(raw, MANIFEST))
    copy(source, root, repository_of(client, server.host), "1")
    OrasClient(insecure=True).pull(f"{server.host}/tools/x:1", outdir="there")


def member(name: str, link: str = "", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, 0 if link else 4
    return made


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_s4_an_archive_writes_through_no_link(
    server: RegistryServer, client: RegistryClient, work: Path, kind: bytes
) -> None:
    """A link in an archive, and a file through it, wrote outside; a hard link changed a file."""
    (work / "victim").write_bytes(b"untouched")
    with pytest.raises(InvalidManifest):
        pull_folder(server, client, member("l", "../victim", kind), member("l"))
    assert (work / "victim").read_bytes() == b"untouched"


def test_s5_a_folder_that_begins_alike_is_another(
    server: RegistryServer, client: RegistryClient, work: Path
) -> None:
    """``../out-evil/x`` was taken for inside of ``out``: paths were compared as text."""
    with pytest.raises(InvalidManifest):
        pull_folder(server, client, member("../out-evil/x"))
    assert not list(work.rglob("*evil*"))
    assert not OrasClient()._validate_path(f"{work}-evil/x")


@pytest.mark.parametrize("tokens", [False, True])
def test_s6_an_upload_on_another_host_gets_no_credential(tmp_path: Path, tokens: bool) -> None:
    """The bearer token was added to every URL: the upload's Location received it."""
    with (
        registry_server(Guard(tokens=tokens)) as server,
        registry_server() as elsewhere,
        client_for(tmp_path, login=as_alice) as client,
    ):
        server.faults.location = lambda place: elsewhere.url + place
        with pytest.raises(BlobNotFound):
            push(client, server)
        assert elsewhere.requests("PUT")
        assert all("authorization" not in one.headers for one in elsewhere.log)


def test_s7_a_second_registry_gets_nothing_of_the_first(tmp_path: Path) -> None:
    """Registry B got A's token, and B's token server A's password."""
    with registry_server(Guard(tokens=True)) as a, registry_server(Guard(tokens=True)) as b:
        path = tmp_path / "config.json"
        auth = base64.b64encode(b"alice:secret").decode()
        path.write_text(json.dumps({"auths": {a.host: {"auth": auth}}}))
        with client_for(tmp_path) as client:
            push(client, a)
            with pytest.raises(AuthenticationFailed):
                push(client, b)
        tokens = {one.headers.get("authorization") for one in a.log} - {None}
        assert len(tokens) == 2  # the password at the token server, a token at the registry
        assert not tokens & {one.headers.get("authorization") for one in b.log}


@pytest.mark.parametrize("realm", ["http://auth.example/token", "basic-realm", ""])
def test_s8_a_token_server_elsewhere_gets_no_password_in_clear(tmp_path: Path, realm: str) -> None:
    """Password sent in clear http to another host; a realm that is no URL became a host name."""
    with (
        registry_server() as proxy,
        registry_server(Guard(tokens=True, realm=realm or "''")) as server,
        client_for(tmp_path, login=as_alice) as client,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("http_proxy", proxy.url)  # would see any request that leaves
        with pytest.raises((InsecureTransport, RegistryError)):
            push(client, server)
        assert proxy.log == []


def test_s9_a_login_is_tried_and_kept_where_only_its_owner_reads(tmp_path: Path) -> None:
    """Kept 0644, in place, without contacting the registry; KeyError without ``auths``."""
    path = tmp_path / "config.json"
    path.write_text('{"credHelpers": {}}')
    path.chmod(0o644)
    with registry_server(Guard()) as server, client_for(tmp_path) as client:
        with pytest.raises(AuthenticationFailed):
            client.login(server.host, Credential("alice", "wrong"))
        assert path.read_text() == '{"credHelpers": {}}'
        client.login(server.host, ALICE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_s10_netrc_replaces_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~/.netrc entry replaced the Bearer header with Basic."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with (
        registry_server(Guard(tokens=True)) as server,
        client_for(tmp_path, login=as_alice) as client,
    ):
        push(client, server)
        stolen = Credential("thief", "stolen").basic
        assert all(one.headers.get("authorization") != stolen for one in server.log)


def test_s11_after_a_logout_no_token_is_sent(tmp_path: Path) -> None:
    """The headers were mutated; after logout() the token was still sent."""
    with registry_server(Guard(tokens=True)) as server, client_for(tmp_path) as client:
        client.login(server.host, ALICE)
        push(client, server)
        used = {one.headers.get("authorization") for one in server.log} - {None}
        client.logout(server.host)
        server.log.clear()
        with pytest.raises(AuthenticationFailed):
            push(client, server)
        assert not used & {one.headers.get("authorization") for one in server.log}


# --- authentication ------------------------------------------------------------------------------


def test_a1_a_server_of_scoped_tokens_is_pushed_to(tmp_path: Path) -> None:
    """HEAD got a pull token, POST needs push, and the same token was sent again."""
    with (
        registry_server(Guard(tokens=True)) as server,
        client_for(tmp_path, login=as_alice) as client,
    ):
        push(client, server)
        assert server.repositories["tools/x"].tags


def test_a1_an_expired_token_is_refreshed(tmp_path: Path) -> None:
    """Once a token was held, any 401 sent it again."""
    guard = Guard(tokens=True)
    with registry_server(guard) as server, client_for(tmp_path, login=as_alice) as client:
        push(client, server)
        guard.issued.clear()
        push(client, server)


def test_a1_a_second_repository_gets_a_token_of_its_own(tmp_path: Path) -> None:
    """The second repository with the same client failed."""
    with (
        registry_server(Guard(tokens=True)) as server,
        client_for(tmp_path, login=as_alice) as client,
    ):
        push(client, server, "tools/x")
        push(client, server, "tools/y")


def test_a2_a_registry_that_asks_for_a_password_gets_one(tmp_path: Path) -> None:
    """The caller had to know, and say, that it does."""
    with registry_server(Guard()) as server, client_for(tmp_path, login=as_alice) as client:
        push(client, server)


AUTH = {"auth": base64.b64encode(b"alice:secret").decode()}


@pytest.mark.parametrize(
    ("host", "entries", "found"),
    [
        ("docker.io", {"https://index.docker.io/v1/": AUTH}, ALICE),
        ("ghcr.io", {"https://ghcr.io": AUTH}, ALICE),
        ("ghcr.io", {"ghcr.io": {"username": "alice", "password": "secret"}}, ALICE),
        ("ghcr.io", {"ghcr.io": {"identitytoken": "it"}}, Credential(identity="it")),
        ("ghcr.io", {"ghcr.io": {"registrytoken": "rt"}}, Credential(bearer="rt")),
        ("ghcr.io", {"ghcr.io/tools": AUTH}, ALICE),
    ],
)
def test_a3_each_form_of_a_login_is_found(
    tmp_path: Path, host: str, entries: dict[str, object], found: Credential
) -> None:
    """Lookups that failed, and several files merged in random order."""
    (tmp_path / "auth.json").write_text(json.dumps({"auths": entries}))
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": "Ym9iOng="}}}))
    store = CredentialStore([tmp_path / "auth.json"], tmp_path / "config.json")
    assert store.find(host, "tools/x") == found


def test_a3_the_places_of_docker_and_podman_are_looked_at(tmp_path: Path) -> None:
    """DOCKER_CONFIG, REGISTRY_AUTH_FILE and auth.json were not."""

    def found(**variables: str) -> list[str]:
        return Config({"HOME": "/h", **variables}, uid=1).credential_files

    assert "/d/config.json" in found(DOCKER_CONFIG="/d")
    assert found(REGISTRY_AUTH_FILE="/a.json") == ["/a.json"]
    assert "/r/containers/auth.json" in found(XDG_RUNTIME_DIR="/r")


@pytest.mark.parametrize(
    "header", ["Bearer realm=https://a/t,service=s", 'bearer Realm="https://a/t", SERVICE="s"']
)
def test_a4_challenges_are_read_unquoted_and_in_any_case(header: str) -> None:
    """Parameters had to be quoted and in lower case."""
    (one,) = parse_challenges(header)
    assert one.parameters == {"realm": "https://a/t", "service": "s"}


def test_a5_docker_hub_is_found_under_its_address(client: RegistryClient) -> None:
    """docker.io was not mapped; localhost/foo became docker.io/localhost/foo."""
    found = client.repository(Reference.parse("docker.io/alpine"))
    assert found.channel.url == "https://registry-1.docker.io/v2/library/alpine"
    local = client.repository(Reference.parse("localhost/foo:bar"))
    assert local.channel.url == "http://localhost/v2/foo"


@pytest.mark.parametrize("name", ["ghcr.io/a/../b", "ghcr.io/a?x=1", "ghcr.io/a b", "ghcr.io/a:"])
def test_a5_names_are_validated(name: str) -> None:
    """``..``, ``?x=1`` and spaces passed."""
    with pytest.raises(InvalidReference):
        Reference.parse(name)


# --- transport -----------------------------------------------------------------------------------


# T1, whole blobs in memory: tests/interop/test_processes.py, test_t1_….


def test_t2_a_refused_port_is_not_tried_for_two_minutes(client: RegistryClient) -> None:
    """131 s for a refused port, a wrong password, or a plain 403."""
    with registry_server() as gone:
        host = gone.host
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable):
        repository_of(client, host).resolve("1")
    assert time.monotonic() - started < 2


def test_t2_a_refusal_is_not_tried_again(client: RegistryClient, server: RegistryServer) -> None:
    """Every exception was retried, a plain 403 as well."""
    server.faults.statuses = [403]
    with pytest.raises(AccessDenied):
        repository_of(client, server.host).resolve("1")
    assert len(server.log) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_t2_what_passes_is_tried_again(
    client: RegistryClient, server: RegistryServer, status: int
) -> None:
    """429, 502, 503 and 504 were not; Retry-After was ignored."""
    server.faults.statuses = [status] * 2
    server.faults.retry_after = "0"
    push(client, server)


def test_t2_a_chunk_is_not_sent_twice(client: RegistryClient, server: RegistryServer) -> None:
    """A chunk stored before a 500 was sent again, and died with 416."""
    data = os.urandom(100)
    server.faults.keep_of_patch = [100]
    channel = repository_of(client, server.host).channel
    upload_in_chunks(channel, Descriptor.of(data, "a/b"), [data])
    assert len(server.requests("PATCH")) == 1


def test_t3_a_silent_server_is_given_up(tmp_path: Path, server: RegistryServer) -> None:
    """It hung for ever."""
    server.faults.delay = 1.0
    with client_for(tmp_path, read_timeout=0.1) as client, pytest.raises(RegistryUnreachable):
        repository_of(client, server.host).resolve("1")


def test_t4_a_body_that_breaks_off_is_taken_up_and_leaves_no_part(
    client: RegistryClient, server: RegistryServer, store: Layout
) -> None:
    """Body errors were not retried, and a part was left under the final name."""
    push(client, server)
    server.faults.status_for = lambda request: (
        server.faults.cut_after.append(3) if "/blobs/" in request.path else None
    )  # type: ignore[func-returns-value]
    pull(client, server, store)
    assert any("range" in one.headers for one in server.log)
    broken = Layout.create(f"{store.root}-2")
    server.faults.status_for = lambda request: (
        server.faults.cut_after.append(0) if "/blobs/" in request.path else None
    )  # type: ignore[func-returns-value]
    with pytest.raises(RegistryUnreachable):
        pull(client, server, broken)
    assert files_of(broken.root) == files_of(broken.root, "ingest") == set()


def test_t5_an_empty_blob_that_fails_is_a_failure(
    client: RegistryClient, server: RegistryServer
) -> None:
    """For the empty blob's digest any failure counted as success."""
    empty = Descriptor.of(b"", "a/b")
    server.repositories["tools/x"] = RepositoryState()
    with pytest.raises(BlobNotFound):
        fetch(repository_of(client, server.host), empty, 10)
    server.faults.status_for = lambda request: 400 if request.method == "PUT" else None
    with pytest.raises(RegistryRefused):
        repository_of(client, server.host).put(empty, [])


@pytest.mark.parametrize("tail", ["&a=&a=&b=1&sig=%2B%2f", ""])
@pytest.mark.parametrize("relative", [False, True])
def test_t6_an_uploads_place_is_used_as_it_is(
    client: RegistryClient, server: RegistryServer, tail: str, relative: bool
) -> None:
    """Blank and double parameters were dropped; a relative place crashed."""
    head = "/v2/tools/x/blobs/uploads/"
    server.faults.location = lambda place: (place.removeprefix(head) if relative else place) + tail
    repository_of(client, server.host).put(Descriptor.of(b"x", "a/b"), [b"x"])
    (put,) = server.requests("PUT")
    assert f"?state=0&empty={tail}&digest=" in put.path.replace("%2F", "%2f")


def test_t7_chunks_are_neither_too_small_nor_too_large(
    client: RegistryClient, server: RegistryServer
) -> None:
    """OCI-Chunk-Min-Length, Range and 416 were ignored; 16 MiB is more than GHCR takes."""
    data = os.urandom(3000)
    channel = repository_of(client, server.host).channel
    server.faults.least_chunk = 1000
    upload_in_chunks(channel, Descriptor.of(data, "a/b"), [data], 10)
    assert [one.body_size for one in server.requests("PATCH")] == [1000, 1000, 1000]
    assert PIECE <= 4 << 20


@pytest.mark.parametrize("relative", [False, True])
def test_t8_tags_are_listed_over_all_pages(
    client: RegistryClient, server: RegistryServer, relative: bool
) -> None:
    """A relative Link was resolved against the host's root, and an empty page ended the list."""
    for tag in "abcde":
        source, root = artifact(b"a program")
        copy(source, root, repository_of(client, server.host), tag)
    server.faults.page_size = 2
    server.faults.relative_links = relative
    assert OrasClient(insecure=True).get_tags(f"{server.host}/tools/x") == list("abcde")


def test_t9_packed_content_keeps_its_digest(client: RegistryClient, server: RegistryServer) -> None:
    """It asked for gzip and unpacked, so a blob served so lost its digest."""
    stored = gzip.compress(b"a program")
    blob = Descriptor.of(stored, "a/b")
    server.repositories["tools/x"] = RepositoryState(blobs={str(blob.digest): stored})
    server.faults.headers = {"Content-Encoding": "gzip"}
    assert fetch(repository_of(client, server.host), blob, 1000) == stored
    assert server.log[0].headers["accept-encoding"] == "identity"
    assert server.log[0].headers["user-agent"].startswith("ebpm")


def test_t9_content_that_is_packed_on_the_way_is_refused(
    client: RegistryClient, server: RegistryServer
) -> None:
    blob = Descriptor.of(b"a program", "a/b")
    server.repositories["tools/x"] = RepositoryState(blobs={str(blob.digest): b"a program"})
    server.faults.content_encoding = "gzip"
    with pytest.raises(SizeMismatch):
        fetch(repository_of(client, server.host), blob, 1000)


def test_t10_an_error_has_the_registrys_code_and_words(
    client: RegistryClient, server: RegistryServer
) -> None:
    """Errors became ValueError("Issue with URL: reason")."""
    server.faults.refuse_put = 412
    with pytest.raises(RegistryRefused, match="DENIED the tag is immutable"):
        push(client, server)


def test_t11_nothing_temporary_stays(tmp_path: Path) -> None:
    """Temporary folders and archives were never removed."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with registry_server() as server:
        with client_for(tmp_path) as client:
            push(client, server)
        code = (
            "from ebpm.api import Workspace; from ebpm.target import parse_target\n"
            f"Workspace().pull(parse_target('{server.host}/tools/x:1'))"
        )
        environment = {**os.environ, "TMPDIR": str(temporary)}
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(temporary.iterdir()) == []
    assert files_of(os.environ["EBPM_STORE"], "ingest") == set()


# --- model ---------------------------------------------------------------------------------------


def test_m1_of_an_index_what_is_for_this_machine_is_pulled(
    client: RegistryClient, server: RegistryServer, work: Path
) -> None:
    """Pull of an index returned [] as success."""
    title = "org.opencontainers.image.title"
    store = MemoryStore()
    config = store.add(b"{}", Descriptor.of(b"{}", "a/b"))
    parts = []
    for architecture in ("amd64", "arm64", "riscv64", "s390x"):
        data = architecture.encode()
        layer = store.add(data, Descriptor.of(data, "a/b", annotations={title: "f"}))
        raw = write_manifest(config, [layer])
        platform = Platform("linux", architecture)
        parts.append(Descriptor.of(raw, MANIFEST, platform=platform))
        store.add(raw, parts[-1])
    raw = write_index(parts)
    root = store.add(raw, Descriptor.of(raw, INDEX))
    copy(store, root, repository_of(client, server.host), "1")
    OrasClient(insecure=True).pull(f"{server.host}/tools/x:1", outdir="there")
    assert Path("there/f").read_text() == Platform.of_machine(os.uname().machine).architecture


def test_m2_a_tag_is_deleted_alone(client: RegistryClient, server: RegistryServer) -> None:
    """It deleted the manifest: latest and stable vanished with v1."""
    source, root = artifact(b"a program")
    for tag in ("v1", "latest", "stable"):
        copy(source, root, repository_of(client, server.host), tag)
    assert OrasClient(insecure=True).delete_tag(f"{server.host}/tools/x", "v1")
    assert set(server.repositories["tools/x"].tags) == {"latest", "stable"}


def test_m3_a_subject_is_the_digest_that_the_registry_knows(
    client: RegistryClient, server: RegistryServer
) -> None:
    """The subject was hashed from JSON that was written again, and pointed nowhere."""
    source, root = artifact(b"a program")
    raw = json.dumps(json.loads(source.blobs[str(root.digest)]), indent=7).encode() + b"\n\n"
    odd = source.add(raw, Descriptor.of(raw, MANIFEST))
    repository = repository_of(client, server.host)
    copy(source, odd, repository, "1")
    subject = repository.resolve("1")
    made, note = make_attachment(subject, "a/b", [])
    copy(made, note, repository, None)
    assert [one.digest for one in repository.referrers(odd)] == [note.digest]
    assert str(subject.digest) in server.repositories["tools/x"].manifests


def test_m4_an_artifact_says_what_it_is(tmp_path: Path) -> None:
    """No artifactType, an unknown config type, every file a tar; same names collided."""
    (tmp_path / "a").mkdir()
    for name in ("a/f", "f"):
        (tmp_path / name).write_text(name)
    subject = Descriptor.of(b"{}", MANIFEST)
    made, root = make_attachment(subject, "a/b", [File(str(tmp_path / "f"), "text/plain")])
    document = json.loads(made.blobs[str(root.digest)])
    assert document["artifactType"] == "a/b"
    assert document["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert [one["mediaType"] for one in document["layers"]] == ["text/plain"]
    with pytest.raises(UsageError, match="two files of one name"):
        make_attachment(subject, "a/b", [File(str(tmp_path / name)) for name in ("f", "a/f")])


def test_m5_the_same_files_give_the_same_digest(tmp_path: Path) -> None:
    """The digest changed with owner, umask and time."""
    digests = set()
    for number, mode in enumerate((0o600, 0o755)):
        path = tmp_path / str(number) / "f"
        path.parent.mkdir()
        path.write_text("content")
        path.chmod(mode)
        os.utime(path, (number, number))
        _, root = make_attachment(Descriptor.of(b"{}", MANIFEST), "a/b", [File(str(path))])
        digests.add(root.digest)
    assert len(digests) == 1


def test_m6_an_interrupted_pull_is_not_taken_for_a_whole_one(
    client: RegistryClient, server: RegistryServer, store: Layout
) -> None:
    """The second pull "succeeded" with 696,320 of 2,000,000 bytes, for ever."""
    data = os.urandom(2_000_000)
    source, root = artifact(data)
    copy(source, root, repository_of(client, server.host), "1")
    server.faults.status_for = lambda request: (
        server.faults.cut_after.append(696_320) if "/blobs/" in request.path else None
    )  # type: ignore[func-returns-value]
    server.faults.no_range = True
    with pytest.raises(RegistryUnreachable):
        pull(client, server, store)
    server.faults.status_for = None
    server.faults.cut_after.clear()
    pull(client, server, store)
    assert is_whole(store)
    assert fetch(store, Descriptor.of(data, "a/b"), 1 << 30) == data
