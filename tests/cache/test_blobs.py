from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpm.cache import blobs
from ebpm.errors import (
    BlobNotFound,
    DigestMismatch,
    InvalidDigest,
    RegistryUnreachable,
    SizeMismatch,
    StoreUnusable,
)
from ebpm.oci.digest import Digest

DATA = b"the bytes of a blob"
DIGEST = str(Digest.of(DATA))


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def path_of(root: str, digest: str = DIGEST) -> Path:
    return Path(root, "blobs", *digest.split(":"))


def left_over(root: str) -> list[str]:
    return os.listdir(f"{root}/ingest")


def test_a_blob_is_read_as_it_was_written_and_nobody_writes_to_it_again(root: str) -> None:
    blobs.ingest(root, [DATA[:5], DATA[5:]], DIGEST, len(DATA))
    assert blobs.read_blob(root, DIGEST, len(DATA)) == DATA
    assert stat.S_IMODE(path_of(root).stat().st_mode) == 0o444
    assert left_over(root) == []


def test_a_blob_of_sha512_has_a_folder_of_its_own(root: str) -> None:
    digest = str(Digest.of(DATA, "sha512"))
    blobs.ingest(root, [DATA], digest, len(DATA))
    assert path_of(root, digest).read_bytes() == DATA
    assert blobs.is_sound(root, digest, len(DATA))


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:../../../../etc/passwd",
        "sha256:" + "../" * 21 + "x",
        "../sha256:" + "0" * 64,
        "sha256:" + "0" * 63,
        "sha256:" + "G" * 64,
        "sha256:" + "A" * 64,
        "md5:" + "0" * 32,
    ],
)
def test_no_path_is_made_of_what_is_not_a_digest(root: str, digest: str) -> None:
    for use in (
        lambda: blobs.blob_path(root, digest),
        lambda: blobs.open_blob(root, digest),
        lambda: blobs.ingest(root, [DATA], digest, len(DATA)),
    ):
        with pytest.raises(InvalidDigest):
            use()
    assert not Path(root).exists()


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([DATA[:-1]], SizeMismatch),
        ([DATA, b"x"], SizeMismatch),
        ([], SizeMismatch),
        ([DATA[:-1] + b"B"], DigestMismatch),
    ],
)
def test_wrong_bytes_leave_nothing(root: str, chunks: list[bytes], error: type[Exception]) -> None:
    with pytest.raises(error):
        blobs.ingest(root, chunks, DIGEST, len(DATA))
    assert not path_of(root).exists()
    assert left_over(root) == []


@pytest.mark.parametrize("error", [RegistryUnreachable("gone"), KeyboardInterrupt(), OSError(5)])
def test_a_source_that_breaks_off_leaves_nothing(root: str, error: BaseException) -> None:
    def breaking() -> Iterator[bytes]:
        yield DATA[:5]
        assert len(left_over(root)) == 1
        raise error

    with pytest.raises((RegistryUnreachable, KeyboardInterrupt, StoreUnusable)):
        blobs.ingest(root, breaking(), DIGEST, len(DATA))
    assert not path_of(root).exists()
    assert left_over(root) == []


def test_an_endless_source_is_given_up_at_the_promised_size(root: str) -> None:
    taken = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield DATA

    with pytest.raises(SizeMismatch):
        blobs.ingest(root, endless(), DIGEST, len(DATA))
    assert len(taken) == 2


def test_what_is_damaged_is_replaced(root: str) -> None:
    blobs.ingest(root, [DATA], DIGEST, len(DATA))
    path_of(root).chmod(0o644)
    path_of(root).write_bytes(b"X" * len(DATA))
    blobs.ingest(root, [DATA], DIGEST, len(DATA))
    assert blobs.read_blob(root, DIGEST, len(DATA)) == DATA


@pytest.mark.parametrize(
    ("damage", "error"),
    [(DATA[:-1], SizeMismatch), (DATA + b"x", SizeMismatch), (DATA.upper(), DigestMismatch)],
)
def test_damage_is_seen_on_reading(root: str, damage: bytes, error: type[Exception]) -> None:
    path_of(root).parent.mkdir(parents=True)
    path_of(root).write_bytes(damage)
    with pytest.raises(error, match="damaged"):
        blobs.read_blob(root, DIGEST, len(DATA))
    assert not blobs.is_sound(root, DIGEST, len(DATA))


def test_a_promised_size_costs_no_memory(root: str) -> None:
    path_of(root).parent.mkdir(parents=True)
    path_of(root).write_bytes(DATA)
    with pytest.raises(SizeMismatch):
        blobs.read_blob(root, DIGEST, 1 << 50)


def test_soundness_is_more_than_being_there(root: str) -> None:
    assert not blobs.has_blob(root, DIGEST, len(DATA))
    path_of(root).parent.mkdir(parents=True)
    path_of(root).write_bytes(DATA.upper())
    assert blobs.has_blob(root, DIGEST, len(DATA))
    assert not blobs.has_blob(root, DIGEST, len(DATA) - 1)
    assert not blobs.is_sound(root, DIGEST, len(DATA))


def test_a_link_in_place_of_a_blob_is_not_followed(root: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(DATA)
    path_of(root).parent.mkdir(parents=True)
    path_of(root).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BlobNotFound, match="is not a file"):
        blobs.read_blob(root, DIGEST, len(DATA))
    assert not blobs.is_sound(root, DIGEST, len(DATA))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["fifo", "folder", "socket"])
def test_what_is_no_file_is_refused_and_nobody_waits_for_it(root: str, kind: str) -> None:
    path = path_of(root)
    path.parent.mkdir(parents=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            here = os.open(path.parent, os.O_RDONLY)  # its full name is too long for a socket
            listening.bind(f"/proc/self/fd/{here}/{path.name}")
            os.close(here)
    with pytest.raises(BlobNotFound, match="is not a file"):
        blobs.open_blob(root, DIGEST)


def test_a_missing_folder_means_a_missing_blob(root: str) -> None:
    with pytest.raises(BlobNotFound, match="is not in"):
        blobs.open_blob(root, DIGEST)
    Path(root).mkdir()
    Path(root, "blobs").write_text("a file, of all things")
    with pytest.raises(BlobNotFound):
        blobs.open_blob(root, DIGEST)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    for data in (b"old", b"new"):
        status = blobs.replace_file(str(path), data, str(tmp_path / "ingest"))
        assert path.read_bytes() == data
        assert (status.st_ino, status.st_mtime_ns) == (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
        )
    assert os.listdir(tmp_path / "ingest") == []


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    (tmp_path / "index.json").mkdir()
    with pytest.raises(StoreUnusable, match=r"index\.json"):
        blobs.replace_file(str(tmp_path / "index.json"), b"new", str(tmp_path / "ingest"))
    assert os.listdir(tmp_path / "ingest") == []
