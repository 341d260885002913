"""Pull and push, against a registry that does it right and one that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebpm.cache.layout import Layout
from ebpm.errors import (
    BlobNotFound,
    DigestMismatch,
    IntegrityError,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
    RegistryRefused,
    RegistryUnreachable,
    SizeMismatch,
)
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import LARGEST
from ebpm.oci.store import MemoryStore, fetch
from ebpm.registry.client import RegistryClient
from ebpm.registry.repository import Repository
from ebpm.testing.endpoints import RepositoryState, error_reply
from ebpm.testing.faults import Reply, Request
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, files_of, is_whole, repository_of, two_platforms

BLOB = bytes(range(256)) * 40


@pytest.fixture
def repository(client: RegistryClient, server: RegistryServer) -> Repository:
    return repository_of(client, server.host)


@pytest.fixture
def blob(server: RegistryServer) -> Descriptor:
    """A blob that is there."""
    descriptor = Descriptor.of(BLOB, "application/octet-stream")
    server.repositories["tools/x"] = RepositoryState(blobs={str(descriptor.digest): BLOB})
    return descriptor


def served(server: RegistryServer) -> RepositoryState:
    return server.repositories["tools/x"]


def methods(server: RegistryServer) -> list[str]:
    return [request.method for request in server.log]


# --- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: artifact(b"layer", b""), lambda: two_platforms(b"x")])
def test_what_is_pushed_is_pulled_byte_for_byte(
    repository: Repository,
    server: RegistryServer,
    make: Callable[[], tuple[MemoryStore, Descriptor]],
) -> None:
    source, root = make()
    copy(source, root, repository, "1.0")
    content = served(server)
    there = content.blobs | {digest: data for digest, (_, data) in content.manifests.items()}
    assert there == source.blobs
    assert content.tags == {"1.0": str(root.digest)}
    found = repository.resolve("1.0")
    assert (found.digest, found.size, found.media_type) == (
        root.digest,
        root.size,
        root.media_type,
    )
    pulled = MemoryStore()
    copy(repository, found, pulled, "x")
    assert pulled.blobs == source.blobs


def test_a_manifest_is_found_by_its_digest(repository: Repository) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    assert repository.resolve(str(root.digest)).digest == root.digest


def test_a_manifest_under_sha512_is_found_by_it(
    repository: Repository, server: RegistryServer
) -> None:
    source, root = artifact(b"layer")
    raw = source.blobs[str(root.digest)]
    wanted = str(Digest.of(raw, "sha512"))
    server.repositories["tools/x"] = RepositoryState(manifests={wanted: (MANIFEST, raw)})
    server.faults.digest_header = str(root.digest)  # as docker-registry has it
    assert str(repository.resolve(wanted).digest) == wanted


def test_the_manifest_that_was_resolved_is_not_asked_for_again(
    repository: Repository, server: RegistryServer
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    server.log.clear()
    copy(repository, repository.resolve("1"), MemoryStore(), None)
    assert len([one for one in server.log if "/manifests/" in one.path]) == 1


def test_pushing_again_sends_nothing(repository: Repository, server: RegistryServer) -> None:
    source, root = two_platforms(b"layer")
    copy(source, root, repository, "1")
    server.log.clear()
    copy(source, root, repository, "1")
    assert set(methods(server)) == {"HEAD"}


def test_what_another_package_has_sent_is_not_sent_again(
    repository: Repository, server: RegistryServer
) -> None:
    for layers in ((b"shared", b"one"), (b"shared", b"other")):
        source, root = artifact(*layers)
        copy(source, root, repository, "1")
    assert len(server.requests("POST")) == 4  # one, other, shared, and the config of both


def test_an_empty_blob_goes_up_and_comes_down(repository: Repository) -> None:
    empty = Descriptor.of(b"", "application/octet-stream")
    repository.put(empty, [])
    assert repository.has(empty)
    assert fetch(repository, empty, 10) == b""


# --- on the way down -----------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[1], [5000], [100, 0, 200, 0, 0], [len(BLOB) - 1], [0] * 4])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke(
    repository: Repository, server: RegistryServer, blob: Descriptor, cuts: list[int], ranges: bool
) -> None:
    server.faults.cut_after = list(cuts)
    server.faults.no_range = not ranges
    assert fetch(repository, blob, 1 << 20) == BLOB
    asked = [one.headers.get("range") for one in server.requests("GET")]
    assert asked[0] is None
    if ranges:
        at, expected = 0, []
        for cut in cuts:
            at += cut
            expected.append(f"bytes={at}-" if at else None)
        assert asked[1:] == expected


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("start", [1, 5000, len(BLOB)])
def test_what_another_run_has_fetched_is_not_fetched_again(
    repository: Repository, server: RegistryServer, blob: Descriptor, start: int, ranges: bool
) -> None:
    server.faults.no_range = not ranges
    server.faults.cut_after = [100]
    with repository.open(blob, start) as chunks:
        assert b"".join(chunks) == BLOB[start:]
    asked = [one.headers.get("range") for one in server.requests("GET")]
    if start == len(BLOB):
        assert asked == []  # docker-registry 2.8 breaks on a range behind the end
    else:
        assert asked[0] == f"bytes={start}-"


def test_a_range_may_be_answered_in_parts(
    repository: Repository, server: RegistryServer, blob: Descriptor
) -> None:
    server.faults.cut_after = [1000]
    server.faults.range_limit = 3000
    assert fetch(repository, blob, 1 << 20) == BLOB
    assert len(server.requests("GET")) == 5


def test_a_download_that_breaks_each_time_is_given_up(
    repository: Repository, server: RegistryServer, blob: Descriptor
) -> None:
    server.faults.cut_after = [0] * 100
    with pytest.raises(RegistryUnreachable, match="5 times in a row"):
        fetch(repository, blob, 1 << 20)
    assert len(server.requests("GET")) == 5


def test_a_download_in_endless_crumbs_is_given_up(
    repository: Repository, server: RegistryServer, blob: Descriptor
) -> None:
    server.faults.cut_after = [1] * 1000
    with pytest.raises(RegistryUnreachable, match="broke off"):
        fetch(repository, blob, 1 << 20)
    assert len(server.requests("GET")) == 100


def test_another_range_than_asked_for_is_refused(
    repository: Repository, server: RegistryServer, blob: Descriptor
) -> None:
    server.faults.cut_after = [1000]
    server.faults.headers = {"Content-Range": "bytes 5-9/10"}
    with pytest.raises(RegistryError, match="another range"):
        fetch(repository, blob, 1 << 20)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: b"X" + data[1:], DigestMismatch),
        (lambda data: data[:-1] + b"X", DigestMismatch),
        (lambda data: data + b"X", SizeMismatch),
        (lambda data: data[:-1], SizeMismatch),
        (lambda data: b"", SizeMismatch),
    ],
)
def test_other_bytes_are_refused(
    repository: Repository,
    server: RegistryServer,
    blob: Descriptor,
    change: Callable[[bytes], bytes],
    error: type[Exception],
) -> None:
    server.faults.wrong_bytes = change
    with pytest.raises(error):
        fetch(repository, blob, 1 << 20)
    assert len(server.requests("GET")) == 1  # it would be the same again


def test_bytes_that_change_between_two_connections_are_refused(
    repository: Repository, server: RegistryServer, blob: Descriptor
) -> None:
    server.faults.cut_after = [1000]
    server.faults.wrong_bytes = lambda data: (
        data.swapcase() if len(server.requests("GET")) > 1 else data
    )
    with pytest.raises(DigestMismatch):
        fetch(repository, blob, 1 << 20)


def test_a_blob_that_is_redirected_is_fetched_from_there(
    repository: Repository, server: RegistryServer, blob: Descriptor
) -> None:
    with registry_server() as cdn:
        cdn.repositories.update(server.repositories)
        server.faults.redirect_blobs_to = cdn.url
        cdn.faults.cut_after = [1000]
        assert repository.has(blob)
        assert fetch(repository, blob, 1 << 20) == BLOB
        assert methods(cdn) == ["HEAD", "GET", "GET"]


def test_what_is_not_there_is_said_in_the_registrys_words(
    repository: Repository, server: RegistryServer, blob: Descriptor
) -> None:
    with pytest.raises(ManifestNotFound, match=r"tools/x:1\.0 does not exist: MANIFEST_UNKNOWN"):
        repository.resolve("1.0")
    served(server).blobs.clear()
    with pytest.raises(BlobNotFound, match=f"@{blob.digest} does not exist: BLOB_UNKNOWN"):
        fetch(repository, blob, 1 << 20)
    assert not repository.has(blob)


def test_a_registrys_words_stay_one_line(repository: Repository, server: RegistryServer) -> None:
    reply = error_reply(404, "X", message="a\nhint: run this\r\n\tb" + "c" * 1000)
    server.answer = lambda *_: reply  # type: ignore[method-assign]
    with pytest.raises(ManifestNotFound) as caught:
        repository.resolve("1")
    assert "a hint: run this b" in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"errors":5}', b"[" * 20_000])
def test_an_error_without_words_is_told_without(
    repository: Repository, server: RegistryServer, body: bytes
) -> None:
    server.answer = lambda *_: Reply(404, body)  # type: ignore[method-assign]
    with pytest.raises(ManifestNotFound, match=r"does not exist$"):
        repository.resolve("1")


# --- manifests on the way down -------------------------------------------------------------------


def test_a_manifest_that_breaks_off_is_asked_for_again(
    repository: Repository, server: RegistryServer
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    for header in (True, False):
        server.faults.no_digest_header = not header
        server.faults.cut_after = [10, 0]
        assert repository.resolve("1").digest == root.digest
    server.faults.cut_after = [10] * 9
    with pytest.raises(RegistryUnreachable, match="broke"):
        repository.resolve("1")


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("by", ["digest", "tag"])
def test_a_manifest_of_other_bytes_is_refused(
    repository: Repository, server: RegistryServer, header: bool, by: str
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    server.faults.wrong_bytes = lambda data: data.replace(b"layer.v1", b"layer.v2")
    server.faults.no_digest_header = not header
    if header or by == "digest":
        with pytest.raises(DigestMismatch):
            repository.resolve(str(root.digest) if by == "digest" else "1")
    else:  # a tag without a digest means whatever the registry says, and that is what is checked
        assert repository.resolve("1").digest != root.digest


def test_a_child_of_other_bytes_is_refused(
    repository: Repository, server: RegistryServer, tmp_path: Path
) -> None:
    source, root = two_platforms(b"layer")
    copy(source, root, repository, "1")
    found = repository.resolve("1")
    server.faults.wrong_bytes = lambda data: data.replace(b"layer.v1", b"layer.v2")
    target = Layout.create(str(tmp_path / "store"))
    with pytest.raises(DigestMismatch):
        copy(repository, found, target, "1")
    assert files_of(target.root) == set()
    assert target.entries() == []


@pytest.mark.parametrize(
    "media_type", ["text/html", "", "application/json", DOCKER_MANIFEST, INDEX]
)
def test_a_manifest_under_another_type_is_refused(
    repository: Repository, server: RegistryServer, media_type: str
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    server.faults.media_type = media_type
    with pytest.raises(InvalidManifest):
        copy(repository, repository.resolve("1"), MemoryStore(), None)


def test_a_types_parameters_do_not_matter(repository: Repository, server: RegistryServer) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    server.faults.media_type = f"{MANIFEST}; charset=utf-8"
    assert repository.resolve("1").media_type == MANIFEST


def test_a_manifest_that_is_padded_without_end_is_not_read_to_it(
    repository: Repository, server: RegistryServer
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    server.faults.no_digest_header = True
    server.faults.padding = LARGEST
    with pytest.raises(InvalidManifest, match="is larger than"):
        repository.resolve("1")


def test_a_manifest_without_end_is_not_read_to_it(
    repository: Repository, server: RegistryServer
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    server.faults.wrong_bytes = lambda data: data + b" " * (LARGEST + 1)
    with pytest.raises(InvalidManifest, match="larger"):
        repository.resolve("1")


def test_the_four_types_of_manifests_are_asked_for(
    repository: Repository, server: RegistryServer
) -> None:
    with pytest.raises(ManifestNotFound):
        repository.resolve("1")
    accepted = server.log[0].headers["accept"].split(", ")
    assert {MANIFEST, INDEX, DOCKER_MANIFEST} < set(accepted)
    assert len(accepted) == 4


# --- on the way up -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1000, 5 << 20])
def test_bytes_of_another_digest_do_not_go_up(
    repository: Repository, server: RegistryServer, size: int
) -> None:
    right = Descriptor.of(b"x" * size + b"y", "application/x")
    with pytest.raises(IntegrityError):
        repository.put(right, [b"x" * size, b"z"])
    assert not any(state.blobs for state in server.repositories.values())
    assert not any(state.uploads for state in server.repositories.values())


def test_a_small_blob_survives_what_may_pass(
    repository: Repository, server: RegistryServer
) -> None:
    failures = [500, 503]
    server.faults.status_for = lambda request: (
        failures.pop() if failures and request.method == "PUT" else None
    )
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    assert served(server).tags == {"1": str(root.digest)}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("size", [5, 5 << 20])
def test_right_bytes_that_are_said_to_be_wrong_are_sent_again(
    repository: Repository, server: RegistryServer, size: int, there: bool
) -> None:
    """docker-registry 2.8 says so to one of two clients that send a blob at the same time."""
    data = b"x" * size
    blob = Descriptor.of(data, "application/x")
    refused = []

    def refuse(request: Request) -> int | None:
        if request.method == "PUT" and "/uploads/" in request.path and not refused:
            refused.append(request)
            if there:
                served(server).blobs[str(blob.digest)] = data
            return 400
        return None

    server.faults.status_for = refuse
    repository.put(blob, [data])
    assert served(server).blobs[str(blob.digest)] == data
    assert len(server.requests("PUT")) == (1 if there else 2)


def test_an_upload_whose_answer_was_lost_counts(
    repository: Repository, server: RegistryServer
) -> None:
    """The registry has it, and no session any more: a second PUT gets a 404."""
    lost = []

    def lose(request: Request) -> int | None:
        if request.method == "PUT" and "/uploads/" in request.path and not lost:
            lost.append(request)
            served(server).blobs[str(blob.digest)] = b"layer"
            served(server).uploads.clear()
            return 502
        return None

    blob = Descriptor.of(b"layer", "application/x")
    server.faults.status_for = lose
    repository.put(blob, [b"layer"])
    assert len(server.requests("PUT")) == 2


def test_a_large_blob_is_sent_once_and_its_failure_told(
    repository: Repository, server: RegistryServer
) -> None:
    large = Descriptor.of(b"x" * (5 << 20), "application/x")
    server.faults.status_for = lambda request: 503 if request.method == "PUT" else None
    with pytest.raises(RegistryError, match="answers 503: UNAVAILABLE"):
        repository.put(large, iter([b"x" * (5 << 20)]))
    assert len(server.requests("PUT")) == 1


# --- what cannot go up in one piece --------------------------------------------------------------


LARGE = bytes(range(256)) * (5 << 12)  # five megabytes


def first_put(status: int) -> Callable[[Request], int | None]:
    """Let the first PUT of content fail."""
    failed = []

    def answer(request: Request) -> int | None:
        if request.method == "PUT" and "/uploads/" in request.path and not failed:
            failed.append(request)
            return status
        return None

    return answer


@pytest.mark.parametrize("status", [500, 502, 504, 413])
def test_a_large_blob_that_fails_in_one_piece_goes_up_in_chunks(
    repository: Repository, server: RegistryServer, status: int
) -> None:
    blob = Descriptor.of(LARGE, "application/x")
    server.faults.status_for = first_put(status)
    repository.put(blob, [LARGE])
    assert served(server).blobs[str(blob.digest)] == LARGE
    size = 512 << 10 if status == 413 else 4 << 20
    assert server.requests("PATCH")[0].body_size == size
    assert len(server.requests("DELETE")) == 1  # the place of the first try is given back


def test_a_large_blob_whose_connection_breaks_goes_up_in_chunks(
    repository: Repository, server: RegistryServer
) -> None:
    blob = Descriptor.of(LARGE, "application/x")

    original = server.answer

    def answer(request: Request, body: bytes) -> Reply | None:
        reply = original(request, body)
        return None if request.method == "PUT" and len(server.requests("PUT")) == 1 else reply

    server.answer = answer  # type: ignore[method-assign]
    repository.put(blob, [LARGE])
    assert served(server).blobs[str(blob.digest)] == LARGE


@pytest.mark.parametrize("size", [2 << 20, 5 << 20])
def test_a_proxy_that_takes_a_megabyte_gets_less(
    repository: Repository, server: RegistryServer, size: int
) -> None:
    """nginx, as it comes, refuses larger bodies with 413 and a page of its own."""
    server.faults.body_limit = 1 << 20
    blob = Descriptor.of(LARGE[:size], "application/x")
    repository.put(blob, [LARGE[:size]])
    assert served(server).blobs[str(blob.digest)] == LARGE[:size]


def test_a_blob_that_is_read_again_for_chunks_is_checked_again(
    repository: Repository, server: RegistryServer
) -> None:
    blob = Descriptor.of(LARGE, "application/x")
    server.faults.status_for = first_put(500)

    class Changing:
        reads = 0

        def __iter__(self) -> Iterator[bytes]:
            self.reads += 1
            yield LARGE if self.reads == 1 else LARGE[::-1]

    with pytest.raises(DigestMismatch):
        repository.put(blob, Changing())
    assert served(server).blobs == {}


# --- what the registry has elsewhere -------------------------------------------------------------


def test_a_blob_of_another_repository_is_not_sent_but_mounted(
    client: RegistryClient, server: RegistryServer
) -> None:
    source, root = artifact(LARGE, b"small")
    first, second = (repository_of(client, server.host, f"tools/{name}") for name in "xy")
    copy(source, root, first, "1")
    server.log.clear()
    copy(first, first.resolve("1"), second, "1")
    assert server.requests("PATCH") == []
    assert [one for one in server.requests("PUT") if "/uploads/" in one.path] == []
    assert [one for one in server.requests("GET") if "/blobs/" in one.path] == []
    back = MemoryStore()
    copy(second, second.resolve("1"), back, None)
    assert back.blobs == source.blobs


def test_where_nothing_is_mounted_the_session_that_was_opened_is_used(
    client: RegistryClient, server: RegistryServer
) -> None:
    source, root = artifact(b"small")
    first, second = (repository_of(client, server.host, f"tools/{name}") for name in "xy")
    copy(source, root, first, "1")
    server.faults.no_mount = True
    server.log.clear()
    copy(first, first.resolve("1"), second, "1")
    assert all("?mount=" in one.path for one in server.requests("POST"))
    assert is_there(second, source)


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_where_a_mount_is_refused_the_blob_is_sent(
    client: RegistryClient, server: RegistryServer, status: int
) -> None:
    source, root = artifact(b"small")
    first, second = (repository_of(client, server.host, f"tools/{name}") for name in "xy")
    copy(source, root, first, "1")
    server.faults.status_for = lambda request: status if "?mount=" in request.path else None
    copy(first, first.resolve("1"), second, "1")
    assert is_there(second, source)


def is_there(repository: Repository, source: MemoryStore) -> bool:
    back = MemoryStore()
    copy(repository, repository.resolve("1"), back, None)
    return back.blobs == source.blobs


def test_between_two_registries_nothing_is_mounted(
    client: RegistryClient, server: RegistryServer
) -> None:
    source, root = artifact(b"small")
    with registry_server() as other:
        first, second = repository_of(client, server.host), repository_of(client, other.host)
        copy(source, root, first, "1")
        copy(first, first.resolve("1"), second, "1")
        assert all("mount" not in one.path for one in other.log)


@pytest.mark.parametrize("size", [10, 5 << 20])
def test_an_upload_that_fails_is_cancelled(
    repository: Repository, server: RegistryServer, size: int
) -> None:
    data = b"x" * size
    server.faults.status_for = lambda request: 400 if request.method == "PUT" else None
    with pytest.raises(RegistryRefused):
        repository.put(Descriptor.of(data, "application/x"), [data])
    assert methods(server)[-1] == "DELETE"
    assert served(server).uploads == {}


@pytest.mark.parametrize(
    "location",
    [
        lambda place: place,
        lambda place: place.removeprefix("/v2/tools/x/blobs/uploads/"),
        lambda place: place.partition("?")[0],
        lambda place: f"{place}&a=1&a=1&b=&c=%7E%20(x)",
    ],
    ids=["absolute", "relative", "bare", "odd"],
)
def test_the_place_of_an_upload_is_used_as_it_was_given(
    repository: Repository, server: RegistryServer, location: Callable[[str], str]
) -> None:
    given: list[str] = []
    server.faults.location = lambda place: given.append(location(place)) or given[-1]  # type: ignore[func-returns-value]
    repository.put(Descriptor.of(b"x", "application/x"), [b"x"])
    put = server.requests("PUT")[0].path
    place = given[0] if given[0].startswith("/") else f"/v2/tools/x/blobs/uploads/{given[0]}"
    joint = "&" if "?" in place else "?"
    assert put.startswith(f"{place}{joint}digest=sha256:")


@pytest.mark.parametrize("location", ["", "ftp://h/", "http://["])
def test_a_place_that_leads_nowhere_is_refused(
    repository: Repository, server: RegistryServer, location: str
) -> None:
    server.faults.location = lambda _: location
    with pytest.raises(RegistryError, match=r"no place|no http address"):
        repository.put(Descriptor.of(b"x", "application/x"), [b"x"])


def test_manifests_go_up_under_their_type(repository: Repository, server: RegistryServer) -> None:
    source, root = two_platforms(b"layer")
    copy(source, root, repository, "1")
    types = [
        one.headers["content-type"] for one in server.requests("PUT") if "/manifests/" in one.path
    ]
    assert types == [MANIFEST, MANIFEST, INDEX]


# --- tags ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("times", "whole"), [(1, True), (2, True), (3, False)])
def test_a_blob_that_the_registry_loses_sight_of_is_waited_for(
    repository: Repository, server: RegistryServer, times: int, whole: bool
) -> None:
    """docker-registry 2.8, while another client sends the same blob."""
    source, root = artifact(b"layer")
    plain = server._endpoints._put_manifest
    refusals = [error_reply(400, "MANIFEST_BLOB_UNKNOWN")] * times
    server._endpoints._put_manifest = (  # type: ignore[method-assign]
        lambda *a: refusals.pop() if refusals else plain(*a)
    )
    if whole:
        copy(source, root, repository, "1")
        assert served(server).tags == {"1": str(root.digest)}
        return
    with pytest.raises(RegistryRefused, match="BLOB_UNKNOWN"):
        copy(source, root, repository, "1")


@pytest.mark.parametrize("status", [400, 403, 405, 409, 412])
@pytest.mark.parametrize("header", [True, False])
def test_pushing_the_same_again_to_an_immutable_tag_is_no_error(
    repository: Repository, server: RegistryServer, status: int, header: bool
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    server.faults.refuse_put = status
    server.faults.no_digest_header = not header
    copy(source, root, repository, "1")


def test_pushing_something_else_to_an_immutable_tag_is_one(
    repository: Repository, server: RegistryServer
) -> None:
    source, root = artifact(b"layer")
    copy(source, root, repository, "1")
    server.faults.refuse_put = 409
    other, changed = artifact(b"changed")
    with pytest.raises(RegistryRefused, match="the tag is immutable"):
        copy(other, changed, repository, "1")
    assert served(server).tags == {"1": str(root.digest)}


def test_a_tag_moves_to_what_was_pushed_last(
    repository: Repository, server: RegistryServer
) -> None:
    for layer in (b"old", b"new"):
        source, root = artifact(layer)
        copy(source, root, repository, "1")
    assert repository.resolve("1").digest == root.digest


def test_a_digest_is_no_name_for_something_else(
    repository: Repository, server: RegistryServer
) -> None:
    source, root = artifact(b"layer")
    _, other = artifact(b"other")
    copy(source, root, repository, str(root.digest))
    assert repository.resolve(str(root.digest)).digest == root.digest
    with pytest.raises(RegistryRefused, match="can be nothing but that"):
        copy(source, root, repository, str(other.digest))


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RegistryRefused), (413, RegistryRefused), (412, RegistryRefused), (422, RegistryError)],
)
def test_a_refusal_is_told_in_the_registrys_words(
    repository: Repository, server: RegistryServer, status: int, error: type[Exception]
) -> None:
    server.faults.status_for = lambda request: status if request.method == "POST" else None
    source, root = artifact(b"layer")
    with pytest.raises(error, match=rf"{status}.*UNAVAILABLE unavailable"):
        copy(source, root, repository, "1")


def test_a_registry_that_asks_to_come_back_much_later_is_quoted(
    repository: Repository, server: RegistryServer
) -> None:
    server.faults.statuses = [429]
    server.faults.retry_after = "3600"
    with pytest.raises(RegistryError, match=r"answers 429: .*; it asks to come back in 3600 s"):
        repository.resolve("1")


# --- into the store ------------------------------------------------------------------------------


def every_flip(data: bytes) -> Iterator[Callable[[bytes], bytes]]:
    """Make functions that change one byte of these data and leave others alone."""
    for at in range(len(data)):

        def change(served: bytes, at: int = at) -> bytes:
            if served != data:
                return served
            return served[:at] + bytes([served[at] ^ 1]) + served[at + 1 :]

        yield change


def test_a_wrong_byte_anywhere_in_what_is_served_reaches_no_store(
    repository: Repository, server: RegistryServer, tmp_path: Path
) -> None:
    source, root = artifact(b"a layer", config=b"{}")
    copy(source, root, repository, "1")
    for number, data in enumerate(source.blobs.values()):
        target = Layout.create(str(tmp_path / str(number)), journal=True)
        for change in every_flip(data):
            server.faults.wrong_bytes = change
            with pytest.raises(IntegrityError):
                copy(repository, repository.resolve(str(root.digest)), target, "x:1")
        assert target.entries() == []
        server.faults.wrong_bytes = None
        copy(repository, repository.resolve("1"), target, "x:1")
        assert is_whole(target)
