from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ebpm.cache.blobs import replace_file
from ebpm.cache.index import read_index
from ebpm.cache.layout import Layout
from ebpm.errors import (
    DigestMismatch,
    InvalidManifest,
    InvalidReference,
    ManifestNotFound,
    StoreUnusable,
)
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import INDEX, REF_NAME, Descriptor
from ebpm.oci.store import MemoryStore, fetch_manifest
from tests.artifacts import artifact, files_of, is_whole, two_platforms


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Layout:
    return Layout.create(str(root), journal=True)


def index_of(root: Path) -> dict:
    return json.loads((root / "index.json").read_bytes())


def names_of(layout: Layout) -> list[str | None]:
    return [one.ref_name for one in layout.entries()]


def add(layout: Layout, name: str, *layers: bytes) -> Descriptor:
    source, root = artifact(*(layers or (name.encode(),)))
    return copy(source, root, layout, name)


# --- the folder ----------------------------------------------------------------------------------


def test_an_empty_store_is_a_valid_layout(root: Path, store: Layout) -> None:
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert index_of(root) == {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    assert (root / "blobs/sha256").is_dir()
    assert store.entries() == []


def test_opening_it_again_changes_nothing(root: Path, store: Layout) -> None:
    add(store, "x:1")
    before = (root / "index.json").stat()
    assert names_of(Layout.create(str(root), journal=True)) == ["x:1"]
    assert (root / "index.json").stat().st_ino == before.st_ino


@pytest.mark.parametrize(
    "made", [[], ["blobs"], ["blobs", "ingest"], ["blobs", "ingest", ".ebpm"], ["lost+found"]]
)
def test_a_folder_that_a_killed_process_began_is_finished(root: Path, made: list[str]) -> None:
    root.mkdir()
    for name in made:
        (root / name).mkdir()
    add(Layout.create(str(root), journal=True), "x:1")
    assert is_whole(Layout(str(root), journal=True))


def test_folders_that_went_missing_are_made_again(root: Path, store: Layout) -> None:
    for name in ("blobs/sha256", "blobs", "ingest"):
        (root / name).rmdir()
    add(Layout.create(str(root), journal=True), "x:1")
    assert is_whole(store)


def test_a_folder_of_something_else_is_left_alone(root: Path) -> None:
    root.mkdir()
    (root / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreUnusable, match="is not empty and is no OCI layout"):
        Layout.create(str(root))
    assert os.listdir(root) == ["thesis.tex"]


def test_a_file_in_its_place_is_said_to_be_there(root: Path) -> None:
    root.write_text("a file")
    with pytest.raises(StoreUnusable, match="cannot create"):
        Layout.create(str(root))


def test_old_temporary_files_go_and_young_ones_stay(root: Path, store: Layout) -> None:
    for name in ("old", "young"):
        (root / "ingest" / name).write_text("rest")
    yesterday = time.time() - 25 * 3600
    os.utime(root / "ingest/old", (yesterday, yesterday))
    Layout.create(str(root), journal=True)
    assert files_of(root, "ingest") == {"young"}


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", [True, False])
def test_a_name_means_what_it_was_last_given_to(root: Path, journal: bool) -> None:
    layout = Layout.create(str(root), journal=journal)
    add(layout, "x:1", b"old")
    add(layout, "y:1", b"other")
    new = add(layout, "x:1", b"new")
    assert layout.resolve("x:1").digest == new.digest
    assert sorted(names_of(layout)) == ["x:1", "y:1"]


@pytest.mark.parametrize("journal", [True, False])
def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    root: Path, journal: bool
) -> None:
    layout = Layout.create(str(root), journal=journal)
    add(layout, "x:1")
    with pytest.raises(ManifestNotFound, match=r"y:1: not in .*store") as caught:
        layout.resolve("y:1")
    assert caught.value.hint == "it has x:1"


def test_one_manifest_needs_no_name_and_two_do(root: Path) -> None:
    layout = Layout.create(str(root))
    first = add(layout, "x:1")
    assert layout.resolve("").digest == first.digest
    add(layout, "x:2")
    with pytest.raises(ManifestNotFound, match="no name"):
        layout.resolve("")


@pytest.mark.parametrize("journal", [True, False])
def test_a_digest_finds_a_manifest_whatever_its_names(root: Path, journal: bool) -> None:
    layout = Layout.create(str(root), journal=journal)
    source, index = two_platforms(b"layer")
    copy(source, index, layout, "x:1")
    child = fetch_manifest(layout, index).children[0]
    for one in (index, child):
        found = layout.resolve(f"any/name@{one.digest}")
        assert (found.digest, found.size, found.media_type) == (
            one.digest,
            one.size,
            one.media_type,
        )
    assert layout.resolve(str(index.digest)).digest == index.digest


def test_a_digest_of_what_is_no_manifest_finds_nothing(store: Layout) -> None:
    add(store, "x:1", b"a layer", b"x" * (5 << 20))
    for layer in (b"a layer", b"x" * (5 << 20)):
        with pytest.raises(ManifestNotFound, match="not a manifest"):
            store.resolve(f"x@{Descriptor.of(layer, 'x').digest}")
    with pytest.raises(ManifestNotFound, match="not in"):
        store.resolve(f"x@{Descriptor.of(b'never seen', 'x').digest}")


def test_a_name_with_a_digest_can_be_given_to_nothing_else(store: Layout) -> None:
    one, other = add(store, "x:1", b"one"), add(store, "x:2", b"other")
    store.tag_all({f"y@{one.digest}": one})
    with pytest.raises(InvalidReference, match="can be nothing but that"):
        store.tag_all({f"y@{one.digest}": other})
    assert store.resolve(f"y@{one.digest}").digest == one.digest


def test_many_names_are_given_in_one_step(store: Layout) -> None:
    one = add(store, "x:1")
    store.tag_all({f"many:{number}": one for number in range(50)})
    assert len(store.entries()) == 51
    assert all(store.resolve(f"many:{number}").digest == one.digest for number in range(50))


def test_names_of_any_text_stay_inside_the_store(root: Path, store: Layout) -> None:
    one = add(store, "x:1")
    for name in ("../../../etc/passwd", "a/b/c:1", "\x00", "ü", "\udcff", "n" * 5000):
        store.tag_all({name: one})
        assert store.resolve(name).digest == one.digest
    assert set(os.listdir(root.parent)) == {"store"}


# --- index.json, which others read and write -----------------------------------------------------


def test_other_tools_find_every_name_in_the_index(root: Path, store: Layout) -> None:
    digests = {name: str(add(store, name).digest) for name in ("x:1", "host.example:5000/y:1")}
    found = {item["annotations"][REF_NAME]: item["digest"] for item in index_of(root)["manifests"]}
    assert found == digests


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"null", b"[]", b"{}", b'{"manifests":{}}', b'{"manifests":[1]}', b"\xff"]
)
def test_a_damaged_index_is_made_again_from_the_references(
    root: Path, store: Layout, damage: bytes
) -> None:
    digests = {add(store, name).digest for name in ("x:1", "y:1")}
    (root / "index.json").write_bytes(damage)
    assert {one.digest for one in store.entries()} == digests
    add(store, "z:1")
    assert len(index_of(root)["manifests"]) == 3
    assert is_whole(store)


def test_a_missing_index_is_made_again(root: Path, store: Layout) -> None:
    add(store, "x:1")
    (root / "index.json").unlink()
    assert names_of(store) == ["x:1"]
    Layout.create(str(root), journal=True)
    assert len(index_of(root)["manifests"]) == 1


def test_names_that_another_tool_dropped_come_back(root: Path, store: Layout) -> None:
    """Skopeo and oras write the index whole and without a lock: what came meanwhile is lost."""
    add(store, "x:1")
    stale = (root / "index.json").read_bytes()
    add(store, "y:1")
    (root / "index.json").write_bytes(stale)
    assert names_of(store) == ["x:1", "y:1"]
    add(store, "z:1")
    assert names_of(Layout(str(root))) == ["x:1", "y:1", "z:1"]


def test_names_that_another_tool_added_stay(root: Path, store: Layout) -> None:
    one = add(store, "x:1")
    index = index_of(root)
    index["manifests"].append(one.named("theirs:1").to_json())
    (root / "index.json").write_text(json.dumps(index))
    add(store, "y:1")
    assert sorted(map(str, names_of(store))) == ["theirs:1", "x:1", "y:1"]
    assert store.resolve("theirs:1").digest == one.digest


@pytest.mark.parametrize("journal", [True, False])
def test_what_other_tools_say_in_the_index_is_kept(root: Path, journal: bool) -> None:
    layout = Layout.create(str(root), journal=journal)
    one = add(layout, "x:1")
    index = index_of(root)
    index["annotations"] = {"vnd.example": "kept"}
    platform = {"os": "linux", "architecture": "arm", "variant": "v7"}
    foreign = {**one.to_json(), "platform": platform, "data": "e30=", "urls": ["https://a.b"]}
    foreign["annotations"] = {"odd": "\ud800"}
    index["manifests"].append(foreign)
    (root / "index.json").write_text(json.dumps(index))
    add(layout, "y:1")
    after = index_of(root)
    assert after["annotations"] == {"vnd.example": "kept"}
    assert foreign in after["manifests"]


def test_a_foreign_layout_with_a_damaged_index_is_said_to_be_damaged(root: Path) -> None:
    layout = Layout.create(str(root))
    add(layout, "x:1")
    (root / "index.json").write_bytes(b"{")
    with pytest.raises(InvalidManifest, match=r"index\.json is damaged"):
        layout.resolve("x:1")


def test_a_foreign_layout_gets_no_files_of_ours(root: Path) -> None:
    add(Layout.create(str(root)), "x:1")
    assert set(os.listdir(root)) == {"oci-layout", "index.json", "blobs", "ingest"}


def test_two_writers_at_once_do_not_lose_a_name(
    root: Path, store: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = add(store, "x:1")

    def slow(*arguments: Any, **options: Any) -> Any:
        index = read_index(*arguments, **options)
        time.sleep(0.05)
        return index

    monkeypatch.setattr("ebpm.cache.layout.read_index", slow)
    threads = [
        threading.Thread(target=store.tag_all, args=({name: one},)) for name in ("a:1", "b:1")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert {item["annotations"][REF_NAME] for item in index_of(root)["manifests"]} == {
        *("x:1", "a:1", "b:1")
    }


@pytest.mark.parametrize("moment", ["reference", "index"])
def test_a_kill_between_a_reference_and_the_index_loses_nothing(
    root: Path, store: Layout, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "x:1")

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    def killed_at_the_stamp(path: str, *rest: object) -> object:
        return killed() if path.endswith("stamp") else replace_file(path, *rest)

    if moment == "reference":
        monkeypatch.setattr("ebpm.cache.layout.write_index", killed)
    else:
        monkeypatch.setattr("ebpm.cache.index.replace_file", killed_at_the_stamp)
    with pytest.raises(SystemExit):
        add(store, "y:1")
    monkeypatch.undo()
    assert names_of(store) == ["x:1", "y:1"]
    store.untag("y:1")
    assert names_of(store) == ["x:1"]
    with pytest.raises(ManifestNotFound):
        store.resolve("y:1")


def test_a_damaged_reference_is_read_from_the_index(root: Path, store: Layout) -> None:
    one = add(store, "x:1")
    for path in (root / ".ebpm/refs").rglob("*.json"):
        path.write_text("{")
    assert store.resolve("x:1").digest == one.digest
    assert names_of(store) == ["x:1"]


# --- taking away ---------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", [True, False])
def test_the_last_name_takes_the_content_with_it(root: Path, journal: bool) -> None:
    layout = Layout.create(str(root), journal=journal)
    one = add(layout, "x:1")
    assert layout.untag("x:1").digest == one.digest
    assert files_of(root) == set()
    assert layout.entries() == []
    with pytest.raises(ManifestNotFound):
        layout.untag("x:1")


def test_what_another_name_needs_stays(root: Path, store: Layout) -> None:
    add(store, "x:1", b"shared", b"only x")
    add(store, "y:1", b"shared", b"only y")
    store.untag("x:1")
    assert is_whole(store)
    left = {(root / "blobs/sha256" / name).read_bytes() for name in files_of(root)}
    assert b"shared" in left
    assert b"only y" in left
    assert b"only x" not in left


def test_a_second_name_keeps_all(root: Path, store: Layout) -> None:
    one = add(store, "x:1")
    store.tag_all({"x:2": one})
    before = files_of(root)
    store.untag("x:1")
    assert files_of(root) == before


def test_what_an_index_needs_stays(root: Path, store: Layout) -> None:
    source, index = two_platforms(b"layer")
    copy(source, index, store, "both:1")
    child = fetch_manifest(store, index).children[0]
    store.tag_all({"one:1": child})
    store.untag("one:1")
    assert is_whole(store)
    store.tag_all({"one:1": child})
    store.untag("both:1")
    assert is_whole(store)
    assert len(files_of(root)) == 4  # its manifest, config, two layers


def test_what_an_entry_without_a_name_needs_stays(root: Path) -> None:
    layout = Layout.create(str(root))
    one = add(layout, "x:1", b"shared")
    index = index_of(root)
    index["manifests"].append(one.to_json())
    (root / "index.json").write_text(json.dumps(index))
    layout.untag("x:1")
    assert is_whole(layout)
    assert [entry.digest for entry in layout.entries()] == [one.digest]


@pytest.mark.parametrize("damage", ["wrong bytes", "cut"])
def test_beside_a_damaged_package_nothing_is_swept(root: Path, store: Layout, damage: str) -> None:
    add(store, "x:1", b"shared", b"only x")
    kept = add(store, "y:1", b"shared", b"only y")
    path = root / "blobs/sha256" / kept.digest.hex
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] + b" " if damage == "wrong bytes" else data[:-5])
    before = files_of(root)
    store.untag("x:1")
    assert files_of(root) == before


def test_a_damaged_package_can_be_removed(root: Path, store: Layout) -> None:
    one = add(store, "x:1")
    path = root / "blobs/sha256" / one.digest.hex
    path.chmod(0o644)
    path.write_bytes(b"{}")
    store.untag("x:1")
    assert store.entries() == []
    assert one.digest.hex not in files_of(root)


def test_removal_waits_for_a_copy_that_is_under_way(root: Path, store: Layout) -> None:
    """Blobs that are there and not named yet belong to somebody."""
    add(store, "x:1", b"shared")
    source, other = artifact(b"shared", b"new")
    removal = threading.Thread(target=store.untag, args=("x:1",))

    class Slow(MemoryStore):
        def open(self, descriptor: Descriptor, start: int = 0):
            if not removal.is_alive():
                removal.start()
                time.sleep(0.1)
            assert removal.is_alive()
            return source.open(descriptor)

    copy(Slow(), other, store, "y:1")
    removal.join(10)
    assert names_of(store) == ["y:1"]
    assert is_whole(store)


# --- damage --------------------------------------------------------------------------------------


def test_damaged_content_is_refused_on_reading(root: Path, store: Layout) -> None:
    one = add(store, "x:1", b"layer")
    path = root / "blobs/sha256" / Descriptor.of(b"layer", "x").digest.hex
    path.chmod(0o644)
    path.write_bytes(b"LAYER")
    with pytest.raises(DigestMismatch):
        copy(store, one, MemoryStore(), None)


def test_pulling_again_repairs_it(root: Path, store: Layout) -> None:
    source, one = artifact(b"layer")
    copy(source, one, store, "x:1")
    for path in (root / "blobs/sha256").iterdir():
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[::-1])
    copy(source, one, store, "x:1")
    assert is_whole(store)


def test_a_readonly_layout_is_not_written(root: Path, store: Layout) -> None:
    one = add(store, "x:1")
    reading = Layout(str(root), journal=True, readonly=True)
    before = sorted(path.stat().st_mtime_ns for path in root.rglob("*"))
    for write in (
        lambda: reading.tag_all({"y:1": one}),
        lambda: reading.untag("x:1"),
        lambda: reading.put(Descriptor.of(b"z", "x"), [b"z"]),
        lambda: add(reading, "z:1"),
    ):
        with pytest.raises(StoreUnusable, match="only read"):
            write()
    assert sorted(path.stat().st_mtime_ns for path in root.rglob("*")) == before
    assert reading.resolve("x:1").digest == one.digest
