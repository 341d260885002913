"""What refers to an artifact goes where the artifact goes: any place to any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ebpm.cache import refs
from ebpm.cache.layout import Layout
from ebpm.errors import InvalidManifest, NotFound
from ebpm.oci import walk
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import INDEX, MANIFEST, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import parse_manifest, write_index, write_manifest
from ebpm.oci.reference import beside
from ebpm.oci.store import MemoryStore, fetch, signature_tag_names
from ebpm.testing.registry import registry_server
from tests.artifacts import (
    CONFIG_TYPE,
    LAYER_TYPE,
    artifact,
    client_for,
    repository_of,
    two_platforms,
)

Open = Callable[[], Any]
PLACES = ["memory", "folder", "store", "registry", "old-registry"]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A place of the kind that the test is called with."""
    with ExitStack() as stack:
        kind = request.param
        if kind == "memory":
            yield MemoryStore()
        elif kind in ("folder", "store"):
            yield Layout.create(str(tmp_path / kind), journal=kind == "store")
        else:
            server = stack.enter_context(registry_server())
            server.faults.no_referrers = kind == "old-registry"
            client = stack.enter_context(client_for(tmp_path))
            yield repository_of(client, server.host)


def refer(store: MemoryStore, subject: Descriptor, content: bytes) -> Descriptor:
    """Make something that refers to a manifest."""
    config = store.add(b"{}", Descriptor.of(b"{}", CONFIG_TYPE))
    layer = store.add(content, Descriptor.of(content, LAYER_TYPE))
    raw = write_manifest(
        config, [layer], artifact_type="application/vnd.example.note", subject=subject,
        annotations={"note": content.decode()},
    )  # fmt: skip
    descriptor = Descriptor.of(raw, MANIFEST)
    store.add(raw, descriptor)
    store.attach(descriptor, raw)
    return descriptor


def tag_signature(store: MemoryStore, subject: Descriptor, content: bytes, kind: int = 0) -> str:
    """Make what cosign kept in a tag."""
    other, root = artifact(content)
    store.blobs |= other.blobs
    name = signature_tag_names(subject)[kind]
    store.tags[name] = root
    return name


def children(store: MemoryStore, index: Descriptor) -> tuple[Descriptor, ...]:
    return parse_manifest(store.blobs[str(index.digest)], index.media_type).children


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_all_that_refers_to_an_artifact_goes_along_and_comes_back(place: Any) -> None:
    source, root = two_platforms(b"shared")
    one, other = children(source, root)
    note = refer(source, root, b"of the index")
    refer(source, one, b"of a platform's manifest")
    refer(source, note, b"of a note")
    tag_signature(source, root, b"signature")
    tag_signature(source, other, b"attestation", 1)
    copy(source, root, place, "1", referrers=True)
    back = MemoryStore()
    copy(place, place.resolve("1"), back, "1", referrers=True)
    assert back.blobs == source.blobs
    assert back.attached == source.attached
    assert {name: one.digest for name, one in back.tags.items() if name != "1"} == {
        name: one.digest for name, one in source.tags.items()
    }


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_they_are_listed_with_their_own_type_and_annotations(place: Any) -> None:
    source, root = artifact(b"layer")
    note = refer(source, root, b"text")
    refer(source, note, b"another")
    copy(source, root, place, "1", referrers=True)
    (found,) = place.referrers(root)
    assert found.digest == note.digest
    assert found.artifact_type == "application/vnd.example.note"
    assert dict(found.annotations) == {"note": "text"}


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_without_being_asked_nothing_of_it_goes(place: Any) -> None:
    source, root = artifact(b"layer")
    refer(source, root, b"note")
    tag_signature(source, root, b"signature")
    copy(source, root, place, "1")
    assert place.referrers(root) == []
    assert place.signature_tags(root) == {}


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_copied_again_nothing_comes_twice(place: Any) -> None:
    source, root = artifact(b"layer")
    refer(source, root, b"note")
    for _ in range(2):
        copy(source, root, place, "1", referrers=True)
    assert len(place.referrers(root)) == 1


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_a_referrer_may_be_copied_by_itself_before_its_subject(place: Any) -> None:
    source, root = artifact(b"layer")
    note = refer(source, root, b"note")
    copy(source, note, place, None)
    copy(source, note, place, "note")
    assert place.resolve("note").digest == note.digest
    assert [one.digest for one in place.referrers(root)] == [note.digest]


def test_the_name_comes_last_when_all_signatures_are_there() -> None:
    source, root = artifact(b"layer")
    note = refer(source, root, b"note")
    tag = tag_signature(source, root, b"signature")

    order: list[str] = []

    class Ordered(MemoryStore):
        def attach(self, descriptor: Descriptor, raw: bytes) -> None:
            super().attach(descriptor, raw)
            order.append(str(descriptor.digest))

        def tag(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
            super().tag(descriptor, name, raw)
            order.append(name)

    copy(source, root, Ordered(), "x:1", referrers=True)
    assert order == [str(note.digest), f"x:{tag}", "x:1"]


# --- what a source may get wrong -----------------------------------------------------------------


def test_a_list_with_what_is_gone_or_about_something_else_is_no_error() -> None:
    source, root = artifact(b"layer")
    note = refer(source, root, b"note")
    _, unrelated = artifact(b"unrelated")
    foreign = refer(source, unrelated, b"about another")
    gone = Descriptor.of(b"gone", MANIFEST)
    source.attached[str(root.digest)] = [gone, foreign, note]
    target = MemoryStore()
    copy(source, root, target, "1", referrers=True)
    assert [one.digest for one in target.referrers(root)] == [note.digest]
    assert str(foreign.digest) not in target.blobs


def test_a_missing_layer_of_a_referrer_is_an_error() -> None:
    source, root = artifact(b"layer")
    refer(source, root, b"note")
    del source.blobs[str(Digest.of(b"note"))]
    target = MemoryStore()
    with pytest.raises(NotFound):
        copy(source, root, target, "1", referrers=True)
    assert target.tags == {}


def test_a_chain_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "_DEPTH_LIMIT", 4)
    source, root = artifact(b"layer")
    last = root
    for number in range(5):
        last = refer(source, last, b"%d" % number)
    with pytest.raises(InvalidManifest, match="more than anybody would pack"):
        copy(source, root, MemoryStore(), "1", referrers=True)


# --- layouts -------------------------------------------------------------------------------------


def test_a_referrer_survives_the_loss_of_the_stores_index(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    note = refer(source, root, b"note")
    store = Layout.create(str(tmp_path / "store"), journal=True)
    copy(source, root, store, "x:1", referrers=True)
    Path(store.root, "index.json").write_bytes(b'{"schemaVersion":2,"manifests":[]}')
    assert [one.digest for one in store.referrers(root)] == [note.digest]
    assert sorted(name for name, _ in refs.all_refs(store.root)) == [f"@{note.digest}", "x:1"]
    store.tag_all({"y:1": root})
    document = json.loads(Path(store.root, "index.json").read_bytes())
    assert [one["digest"] for one in document["manifests"]].count(str(note.digest)) == 1


def test_a_folder_with_the_tag_of_old_registries_is_understood(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    note = refer(source, root, b"note")
    layout = Layout.create(str(tmp_path / "layout"))
    copy(source, root, layout, "1")
    raw = write_index([note])
    source.add(raw, index := Descriptor.of(raw, INDEX))
    copy(source, index, layout, f"sha256-{root.digest.hex}")
    entries = json.loads((tmp_path / "layout/index.json").read_bytes())
    entries["manifests"] = [
        one for one in entries["manifests"] if one["digest"] != str(note.digest)
    ]
    (tmp_path / "layout/index.json").write_text(json.dumps(entries))
    assert [one.digest for one in layout.referrers(root)] == [note.digest]


def test_a_damaged_referrer_is_passed_over_when_they_are_listed(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    note, sound = refer(source, root, b"note"), refer(source, root, b"sound")
    layout = Layout.create(str(tmp_path / "layout"))
    copy(source, root, layout, "1", referrers=True)
    path = tmp_path / "layout/blobs/sha256" / note.digest.hex
    path.chmod(0o644)
    path.write_bytes(b"x" * note.size)
    assert [one.digest for one in layout.referrers(root)] == [sound.digest]


def test_what_is_found_is_what_was_read(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    note = refer(source, root, b"note")
    layout = Layout.create(str(tmp_path / "layout"))
    copy(source, root, layout, "1", referrers=True)
    (found,) = layout.referrers(root)
    assert fetch(layout, found, 1 << 20) == source.blobs[str(note.digest)]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (None, "t"),
        ("1.0", "t"),
        (f"sha256:{'0' * 64}", "t"),
        ("x:1", "x:t"),
        ("ghcr.io/acme/x:1", "ghcr.io/acme/x:t"),
        ("localhost:5000/x:1", "localhost:5000/x:t"),
        (f"localhost:5000/x@sha256:{'0' * 64}", "localhost:5000/x:t"),
        (f"x:1@sha256:{'0' * 64}", "x:t"),
        (f"x@sha256:{'0' * 64}", "x:t"),
    ],
)
def test_a_tag_beside_another_lies_in_the_same_repository(name: str | None, other: str) -> None:
    assert beside(name, "t") == other
