from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from ebpm.cache.archive import Archive
from ebpm.cache.layout import Layout
from ebpm.errors import (
    BlobNotFound,
    IntegrityError,
    InvalidManifest,
    ManifestNotFound,
)
from ebpm.mirror.bundle import Item, export, import_bundle
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.manifest import write_manifest
from ebpm.oci.platform import Platform
from ebpm.oci.store import MemoryStore, fetch_manifest
from tests.artifacts import CONFIG_TYPE, artifact, files_of, is_whole, two_platforms

ARM = Platform("linux", "arm64")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "bundle.tar")


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    return Layout.create(str(tmp_path / "store"), journal=True)


def sign(store: MemoryStore, subject: Descriptor, data: bytes = b"signature") -> Descriptor:
    config = store.add(data, Descriptor.of(data, CONFIG_TYPE))
    raw = write_manifest(config, [], artifact_type="application/vnd.example.sig", subject=subject)
    one = Descriptor.of(raw, MANIFEST)
    store.attach(one, raw)
    return one


def signed(*layers: bytes) -> tuple[MemoryStore, Descriptor]:
    """An artifact for two machines, with a referrer, one on that, and a signature of old cosign."""
    source, root = two_platforms(*layers)
    sign(source, sign(source, root), b"on the signature")
    tagged = sign_by_tag(source, root)
    assert tagged in source.tags
    return source, root


def sign_by_tag(source: MemoryStore, root: Descriptor) -> str:
    config = source.add(b"old", Descriptor.of(b"old", CONFIG_TYPE))
    raw = write_manifest(config, [], artifact_type="application/vnd.example.old")
    name = f"sha256-{root.digest.hex}.sig"
    source.tag(Descriptor.of(raw, MANIFEST), name, raw)
    return name


def bundle(path: str, *items: Item, **options: object) -> None:
    export(items, path, **options)  # type: ignore[arg-type]


def take(path: str, store: Layout) -> dict[str, Descriptor]:
    with Archive(path) as archive:
        return import_bundle(archive, store)


def test_all_that_belongs_to_an_artifact_travels(path: str, store: Layout) -> None:
    source, root = signed(b"layer")
    bundle(path, Item("ghcr.io/acme/x:1", source, root))
    names = take(path, store)
    assert names["ghcr.io/acme/x:1"] == root
    there = MemoryStore()
    copy(store, root, there, "x", referrers=True)
    assert there.blobs == source.blobs
    assert set(names) == {"ghcr.io/acme/x:1", f"ghcr.io/acme/x:sha256-{root.digest.hex}.sig"}
    assert is_whole(store)


def test_the_same_content_makes_the_same_bytes(tmp_path: Path) -> None:
    source, root = signed(b"layer")
    other, second = artifact(b"other")
    items = [Item("x:1", source, root), Item("y:1", other, second)]
    for name, order in (("a.tar", items), ("b.tar", items[::-1])):
        bundle(str(tmp_path / name), *order)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_an_increment_has_only_what_is_new_and_says_what_it_is_based_on(
    tmp_path: Path, store: Layout
) -> None:
    layer = os.urandom(200_000)
    source, root = artifact(layer, b"one")
    newer, second = artifact(layer, b"two")
    first, increment = str(tmp_path / "first.tar"), str(tmp_path / "increment.tar")
    bundle(first, Item("x:1", source, root))
    bundle(increment, Item("x:1", source, root), Item("x:2", newer, second), base=first)
    assert os.path.getsize(increment) < 50_000 < os.path.getsize(first)
    with pytest.raises(BlobNotFound) as caught:
        take(increment, store)
    assert caught.value.hint == "import the bundle that it is based on first"
    assert store.entries() == []
    assert files_of(store.root) == set()
    take(first, store)
    take(increment, store)
    assert sorted(str(one.ref_name) for one in store.entries()) == ["x:1", "x:2"]
    assert is_whole(store)


def test_a_bundle_for_one_machine_keeps_the_index_and_leaves_out_the_rest(
    path: str, store: Layout
) -> None:
    source, root = signed(b"layer")
    bundle(path, Item("x:1", source, root), platforms=[ARM])
    take(path, store)
    assert store.resolve("x:1") == root
    left, kept = fetch_manifest(store, root).children
    assert not store.has(left)
    copy(
        store,
        Descriptor(media_type=MANIFEST, digest=kept.digest, size=kept.size),
        MemoryStore(),
        None,
    )
    assert len(store.referrers(root)) == 1
    from ebpm.cache.gc import collect
    from ebpm.cache.verify import verify

    assert verify(store).sound
    collect(store, grace=0)
    assert store.has(kept)
    with pytest.raises(ManifestNotFound, match="nothing for linux/riscv64") as caught:
        bundle(path, Item("x:1", source, root), platforms=[Platform("linux", "riscv64")])
    assert caught.value.hint == "it has linux/amd64, linux/arm64"


def members(path: str) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def rewrite(path: str, content: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_one_wrong_byte_anywhere_and_nothing_is_imported(path: str, store: Layout) -> None:
    source, root = signed(b"layer")
    bundle(path, Item("x:1", source, root))
    whole = members(path)
    for name, data in whole.items():
        if name.startswith("blobs/"):
            rewrite(path, {**whole, name: data[:-1] + bytes([data[-1] ^ 1])})
            with pytest.raises(IntegrityError):
                take(path, store)
            assert files_of(store.root) == set()
            assert store.entries() == []


def test_one_blob_less_and_nothing_is_imported(path: str, store: Layout) -> None:
    source, root = artifact(b"layer")
    bundle(path, Item("x:1", source, root))
    whole = members(path)
    for name in whole:
        if name.startswith("blobs/"):
            rewrite(path, {other: data for other, data in whole.items() if other != name})
            with pytest.raises(BlobNotFound):
                take(path, store)
            assert files_of(store.root) == set()


@pytest.mark.parametrize(
    "notes", [b"{", b"[]", b"{}", b'{"schemaVersion":1,"leftOut":["../x"],"base":null}']
)
def test_damaged_notes_are_refused(path: str, store: Layout, notes: bytes) -> None:
    source, root = artifact(b"layer")
    bundle(path, Item("x:1", source, root))
    rewrite(path, {**members(path), ".ebpm/bundle.json": notes})
    with pytest.raises(InvalidManifest, match="is damaged"):
        take(path, store)


def test_notes_of_a_later_ebpm_and_empty_bundles_are_refused(path: str, store: Layout) -> None:
    source, root = artifact(b"layer")
    bundle(path, Item("x:1", source, root))
    later = b'{"schemaVersion":2,"leftOut":[],"base":null}'
    rewrite(path, {**members(path), ".ebpm/bundle.json": later})
    with pytest.raises(InvalidManifest, match="later ebpm"):
        take(path, store)
    bundle(path)
    with pytest.raises(InvalidManifest, match="names nothing"):
        take(path, store)


def test_an_archive_of_another_tool_can_be_imported(path: str, store: Layout) -> None:
    source, root = signed(b"layer")
    bundle(path, Item("x:1", source, root))
    content = members(path)
    del content[".ebpm/bundle.json"]
    rewrite(path, content)
    take(path, store)
    assert is_whole(store)
    assert len(store.referrers(root)) == 1


def test_a_name_gets_its_new_meaning_with_an_import(path: str, store: Layout) -> None:
    source, root = artifact(b"old")
    copy(source, root, store, "x:1")
    newer, second = artifact(b"new")
    bundle(path, Item("x:1", newer, second), Item("y:1", newer, second))
    take(path, store)
    assert store.resolve("x:1") == store.resolve("y:1") == second
