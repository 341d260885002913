from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from ebpm.cache.layout import Layout
from ebpm.errors import (
    BlobNotFound,
    DigestMismatch,
    EbpmError,
    IntegrityError,
    InvalidManifest,
    RegistryUnreachable,
)
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import INDEX, MANIFEST, Descriptor
from ebpm.oci.manifest import write_index, write_manifest
from ebpm.oci.store import MemoryStore
from tests.artifacts import CONFIG_TYPE, add_manifest, artifact, files_of, two_platforms


class Recorder(MemoryStore):
    """Memory that writes down what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, str]] = []

    def put(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        super().put(descriptor, chunks)
        self.steps.append(("put", str(descriptor.digest)))

    def tag(self, descriptor: Descriptor, name: str, raw: bytes) -> None:
        self.blobs[str(descriptor.digest)] = raw
        self.tags[name] = descriptor
        self.steps.append(("tag", str(descriptor.digest)))


class Breaking(MemoryStore):
    """Memory that is not there any more after so many pieces of a few bytes."""

    def __init__(self, whole: MemoryStore, pieces: int) -> None:
        super().__init__()
        self.blobs = whole.blobs
        self.left = pieces
        self.lock = threading.Lock()

    def open(
        self, descriptor: Descriptor, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        return self._open(descriptor)

    @contextmanager
    def _open(self, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        self._take()
        yield self._chunks(self.blobs[str(descriptor.digest)])

    def _chunks(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), 64):
            self._take()
            yield data[at : at + 64]

    def _take(self) -> None:
        with self.lock:
            if not self.left:
                raise RegistryUnreachable("broken off")
            self.left -= 1


class Lying(MemoryStore):
    """Memory with one byte wrong, or more, or fewer."""

    def __init__(self, whole: MemoryStore, digest: str, data: bytes) -> None:
        super().__init__()
        self.blobs = {**whole.blobs, digest: data}


def test_children_come_before_their_parents_and_the_name_comes_last() -> None:
    source, root = two_platforms(b"shared")
    target = Recorder()
    copy(source, root, target, "x:1")
    assert target.blobs == source.blobs
    order = {digest: number for number, (_, digest) in enumerate(target.steps)}
    for digest, place in order.items():
        data = source.blobs[digest]
        document = json.loads(data) if data.startswith(b"{") else {}
        parts = [*document.get("layers", []), *document.get("manifests", [])]
        parts += [document["config"]] if "config" in document else []
        assert all(order[part["digest"]] < place for part in parts)
    assert target.steps[-1] == ("tag", str(root.digest))
    assert [step for step, _ in target.steps].count("tag") == 1


def test_without_a_name_all_is_copied_and_nothing_named() -> None:
    source, root = two_platforms(b"shared")
    target = Recorder()
    copy(source, root, target, None)
    assert target.blobs == source.blobs
    assert not target.tags


def test_what_two_manifests_share_is_copied_once() -> None:
    source, root = two_platforms(b"shared")
    target = Recorder()
    copy(source, root, target, "x:1")
    digests = [digest for _, digest in target.steps]
    assert len(digests) == len(set(digests)) == len(source.blobs)


def test_what_the_target_has_is_not_sent_again() -> None:
    source, root = two_platforms(b"shared", b"more")
    target = Recorder()
    for _ in range(2):
        copy(source, root, target, "x:1")
    puts = [digest for step, digest in target.steps if step == "put"]
    assert len(puts) == len(set(puts))


def test_the_source_may_go_away_at_any_moment_and_nothing_is_named(tmp_path: Path) -> None:
    whole, root = two_platforms(b"a" * 200, b"b" * 200)
    for pieces in range(100):
        target = Layout.create(str(tmp_path / str(pieces)))
        source = Breaking(whole, pieces)
        try:
            copy(source, root, target, "x:1")
        except RegistryUnreachable:
            assert target.entries() == []
            assert all(name.endswith(".part") for name in files_of(target.root, "ingest"))
            names = files_of(target.root)
            assert names <= {digest.partition(":")[2] for digest in whole.blobs}
            assert str(root.digest.hex) not in names
            for name in names:
                assert (tmp_path / str(pieces) / "blobs/sha256" / name).read_bytes() == (
                    whole.blobs[f"sha256:{name}"]
                )
        else:
            assert pieces > 20
            return
    raise AssertionError("it never had enough")


@pytest.mark.parametrize("step", range(8))
def test_the_target_may_refuse_at_any_step_and_nothing_is_named(step: int) -> None:
    class Refusing(Recorder):
        def put(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
            if len(self.steps) >= step:
                raise RegistryUnreachable("no more")
            super().put(descriptor, chunks)

    source, root = two_platforms(b"shared")
    assert len(source.blobs) == 7
    target = Refusing()
    if step < 6:
        with pytest.raises(RegistryUnreachable):
            copy(source, root, target, "x:1")
        assert not target.tags
    else:
        copy(source, root, target, "x:1")
        assert target.tags == {"x:1": root}


def test_a_wrong_byte_anywhere_is_refused_and_nothing_of_it_appears(tmp_path: Path) -> None:
    whole, root = artifact(b"a layer of bytes", config=b'{"a":1}')
    for digest, right in whole.blobs.items():
        target = Layout.create(str(tmp_path / digest), journal=True)
        for at in range(len(right)):
            wrong = bytearray(right)
            wrong[at] ^= 0x20
            with pytest.raises(IntegrityError):
                copy(Lying(whole, digest, bytes(wrong)), root, target, "x:1")
        assert target.entries() == []
        assert digest.partition(":")[2] not in files_of(target.root)
        for name in files_of(target.root):
            data = (tmp_path / digest / "blobs/sha256" / name).read_bytes()
            assert data == whole.blobs[f"sha256:{name}"]


@pytest.mark.parametrize("change", [lambda data: data + b" ", lambda data: data[:-1]])
def test_a_byte_more_or_less_is_refused(change) -> None:
    whole, root = artifact(b"a layer of bytes")
    for digest, right in whole.blobs.items():
        target = MemoryStore()
        with pytest.raises(IntegrityError):
            copy(Lying(whole, digest, change(right)), root, target, "x:1")
        assert not target.tags


def test_a_blob_that_is_missing_is_named() -> None:
    source, root = artifact(b"gone")
    digest = str(Descriptor.of(b"gone", "x").digest)
    del source.blobs[digest]
    with pytest.raises(BlobNotFound, match=digest):
        copy(source, root, MemoryStore(), "x:1")


def test_a_damaged_blob_of_the_target_is_written_again(tmp_path: Path) -> None:
    source, root = artifact(b"sound")
    target = Layout.create(str(tmp_path / "store"))
    copy(source, root, target, "x:1")
    for damage in (b"s0und", b"soun", b""):
        path = tmp_path / "store/blobs/sha256" / Descriptor.of(b"sound", "x").digest.hex
        path.unlink()
        path.write_bytes(damage)
        copy(source, root, target, "x:1")
        assert path.read_bytes() == b"sound"


def index_of(store: MemoryStore, *children: Descriptor) -> Descriptor:
    raw = write_index(children)
    return store.add(raw, Descriptor.of(raw, INDEX))


def test_indexes_in_indexes_are_followed_so_far() -> None:
    store = MemoryStore()
    root = add_manifest(store, b"deep")
    for _ in range(8):
        root = index_of(store, root)
    target = MemoryStore()
    copy(store, root, target, "x:1")
    assert target.blobs == store.blobs
    with pytest.raises(InvalidManifest, match="more than anybody"):
        copy(store, index_of(store, root), MemoryStore(), "x:1")


def test_a_manifest_with_endless_layers_is_refused_before_any_is_asked_for() -> None:
    store = MemoryStore()
    config = store.add(b"{}", Descriptor.of(b"{}", CONFIG_TYPE))
    layers = [Descriptor.of(str(number).encode(), "application/x") for number in range(10_001)]
    raw = write_manifest(config, layers)
    root = store.add(raw, Descriptor.of(raw, MANIFEST))
    with pytest.raises(InvalidManifest, match="more than anybody"):
        copy(store, root, MemoryStore(), "x:1")


def test_manifests_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpm.oci.walk._BYTES_LIMIT", 1000)
    store = MemoryStore()
    children = [add_manifest(store, str(number).encode()) for number in range(10)]
    with pytest.raises(InvalidManifest, match="more than anybody"):
        copy(store, index_of(store, *children), MemoryStore(), "x:1")


def test_one_digest_with_two_sizes_is_refused() -> None:
    store = MemoryStore()
    layer = store.add(b"layer", Descriptor.of(b"layer", "application/x"))
    other = Descriptor(media_type="application/y", digest=layer.digest, size=4)
    raw = write_manifest(layer, [other])
    root = store.add(raw, Descriptor.of(raw, MANIFEST))
    with pytest.raises(InvalidManifest, match="two sizes"):
        copy(store, root, MemoryStore(), "x:1")


def test_bytes_that_are_a_manifest_here_and_a_blob_there_are_copied_as_both() -> None:
    store = MemoryStore()
    inner = add_manifest(store, b"inner")
    raw_inner = store.blobs[str(inner.digest)]
    config = store.add(b"{}", Descriptor.of(b"{}", CONFIG_TYPE))
    raw = write_manifest(config, [Descriptor.of(raw_inner, "application/octet-stream")])
    outer = store.add(raw, Descriptor.of(raw, MANIFEST))
    puts: list[tuple[str, str]] = []

    class Registry(Recorder):  # which keeps manifests and blobs apart
        def has(self, descriptor: Descriptor) -> bool:
            return (str(descriptor.digest), descriptor.media_type) in puts

        def put(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
            super().put(descriptor, chunks)
            puts.append((str(descriptor.digest), descriptor.media_type))

    copy(store, index_of(store, inner, outer), Registry(), "x:1")
    assert (str(inner.digest), MANIFEST) in puts
    assert (str(inner.digest), "application/octet-stream") in puts


def test_progress_is_told_of_all_bytes_that_are_missing() -> None:
    class Told:
        total = done = 0
        lock = threading.Lock()

        def start(self, total: int) -> None:
            self.total += total

        def advance(self, count: int) -> None:
            with self.lock:
                self.done += count

    source, root = artifact(b"a" * 5000, b"b" * 3000, b"", config=b"{}")
    target = MemoryStore()
    target.put(Descriptor.of(b"a" * 5000, "x"), [b"a" * 5000])
    told = Told()
    copy(source, root, target, "x:1", progress=told)
    assert told.total == told.done == 3002


def test_an_artifact_can_be_copied_onto_itself(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    store = Layout.create(str(tmp_path / "store"))
    copy(source, root, store, "x:1")
    copy(store, root, store, "x:2")
    assert {one.ref_name for one in store.entries()} == {"x:1", "x:2"}


def test_a_damaged_artifact_gets_no_second_name(tmp_path: Path) -> None:
    source, root = artifact(b"layer")
    store = Layout.create(str(tmp_path / "store"))
    copy(source, root, store, "x:1")
    path = tmp_path / "store/blobs/sha256" / Descriptor.of(b"layer", "x").digest.hex
    path.chmod(0o644)
    path.write_bytes(b"Layer")
    with pytest.raises(DigestMismatch):
        copy(store, root, store, "x:2")
    assert {one.ref_name for one in store.entries()} == {"x:1"}


def test_whoever_fails_first_is_heard(tmp_path: Path) -> None:
    """The error of one thread comes out, and not that the others were told to stop."""
    whole, root = artifact(*(bytes([number]) * 100 for number in range(30)))
    bad = str(Descriptor.of(b"\x07" * 100, "x").digest)
    target = Layout.create(str(tmp_path / "store"))
    with pytest.raises(EbpmError) as caught:
        copy(Lying(whole, bad, b"\x08" * 100), root, target, "x:1")
    assert isinstance(caught.value, DigestMismatch)
    assert bad.partition(":")[2] not in files_of(target.root)
