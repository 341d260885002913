"""Downloads that are broken off, taken up again, and wanted by several processes at once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebpm.cache import parts
from ebpm.cache.layout import Layout
from ebpm.errors import DigestMismatch, RegistryUnreachable, SizeMismatch, StoreUnusable
from ebpm.oci.content import Content
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import CHUNK, MemoryStore
from ebpm.testing.registry import registry_server
from tests.artifacts import artifact, client_for, files_of, is_whole, repository_of

NOBODY = 65534

DATA = os.urandom(3 * CHUNK + 5)
BLOB = Descriptor.of(DATA, "application/x")


class Flaky(MemoryStore):
    """Memory that writes down from where it was read, and may break off."""

    def __init__(self, data: bytes = DATA, breaks_at: int | None = None) -> None:
        super().__init__()
        self.data = data
        self.breaks_at = breaks_at
        self.starts: list[int] = []

    @contextmanager
    def open(self, descriptor: Descriptor, start: int = 0) -> Iterator[Iterator[bytes]]:
        self.starts.append(start)
        yield self._chunks(start)

    def _chunks(self, start: int) -> Iterator[bytes]:
        for at in range(start, len(self.data), CHUNK):
            if self.breaks_at is not None and at >= self.breaks_at:
                raise RegistryUnreachable("broken off")
            yield self.data[at : at + CHUNK]


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    return Layout.create(str(tmp_path / "store"), journal=True)


def part_of(store: Layout) -> Path:
    return Path(store.root) / "ingest" / f"{BLOB.digest.hex}.part"


def bytes_of(store: Layout) -> bytes:
    with store.open(BLOB) as chunks:
        return b"".join(chunks)


def test_what_came_before_the_break_is_not_asked_for_again(store: Layout) -> None:
    with pytest.raises(RegistryUnreachable):
        store.put(BLOB, Content(Flaky(breaks_at=2 * CHUNK), BLOB))
    assert part_of(store).stat().st_size == 2 * CHUNK
    again = Flaky()
    store.put(BLOB, Content(again, BLOB))
    assert again.starts == [2 * CHUNK]
    assert bytes_of(store) == DATA
    assert files_of(store.root, "ingest") == set()


def test_a_part_that_is_already_whole_asks_for_nothing(store: Layout) -> None:
    part_of(store).write_bytes(DATA)
    source = Flaky()
    store.put(BLOB, Content(source, BLOB))
    assert source.starts == []
    assert bytes_of(store) == DATA


@pytest.mark.parametrize("rest", [b"x" * CHUNK, b"x" * len(DATA), b"x" * (len(DATA) + 1)])
def test_a_part_of_something_else_is_begun_again(store: Layout, rest: bytes) -> None:
    part_of(store).write_bytes(rest)
    source = Flaky()
    store.put(BLOB, Content(source, BLOB))
    assert source.starts[-1] == 0
    assert bytes_of(store) == DATA


def test_a_source_that_lies_is_asked_twice_at_most_and_leaves_nothing(store: Layout) -> None:
    part_of(store).write_bytes(DATA[:CHUNK])
    source = Flaky(data=b"y" * len(DATA))
    with pytest.raises(DigestMismatch):
        store.put(BLOB, Content(source, BLOB))
    assert source.starts == [CHUNK, 0]
    with pytest.raises(SizeMismatch):
        store.put(BLOB, Content(Flaky(data=DATA[:-1]), BLOB))
    assert files_of(store.root, "ingest") == files_of(store.root) == set()


def test_a_break_before_the_first_byte_leaves_no_part(store: Layout) -> None:
    with pytest.raises(RegistryUnreachable):
        store.put(BLOB, Content(Flaky(breaks_at=0), BLOB))
    assert not part_of(store).exists()


def test_progress_counts_each_byte_once(store: Layout) -> None:
    part_of(store).write_bytes(b"x" * CHUNK)
    counted: list[int] = []

    class Counter:
        def start(self, total: int) -> None:
            pass

        def advance(self, count: int) -> None:
            counted.append(count)

    store.put(BLOB, Content(Flaky(), BLOB, progress=Counter()))
    assert sum(counted) == BLOB.size


def test_a_second_process_waits_for_the_first_and_downloads_nothing(store: Layout) -> None:
    go = threading.Event()

    class Slow(Flaky):
        def _chunks(self, start: int) -> Iterator[bytes]:
            go.wait(10)
            yield from super()._chunks(start)

    first, others = Slow(), [Flaky() for _ in range(3)]
    threads = [
        threading.Thread(target=store.put, args=(BLOB, Content(one, BLOB)))
        for one in (first, *others)
    ]
    threads[0].start()
    while not part_of(store).exists():
        time.sleep(0.001)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.1)
    go.set()
    for thread in threads:
        thread.join(10)
    assert [one.starts for one in (first, *others)] == [[0], [], [], []]
    assert bytes_of(store) == DATA
    assert files_of(store.root, "ingest") == set()


def test_a_process_that_makes_no_progress_is_not_waited_for(
    store: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_PATIENCE", 0.1)
    hold = "import sys, fcntl; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{hold}; sys.stdin.read()", str(part_of(store))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as stopped:
        assert stopped.stdout
        stopped.stdout.readline()
        store.put(BLOB, Content(Flaky(), BLOB))
        assert bytes_of(store) == DATA
        stopped.communicate(b"")


PULL = """
import sys
from ebpm.api import Workspace
from ebpm.target import parse_target
Workspace().pull(parse_target(sys.argv[1]))
"""


def test_a_killed_pull_is_taken_up_by_the_next_one(tmp_path: Path) -> None:
    source, root = artifact(DATA)
    with registry_server() as server, client_for(tmp_path) as client:
        copy(source, root, repository_of(client, server.host), "1")
        blob = f"/v2/tools/x/blobs/{hashlib.sha256(DATA).hexdigest()}"
        name = f"{server.host}/tools/x:1"
        server.faults.drip = (CHUNK // 2, 0.05)
        with subprocess.Popen([sys.executable, "-c", PULL, name]) as pulling:
            part = Path(os.environ["EBPM_STORE"]) / "ingest" / f"{BLOB.digest.hex}.part"
            while not (part.exists() and part.stat().st_size):
                assert pulling.poll() is None
                time.sleep(0.005)
            pulling.kill()
        got = part.stat().st_size
        assert 0 < got < len(DATA)
        server.faults.drip = None
        server.log.clear()
        subprocess.run([sys.executable, "-c", PULL, name], check=True)
        ranges = [
            request.headers.get("range")
            for request in server.log
            if request.path.startswith(blob.replace("blobs/", "blobs/sha256:"))
        ]
        assert ranges == [f"bytes={got}-"]
    assert is_whole(Layout(os.environ["EBPM_STORE"], journal=True))


def test_two_pulls_at_once_ask_for_each_blob_once(tmp_path: Path) -> None:
    source, root = artifact(DATA, b"small")
    with registry_server() as server, client_for(tmp_path) as client:
        copy(source, root, repository_of(client, server.host), "1")
        server.faults.drip = (CHUNK // 2, 0.02)
        server.log.clear()
        name = f"{server.host}/tools/x:1"
        pulls = [subprocess.Popen([sys.executable, "-c", PULL, name]) for _ in range(3)]
        assert [pull.wait(30) for pull in pulls] == [0, 0, 0]
        asked = [one.path for one in server.requests("GET") if str(BLOB.digest) in one.path]
        assert len(asked) == 1
    assert is_whole(Layout(os.environ["EBPM_STORE"], journal=True))


@pytest.mark.needs("root")
def test_who_is_no_root_waits_while_a_blob_gets_its_name(tmp_path: Path) -> None:
    """A finished part is read-only for a moment, and only root may open it for writing then."""
    part = tmp_path / "blob.part"
    part.write_bytes(b"done")
    part.chmod(0o444)
    os.chown(part, NOBODY, -1)
    places = [tmp_path, *tmp_path.parents]
    modes = [(place, place.stat().st_mode) for place in places]
    for place, mode in modes:
        place.chmod(mode | 0o055)  # our group stays root
    tmp_path.chmod(0o777)
    finisher = threading.Timer(0.3, part.rename, [tmp_path / "blob"])
    os.seteuid(NOBODY)
    try:
        finisher.start()
        with parts._held(str(part)) as file:
            assert file is not None
        finisher.join()
    finally:
        os.seteuid(0)
        for place, mode in modes:
            place.chmod(mode)
    assert (tmp_path / "blob").read_bytes() == b"done"


def test_the_errors_are_ours(store: Layout, tmp_path: Path) -> None:
    part_of(store).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnusable):
        store.put(BLOB, Content(Flaky(), BLOB))
    assert not (tmp_path / "elsewhere").exists()
