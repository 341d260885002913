from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.cache.archive import Archive, ArchiveWriter
from ebpm.cache.layout import Layout
from ebpm.errors import (
    BlobNotFound,
    EbpmError,
    IntegrityError,
    InvalidManifest,
    ManifestNotFound,
    OutputFailed,
    StoreUnusable,
    TargetNotFound,
)
from ebpm.oci.copy import copy
from ebpm.oci.store import MemoryStore
from tests.artifacts import artifact, is_whole, two_platforms


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "x.tar")


def write(path: str, *named: tuple[str, bytes]) -> None:
    with ArchiveWriter(path) as target:
        for name, layer in named:
            source, root = artifact(layer, b"shared")
            copy(source, root, target, name)


def test_what_was_put_in_comes_out(path: str) -> None:
    source, root = two_platforms(b"layer" * 1000)
    with ArchiveWriter(path) as target:
        copy(source, root, target, "x:1")
    with Archive(path) as archive:
        assert archive.resolve("x:1") == archive.resolve("") == root
        assert archive.resolve(str(root.digest)) == root
        assert archive.resolve(f"anything@{root.digest}") == root
        memory = MemoryStore()
        copy(archive, root, memory, None)
        assert memory.blobs == source.blobs
        with archive.open(root, 5) as chunks:
            assert b"".join(chunks) == source.blobs[str(root.digest)][5:]
        with pytest.raises(ManifestNotFound, match="y:1: not in"):
            archive.resolve("y:1")
        with pytest.raises(BlobNotFound):
            archive.resolve(f"x@sha256:{'0' * 64}")


def test_the_same_content_makes_the_same_bytes(tmp_path: Path) -> None:
    one, two = str(tmp_path / "one.tar"), str(tmp_path / "two.tar")
    write(one, ("x:1", b"x"), ("y:1", b"y"))
    write(two, ("y:1", b"y"), ("x:1", b"x"))
    assert Path(one).read_bytes() == Path(two).read_bytes()
    with tarfile.open(one) as tar:
        names = tar.getnames()
        assert names == sorted(names)
        assert {(one.mtime, one.uid, one.uname, one.mode) for one in tar} == {(0, 0, "", 0o644)}


def test_adding_to_it_keeps_what_is_there_and_renames_what_has_the_name(path: str) -> None:
    write(path, ("x:1", b"x"), ("y:1", b"old"))
    source, new = artifact(b"new", b"shared")
    with ArchiveWriter.adding_to(path) as target:
        assert target.has(next(iter(artifact_blobs(path))))
        copy(source, new, target, "y:1")
    with Archive(path) as archive:
        assert sorted(str(one.ref_name) for one in archive.entries()) == ["x:1", "y:1"]
        assert archive.resolve("y:1") == new
        for entry in archive.entries():
            copy(archive, entry, MemoryStore(), None)
    before = Path(path).read_bytes()
    with ArchiveWriter.adding_to(path):
        pass
    assert Path(path).read_bytes() == before


def artifact_blobs(path: str):
    with Archive(path) as archive:
        entry = archive.entries()[0]
        yield entry


def test_an_error_leaves_what_was_there(path: str, tmp_path: Path) -> None:
    write(path, ("x:1", b"x"))
    before = Path(path).read_bytes()
    source, root = artifact(b"y")
    source.blobs.popitem()  # so that the copy fails
    with pytest.raises(BlobNotFound), ArchiveWriter(path) as target:
        copy(source, root, target, "y:1")
    assert Path(path).read_bytes() == before
    assert os.listdir(tmp_path) == ["x.tar"]


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match="cannot create"):
        ArchiveWriter(str(tmp_path / "file" / "x.tar"))
    (tmp_path / "file").unlink()
    (tmp_path / "folder.tar").mkdir()
    with (
        pytest.raises(OutputFailed, match=r"cannot write .*folder\.tar"),
        ArchiveWriter(str(tmp_path / "folder.tar")),
    ):
        pass
    assert os.listdir(tmp_path) == ["folder.tar"]


def test_it_survives_a_way_through_a_folder(tmp_path: Path, path: str) -> None:
    write(path, ("x:1", b"x"))
    store = Layout.create(str(tmp_path / "store"), journal=True)
    with Archive(path) as archive:
        copy(archive, archive.resolve("x:1"), store, "x:1")
    assert is_whole(store)
    (tmp_path / "folder").mkdir()
    subprocess.run(["tar", "-xf", path, "-C", str(tmp_path / "folder")], check=True)
    assert Layout(str(tmp_path / "folder")).resolve("x:1") == store.resolve("x:1")


def test_every_flipped_byte_of_content_is_noticed(path: str) -> None:
    write(path, ("x:1", b"a layer"))
    whole = Path(path).read_bytes()
    with tarfile.open(path) as tar:
        places = [
            one.offset_data + at for one in tar if one.name[:5] == "blobs" for at in range(one.size)
        ]
    for place in places[::7]:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        Path(path).write_bytes(damaged)
        with Archive(path) as archive, pytest.raises((IntegrityError, InvalidManifest)):
            copy(archive, archive.resolve("x:1"), MemoryStore(), None)


def changed(path: str, change: Callable[[tarfile.TarInfo], tarfile.TarInfo | None]) -> None:
    """Write an archive again with other members."""
    whole = io.BytesIO()
    with tarfile.open(path) as tar, tarfile.open(fileobj=whole, mode="w") as out:
        for member in tar:
            data = tar.extractfile(member)
            assert data
            content = data.read()
            if (new := change(member)) is not None:
                out.addfile(new, io.BytesIO(content))
    Path(path).write_bytes(whole.getvalue())


def as_link(member: tarfile.TarInfo) -> tarfile.TarInfo:
    if member.name == "index.json":
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


def without_index(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name == "index.json" else member


def twice(member: tarfile.TarInfo) -> tarfile.TarInfo:
    if member.name == "oci-layout":
        member.name = "index.json"
    return member


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (as_link, "holds no OCI layout"),
        (without_index, "holds no OCI layout"),
        (twice, "two members"),
    ],
)
def test_a_tar_that_plays_tricks_is_refused(path: str, change, says: str) -> None:
    write(path, ("x:1", b"x"))
    changed(path, change)
    with pytest.raises(InvalidManifest, match=says):
        Archive(path)


def test_names_with_a_dot_before_them_are_the_same(path: str) -> None:
    """As ``tar -c .`` writes them."""
    write(path, ("x:1", b"x"))

    def dotted(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.name = f"./{member.name}"
        return member

    changed(path, dotted)
    with Archive(path) as archive:
        copy(archive, archive.resolve("x:1"), MemoryStore(), None)


def test_what_is_no_tar_says_so(path: str) -> None:
    with pytest.raises(TargetNotFound, match="No such file"):
        Archive(path)
    write(path, ("x:1", b"x"))
    whole = Path(path).read_bytes()
    Path(path).write_bytes(gzip.compress(whole))
    with pytest.raises(InvalidManifest) as caught:
        Archive(path)
    assert caught.value.hint == f"it is packed: gunzip {path}"
    Path(path).write_bytes(whole[: len(whole) // 3])
    with pytest.raises(InvalidManifest):
        Archive(path)
    os.unlink(path)
    os.mkfifo(path)
    with pytest.raises(TargetNotFound):
        Archive(path)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 9000))
def test_any_bytes_give_an_archive_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.tar"
    write(str(path), ("x:1", b"x"))
    data = bytearray(path.read_bytes())
    data[place : place + len(noise)] = noise
    path.write_bytes(data)
    try:
        with Archive(str(path)) as archive:
            copy(archive, archive.resolve("x:1"), MemoryStore(), None)
    except EbpmError:
        pass
