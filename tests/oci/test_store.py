import pytest

from ebpm.errors import (
    BlobNotFound,
    DigestMismatch,
    InvalidManifest,
    ManifestNotFound,
    SizeMismatch,
)
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.store import CHUNK, MemoryStore, fetch, fetch_manifest, verified
from tests.artifacts import artifact

DATA = b"abcdef"
RIGHT = Descriptor.of(DATA, "application/x")


@pytest.mark.parametrize("chunks", [[DATA], [b"ab", b"cdef"], [b"", b"abc", b"", b"def", b""]])
def test_right_bytes_pass_in_any_pieces(chunks: list[bytes]) -> None:
    assert b"".join(verified(chunks, RIGHT)) == DATA


def test_no_bytes_can_be_right() -> None:
    assert list(verified([], Descriptor.of(b"", "application/x"))) == []


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([], SizeMismatch),
        ([b"abcde"], SizeMismatch),
        ([b"abc", b"de"], SizeMismatch),
        ([b"abcdefg"], SizeMismatch),
        ([b"abcdef", b"g"], SizeMismatch),
        ([b"abcdeF"], DigestMismatch),
        ([b"Abc", b"def"], DigestMismatch),
    ],
)
def test_wrong_bytes_are_refused(chunks: list[bytes], error: type[Exception]) -> None:
    with pytest.raises(error):
        list(verified(chunks, RIGHT))


def test_a_reader_that_stops_at_the_promised_size_has_not_got_the_last_bytes_unchecked() -> None:
    chunks = verified([b"abc", b"deF"], RIGHT)
    assert next(chunks) == b"abc"
    with pytest.raises(DigestMismatch):
        next(chunks)


def test_too_many_bytes_are_noticed_before_they_are_all_read() -> None:
    read = []

    def endless():
        while True:
            read.append(1)
            yield b"abc"

    with pytest.raises(SizeMismatch):
        list(verified(endless(), RIGHT))
    assert len(read) == 3


def test_sha512_is_checked_as_such() -> None:
    from ebpm.oci.digest import Digest

    right = Descriptor(media_type="x", digest=Digest.of(DATA, "sha512"), size=6)
    assert b"".join(verified([DATA], right)) == DATA
    with pytest.raises(DigestMismatch):
        list(verified([b"abcdeF"], right))


def test_what_says_that_it_is_too_large_is_not_read() -> None:
    class Unread(MemoryStore):
        def open(self, descriptor: Descriptor, start: int = 0):
            raise AssertionError("it was opened")

    with pytest.raises(InvalidManifest, match="more than 5"):
        fetch(Unread(), RIGHT, 5)


def test_a_manifest_is_parsed_from_the_bytes_that_were_checked() -> None:
    store, root = artifact(b"layer")
    assert fetch_manifest(store, root).raw == store.blobs[str(root.digest)]
    store.blobs[str(root.digest)] += b" "
    with pytest.raises(SizeMismatch):
        fetch_manifest(store, root)


def test_memory_gives_back_what_it_was_given_in_chunks() -> None:
    data = bytes(CHUNK) + b"rest"
    store = MemoryStore()
    descriptor = Descriptor.of(data, "application/x")
    store.put(descriptor, [data])
    with store.open(descriptor) as chunks:
        sizes = [len(chunk) for chunk in chunks]
    assert sizes == [CHUNK, 4]
    assert fetch(store, descriptor, 2 * CHUNK) == data


def test_memory_keeps_no_wrong_bytes() -> None:
    store = MemoryStore()
    with pytest.raises(DigestMismatch):
        store.put(RIGHT, [b"ABCDEF"])
    assert not store.has(RIGHT)


def test_memory_says_what_it_has_not() -> None:
    store = MemoryStore()
    with pytest.raises(BlobNotFound), store.open(RIGHT):
        pass
    with pytest.raises(ManifestNotFound):
        store.resolve("x")


def test_memory_has_names() -> None:
    store, root = artifact(b"layer")
    store.tag(root, "x:1", store.blobs[str(root.digest)])
    assert store.resolve("x:1") == root
    assert root.media_type == MANIFEST
