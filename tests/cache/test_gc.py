"""What is removed, and what stays; what is found to be damaged."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ebpm.cache import blobs, gc, lock, refs, verify
from ebpm.cache.layout import Layout
from ebpm.errors import DigestMismatch, ManifestNotFound, StoreLocked, StoreUnusable
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.manifest import write_manifest
from tests.artifacts import CONFIG_TYPE, artifact, files_of, is_whole

DAY = 24 * 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    return Layout.create(str(tmp_path / "store"), journal=True)


def add(store: Layout, name: str, *layers: bytes, used: float = 0) -> Descriptor:
    """Put an artifact in, which was used so many seconds ago."""
    source, root = artifact(*(layers or (name.encode(),)))
    copy(source, root, store, name)
    refs.touch(store.root, name, time.time() - used)
    return root


def attach(store: Layout, subject: Descriptor, data: bytes) -> Descriptor:
    config = Descriptor.of(data, CONFIG_TYPE)
    raw = write_manifest(config, [], artifact_type="application/vnd.example.sig", subject=subject)
    store.put(config, [data])
    one = Descriptor.of(raw, MANIFEST)
    store.attach(one, raw)
    return one


def age(store: Layout, seconds: float = 2 * DAY) -> None:
    """Make all files of a store old."""
    then = time.time() - seconds
    for folder in ("blobs/sha256", "ingest", ".ebpm/quarantine"):
        for name, _ in gc.scan(f"{store.root}/{folder}"):
            os.utime(f"{store.root}/{folder}/{name}", (then, then))


def loose(store: Layout, data: bytes) -> str:
    one = Descriptor.of(data, "x")
    store.put(one, [data])
    return one.digest.hex


def names(store: Layout) -> list[str | None]:
    return [one.ref_name for one in store.entries()]


def test_what_no_name_needs_goes_once_it_is_old(store: Layout) -> None:
    add(store, "x:1")
    kept = files_of(store.root)
    blob = loose(store, b"nobody's")
    assert gc.collect(store).files == []
    age(store)
    dry = gc.collect(store, dry_run=True)
    assert (dry.size, [Path(one).name for one in dry.files]) == (8, [blob])
    assert blob in files_of(store.root)
    assert gc.collect(store) == dry
    assert files_of(store.root) == kept
    assert is_whole(store)


def test_a_copy_that_finds_an_old_blob_makes_it_young(store: Layout) -> None:
    """Between two copies nobody holds a lock; the blob must not go before it is named."""
    blob = loose(store, b"found again")
    age(store)
    assert store.has(Descriptor.of(b"found again", "x"))
    assert gc.collect(store).files == []
    assert blob in files_of(store.root)


def test_rests_of_interrupted_commands_go_but_not_what_is_being_written(store: Layout) -> None:
    import fcntl

    for name in ("old.part", "busy.part", "tmp.1.ab"):
        Path(store.root, "ingest", name).write_bytes(b"12345")
    age(store)
    Path(store.root, "ingest", "young.part").touch()
    with Path(store.root, "ingest", "busy.part").open("r+b") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        assert gc.collect(store).size == 10
    assert files_of(store.root, "ingest") == {"busy.part", "young.part"}


def test_referrers_live_as_long_as_their_subject(store: Layout) -> None:
    root = add(store, "x:1")
    first = attach(store, root, b"signature")
    attach(store, first, b"signature of the signature")
    age(store)
    before = files_of(store.root)
    assert gc.collect(store).names == []
    assert files_of(store.root) == before
    assert len(store.referrers(root)) == len(store.referrers(first)) == 1
    store.untag("x:1")
    assert files_of(store.root) == set()
    assert store.entries() == []


def test_a_referrer_whose_subject_never_came_goes_with_a_collection(store: Layout) -> None:
    absent = Descriptor.of(b"{}", MANIFEST)
    one = attach(store, absent, b"signature")
    add(store, "x:1")
    age(store)
    assert gc.collect(store).names == [f"@{one.digest}"]
    assert names(store) == ["x:1"]
    assert one.digest.hex not in files_of(store.root)
    assert is_whole(store)


def test_names_that_were_not_used_for_long_go_by_age(store: Layout) -> None:
    add(store, "old:1", b"old", b"shared", used=10 * DAY)
    add(store, "pinned:1", b"pinned", used=10 * DAY)
    add(store, "young:1", b"young", b"shared", used=DAY)
    store.pin("pinned:1", pinned=True)
    assert gc.collect(store).names == []
    removal = gc.collect(store, max_age=5 * DAY)
    assert removal.names == ["old:1"]
    assert names(store) == ["pinned:1", "young:1"]
    left = {Path(store.root, "blobs/sha256", one).read_bytes() for one in files_of(store.root)}
    assert b"old" not in left  # what a quota takes does not wait for the grace
    assert {b"shared", b"pinned"} <= left
    assert is_whole(store)


def test_the_least_used_names_go_until_the_rest_is_small_enough(store: Layout) -> None:
    for number in range(5):
        add(store, f"x:{number}", bytes([number]) * 100_000, used=number * DAY)
    store.pin("x:4", pinned=True)
    assert gc.collect(store, max_size=310_000, dry_run=True).names == ["x:2", "x:3"]
    gc.collect(store, max_size=310_000)
    assert names(store) == ["x:0", "x:1", "x:4"]
    gc.collect(store, max_size=0)
    assert names(store) == ["x:4"]


def test_a_pin_survives_a_new_meaning_of_the_name_and_can_be_taken_away(store: Layout) -> None:
    add(store, "x:1", b"one", used=10 * DAY)
    store.pin("x:1", pinned=True)
    add(store, "x:1", b"two", used=10 * DAY)
    assert gc.collect(store, max_age=DAY).names == []
    store.pin("x:1", pinned=False)
    assert gc.collect(store, max_age=DAY).names == ["x:1"]
    with pytest.raises(ManifestNotFound, match="x:1: not in"):
        store.pin("x:1", pinned=True)


def test_beside_a_damaged_manifest_nothing_is_collected(store: Layout) -> None:
    root = add(store, "x:1")
    blob = loose(store, b"nobody's")
    path = Path(store.root, "blobs/sha256", root.digest.hex)
    path.chmod(0o644)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + b" ")
    age(store)
    with pytest.raises(DigestMismatch):
        gc.collect(store)
    assert blob in files_of(store.root)


def test_a_collection_waits_for_copies_and_says_who_copies(
    store: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    with store.session(), pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        gc.collect(store)


def test_a_store_that_is_only_read_is_not_collected(store: Layout) -> None:
    with pytest.raises(StoreUnusable, match="only read"):
        gc.collect(Layout(store.root, journal=True, readonly=True))


# --- verify and usage ----------------------------------------------------------------------------


def damage(store: Layout, descriptor: Descriptor) -> Path:
    path = Path(store.root, "blobs/sha256", descriptor.digest.hex)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return path


def test_a_sound_store_is_found_sound(store: Layout) -> None:
    root = add(store, "x:1")
    attach(store, root, b"signature")
    found = verify.verify(store)
    assert found.sound
    assert found.checked == 5
    assert found.names == {}


def test_one_flipped_bit_and_a_missing_blob_are_found_with_the_names_that_need_them(
    store: Layout,
) -> None:
    add(store, "x:1", b"shared", b"x")
    add(store, "y:1", b"shared", b"y")
    add(store, "z:1", b"z")
    shared, gone = Descriptor.of(b"shared", "x"), Descriptor.of(b"y", "x")
    damage(store, shared)
    Path(store.root, "blobs/sha256", gone.digest.hex).unlink()
    found = verify.verify(store)
    assert found.damaged == [str(shared.digest)]
    assert found.missing == [str(gone.digest)]
    assert found.names == {
        "x:1": [str(shared.digest)],
        "y:1": sorted([str(shared.digest), str(gone.digest)]),
    }


def test_what_others_remove_meanwhile_is_neither_there_nor_damaged(
    store: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(store.root, "ingest")
    for name in ("1", "2", "3"):
        (folder / name).write_bytes(b"1234")
    seen = []
    for name, status in gc.scan(str(folder)):
        seen.append((name, status.st_size))
        (folder / "2").unlink(missing_ok=True)
    assert seen == [("1", 4), ("3", 4)]

    def removed(root: str, digest: str, _size: int) -> bool:
        Path(blobs.blob_path(root, digest)).unlink()
        return False

    loose(store, b"somebody else's")
    monkeypatch.setattr(blobs, "is_sound", removed)
    assert verify.verify(store).sound


def test_the_quarantine_keeps_what_was_damaged_until_a_collection(store: Layout) -> None:
    add(store, "x:1", b"x")
    bad = Descriptor.of(b"x", "x")
    wrong = damage(store, bad).read_bytes()
    verify.quarantine(store.root, str(bad.digest))
    verify.quarantine(store.root, str(bad.digest))  # somebody else was quicker
    (kept,) = files_of(store.root, ".ebpm/quarantine")
    assert Path(store.root, ".ebpm/quarantine", kept).read_bytes() == wrong
    assert verify.usage(store).quarantine == 1
    assert verify.verify(store).missing == [str(bad.digest)]
    age(store)
    gc.collect(store)
    assert files_of(store.root, ".ebpm/quarantine") == set()


def test_usage_tells_what_is_shared(store: Layout) -> None:
    add(store, "x:1", b"s" * 1000, b"x" * 500)
    add(store, "y:1", b"s" * 1000, b"y" * 300)
    loose(store, b"l" * 50)
    Path(store.root, "ingest", "z.part").write_bytes(b"p" * 7)
    used = verify.usage(store)
    sizes = {one.reference: (one.size, one.own) for one in used.names}
    assert sizes["x:1"][0] - sizes["x:1"][1] == 1000 + len(b'{"made":"up"}')
    assert sizes["x:1"][1] - sizes["y:1"][1] == 200
    assert (used.unused, used.parts) == (50, 7)
    assert used.blobs == sizes["x:1"][0] + sizes["y:1"][1] + 50
