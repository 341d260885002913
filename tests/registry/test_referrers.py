"""Lists of what refers to a manifest: the registry's own, and the one that clients write."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from ebpm.errors import (
    AuthenticationFailed,
    InvalidManifest,
    RegistryError,
    RegistryRefused,
)
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import INDEX, MANIFEST, Descriptor
from ebpm.oci.manifest import write_index, write_manifest
from ebpm.oci.reference import Reference
from ebpm.registry import referrers as module
from ebpm.registry.client import RegistryClient
from ebpm.registry.referrers import fallback_tag
from ebpm.registry.repository import Repository
from ebpm.testing.endpoints import json_reply
from ebpm.testing.faults import Reply, Request
from ebpm.testing.guard import Guard
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import CONFIG_TYPE, artifact, client_for, repository_of

NOTE = "application/vnd.example.note"
EMPTY = "application/vnd.oci.empty.v1+json"


@pytest.fixture
def repository(client: RegistryClient, server: RegistryServer) -> Repository:
    return repository_of(client, server.host)


@pytest.fixture
def subject(repository: Repository) -> Descriptor:
    """An artifact that is there."""
    source, root = artifact(b"a program")
    return copy(source, root, repository, "1")


def note(subject: Descriptor, text: str = "note") -> tuple[Descriptor, bytes]:
    """Make a referrer of blobs that are there with the artifact."""
    config = Descriptor.of(b'{"made":"up"}', CONFIG_TYPE)
    raw = write_manifest(
        config, [config], artifact_type=NOTE, subject=subject, annotations={"text": text}
    )
    return Descriptor.of(raw, MANIFEST), raw


def tags_of(server: RegistryServer) -> set[str]:
    return set(server.repositories["tools/x"].tags)


# --- the registry's own list ---------------------------------------------------------------------


def test_where_the_registry_keeps_the_list_no_tag_is_written(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    one, raw = note(subject)
    server.log.clear()
    repository.attach(one, raw)
    assert [str(request).partition(" ")[0] for request in server.log] == ["HEAD", "PUT"]
    assert tags_of(server) == {"1"}
    (found,) = repository.referrers(subject)
    assert (found.digest, found.artifact_type, found.annotations) == (
        one.digest, NOTE, {"text": "note"},
    )  # fmt: skip


def test_a_list_comes_in_pages(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    made = [note(subject, str(number)) for number in range(5)]
    for one, raw in made:
        repository.attach(one, raw)
    server.faults.page_size = 2
    found = {one.digest for one in repository.referrers(subject)}
    assert found == {one.digest for one, _ in made}
    assert len([one for one in server.log if "/referrers/" in one.path]) >= 3


def test_a_redirect_to_another_host_is_no_list(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    """GHCR answers 303 to a place on another host, which then answers 429."""
    one, raw = note(subject)
    server.faults.no_referrers = True
    repository.attach(one, raw)
    with registry_server() as elsewhere:
        server.faults.redirect_referrers_to = elsewhere.url
        assert [found.digest for found in repository.referrers(subject)] == [one.digest]
        assert elsewhere.log == []


@pytest.mark.parametrize("status", [303, 307, 400, 403, 404, 405, 406, 501])
def test_what_is_no_list_means_that_there_is_none(
    repository: Repository, server: RegistryServer, subject: Descriptor, status: int
) -> None:
    server.faults.status_for = lambda request: status if "/referrers/" in request.path else None
    assert repository.referrers(subject) == []
    one, raw = note(subject)
    repository.attach(one, raw)  # the registry saw the subject all the same


def test_a_page_of_another_type_means_that_there_is_no_list(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    _answer(server, json_reply(200, {"message": "welcome"}))
    assert repository.referrers(subject) == []


def test_an_empty_list_is_not_looked_for_elsewhere(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    server.log.clear()
    assert repository.referrers(subject) == []
    assert len(server.log) == 1


def test_a_registry_in_trouble_is_not_one_without_lists(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    """Else what is signed would look as if it were not."""
    server.faults.status_for = lambda request: 503 if "/referrers/" in request.path else None
    with pytest.raises(RegistryError):
        repository.referrers(subject)


def test_a_list_that_is_damaged_is_an_error(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    _answer(server, Reply(200, b"{", {"Content-Type": INDEX}))
    with pytest.raises(InvalidManifest):
        repository.referrers(subject)


def test_a_list_does_not_go_on_on_another_host(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    headers = {"Content-Type": INDEX, "Link": '<http://127.0.0.1:9/next>; rel="next"'}
    _answer(server, Reply(200, write_index([]), headers))
    with pytest.raises(RegistryError, match="another host"):
        repository.referrers(subject)


def test_a_list_that_goes_on_for_ever_is_given_up(
    repository: Repository,
    server: RegistryServer,
    subject: Descriptor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ebpm.registry.pages._PAGES", 5)
    headers = {"Content-Type": INDEX, "Link": '<?again>; rel="next"'}
    _answer(server, Reply(200, write_index([]), headers))
    with pytest.raises(RegistryError, match="without end"):
        repository.referrers(subject)


def _answer(server: RegistryServer, reply: Reply) -> None:
    """Let the server answer this instead of a list of referrers."""
    server._endpoints._routes[-1] = (server._endpoints._routes[-1][0], lambda *_: reply)


def test_a_referrer_older_than_the_registrys_lists_is_sent_again(
    repository: Repository, server: RegistryServer, subject: Descriptor
) -> None:
    one, raw = note(subject)
    repository.put(one, [raw])
    _answer(server, Reply(200, write_index([]), {"Content-Type": INDEX}))
    server.log.clear()
    repository.attach(one, raw)
    assert len(server.requests("PUT")) == 1


# --- the list that clients write -----------------------------------------------------------------


@pytest.fixture
def old(server: RegistryServer) -> RegistryServer:
    """A registry without lists of referrers."""
    server.faults.no_referrers = True
    return server


def listed(server: RegistryServer, subject: Descriptor) -> list[dict[str, object]]:
    """Read the list as any other tool would."""
    state = server.repositories["tools/x"]
    media_type, raw = state.manifests[state.tags[fallback_tag(subject.digest)]]
    assert media_type == INDEX
    manifests: list[dict[str, object]] = json.loads(raw)["manifests"]
    return manifests


def test_the_list_has_what_the_specification_wants(
    repository: Repository, old: RegistryServer, subject: Descriptor
) -> None:
    one, raw = note(subject)
    repository.attach(one, raw)
    assert listed(old, subject) == [
        {
            "mediaType": MANIFEST,
            "digest": str(one.digest),
            "size": one.size,
            "artifactType": NOTE,
            "annotations": {"text": "note"},
        }
    ]


def test_a_second_one_is_added_and_nothing_comes_twice(
    repository: Repository, old: RegistryServer, subject: Descriptor
) -> None:
    made = [note(subject, text) for text in "ab"]
    for one, raw in [*made, *made]:
        repository.attach(one, raw)
    assert [one["digest"] for one in listed(old, subject)] == [str(one.digest) for one, _ in made]


def test_what_others_wrote_into_the_list_stays(
    repository: Repository, old: RegistryServer, subject: Descriptor
) -> None:
    theirs = Descriptor.of(b"{}", MANIFEST, artifact_type=EMPTY, annotations={"their": "own"})
    other, other_raw = note(subject, "other")
    repository.put(other, [other_raw])
    raw = write_index([other, theirs][:1], annotations={"of": "theirs"})
    repository.tag(Descriptor.of(raw, INDEX), fallback_tag(subject.digest), raw)
    one, raw = note(subject)
    repository.attach(one, raw)
    assert [found["digest"] for found in listed(old, subject)] == [
        str(other.digest), str(one.digest),
    ]  # fmt: skip
    state = old.repositories["tools/x"]
    _, written = state.manifests[state.tags[fallback_tag(subject.digest)]]
    assert json.loads(written)["annotations"] == {"of": "theirs"}


def test_the_type_is_the_manifests_own_whatever_the_list_says(
    repository: Repository, old: RegistryServer, subject: Descriptor
) -> None:
    """cosign 3.1 writes the empty type, and no annotations."""
    one, raw = note(subject)
    repository.put(one, [raw])
    wrong = Descriptor(
        media_type=one.media_type, digest=one.digest, size=one.size, artifact_type=EMPTY
    )
    index = write_index([wrong])
    repository.tag(Descriptor.of(index, INDEX), fallback_tag(subject.digest), index)
    (found,) = repository.referrers(subject)
    assert (found.artifact_type, found.annotations) == (NOTE, {"text": "note"})


def test_what_the_list_has_and_nobody_else_is_left_out(
    repository: Repository, old: RegistryServer, subject: Descriptor
) -> None:
    one, raw = note(subject)
    repository.attach(one, raw)
    gone, gone_raw = note(subject, "gone")
    repository.attach(gone, gone_raw)
    unrelated, unrelated_raw = note(Descriptor.of(b"another", MANIFEST))
    repository.put(unrelated, [unrelated_raw])
    index = write_index([gone, unrelated, one])
    repository.tag(Descriptor.of(index, INDEX), fallback_tag(subject.digest), index)
    del old.repositories["tools/x"].manifests[str(gone.digest)]
    assert [found.digest for found in repository.referrers(subject)] == [one.digest]


def test_a_tag_that_is_no_list_is_not_overwritten(
    repository: Repository, old: RegistryServer, subject: Descriptor
) -> None:
    source, root = artifact(b"somebody's")
    tag = fallback_tag(subject.digest)
    copy(source, root, repository, tag)
    one, raw = note(subject)
    with pytest.raises(InvalidManifest, match="is no index, as that tag must be"):
        repository.attach(one, raw)
    assert old.repositories["tools/x"].tags[tag] == str(root.digest)


def test_twelve_who_attach_at_once_are_all_found(
    old: RegistryServer, subject: Descriptor, tmp_path: Path
) -> None:
    """Of twelve parallel `oras attach`, five stayed, and none reported a failure."""
    made = [note(subject, str(number)) for number in range(12)]
    together = threading.Barrier(len(made))
    failures: list[Exception] = []

    def attach(number: int) -> None:
        try:
            with client_for(tmp_path) as client:
                repository = repository_of(client, old.host)
                together.wait()
                repository.attach(*made[number])
        except Exception as error:  # noqa: BLE001  # told below
            failures.append(error)

    threads = [threading.Thread(target=attach, args=(number,)) for number in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {one["digest"] for one in listed(old, subject)} == {str(one.digest) for one, _ in made}


def test_an_entry_that_another_client_overwrites_is_written_again(
    repository: Repository, old: RegistryServer, subject: Descriptor
) -> None:
    """One who read the list before we wrote it, and writes it after."""
    one, raw = note(subject)
    late = {"left": 2}
    state = old.repositories["tools/x"]

    def overwrite(request: Request) -> None:
        writes = request.method == "PUT" and "/manifests/sha256-" in request.path
        if not writes and fallback_tag(subject.digest) in state.tags and late["left"]:
            late["left"] -= 1
            stale = write_index([])
            state.manifests["sha256:stale"] = (INDEX, stale)
            state.tags[fallback_tag(subject.digest)] = "sha256:stale"

    old.faults.status_for = overwrite  # type: ignore[assignment]
    old.faults.no_digest_header = True
    repository.attach(one, raw)
    old.faults.status_for = None
    assert [entry["digest"] for entry in listed(old, subject)] == [str(one.digest)]


def test_a_list_that_others_overwrite_each_time_is_given_up(
    repository: Repository,
    old: RegistryServer,
    subject: Descriptor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_ROUNDS", 4)
    monkeypatch.setattr(module, "_LEAST_WAIT", 0.0)
    tag = fallback_tag(subject.digest)
    old.faults.status_for = lambda _: old.repositories["tools/x"].tags.pop(tag, None) and None
    with pytest.raises(RegistryRefused, match="others overwrite"):
        repository.attach(*note(subject))


def test_reading_it_needs_no_right_to_write(tmp_path: Path) -> None:
    guard = Guard(tokens=True, public=["tools/x"])
    with registry_server(guard) as server, client_for(tmp_path) as client:
        server.faults.no_referrers = True
        reading = client.repository(Reference.parse(f"{server.host}/tools/x"))
        _, root = artifact(b"")
        assert reading.referrers(root) == []
        with pytest.raises(AuthenticationFailed):
            repository_of(client, server.host, "tools/y").referrers(root)
