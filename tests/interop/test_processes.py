"""The program itself: in little memory, at the same time, and stopped in the middle."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.cache.layout import Layout
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import write_manifest
from ebpm.testing.endpoints import RepositoryState
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import artifact, files_of, is_whole
from tests.conftest import Ebpm

LARGE = 200 << 20
PEAK = """
import atexit, sys
from ebpm.cli.main import main

def report():
    with open("/proc/self/status") as status:
        print(*(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)

atexit.register(report)
sys.argv[0] = "ebpm"
main()
"""


def peak_of(*arguments: str) -> int:
    """Run a command of ours; give its peak memory in MiB."""
    command = [sys.executable, "-c", PEAK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1]) >> 10


def store() -> Layout:
    return Layout(os.environ["EBPM_STORE"], journal=True)


# --- memory --------------------------------------------------------------------------------------


def described_zeros(size: int, media_type: str) -> Descriptor:
    seen = hashlib.sha256()
    for _ in range(size >> 20):
        seen.update(bytes(1 << 20))
    return Descriptor(media_type=media_type, digest=Digest("sha256", seen.hexdigest()), size=size)


def layout_of_zeros(folder: Path, size: int) -> None:
    """Make a layout with one large layer; its file has holes in place of zeros."""
    layout = Layout.create(str(folder))
    source, root = artifact(b"small")
    copy(source, root, layout, "small:1")
    layer = described_zeros(size, "application/vnd.example")
    config = Descriptor.of(b'{"made":"up"}', "application/vnd.example.config.v1+json")
    raw = write_manifest(config, [layer])
    with (folder / "blobs/sha256" / layer.digest.hex).open("wb") as file:
        file.truncate(size)
    layout.tag(Descriptor.of(raw, MANIFEST), "large:1", raw)


@pytest.mark.needs("docker-registry")
def test_t1_a_large_artifact_is_moved_in_little_memory(
    docker_registry: str, tmp_path: Path
) -> None:
    """oras-py read a whole blob into memory: 533 MiB for one of 500 MB."""
    layout_of_zeros(tmp_path / "layout", LARGE)
    reference = f"{docker_registry}/tools/large:1"
    small = peak_of("push", f"oci:{tmp_path}/layout:small:1", f"{docker_registry}/tools/small:1")
    push = peak_of("push", f"oci:{tmp_path}/layout:large:1", reference)
    pull = peak_of("pull", reference)
    assert is_whole(store())
    assert max(push, pull) < small + 24
    assert max(push, pull) < 80


# --- at the same time ----------------------------------------------------------------------------


def test_two_processes_pull_the_same_tag(ebpm: Ebpm) -> None:
    source, root = artifact(os.urandom(300_000), os.urandom(300_000))
    with registry_server() as server:
        fill(server, source.blobs, root)
        server.faults.drip = (100_000, 0.05)
        name = f"{server.host}/tools/x:1"
        both = [ebpm.start("pull", name) for _ in range(3)]
        for one in both:
            out, err = one.communicate(timeout=30)
            assert (out, err, one.returncode) == (f"pulled {name}@{root.digest}\n", "", 0)
    assert is_whole(store())
    assert files_of(store().root, "ingest") == set()


def fill(server: RegistryServer, contents: dict[str, bytes], root: Descriptor) -> None:
    server.repositories["tools/x"] = RepositoryState(
        blobs=dict(contents),
        manifests={str(root.digest): (root.media_type, contents[str(root.digest)])},
        tags={"1": str(root.digest)},
    )


# --- stopped in the middle -----------------------------------------------------------------------


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@contextmanager
def running(ebpm: Ebpm, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command that ends with the block at the latest."""
    process = ebpm.start(*arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def slow() -> Iterator[tuple[RegistryServer, Descriptor]]:
    """A registry whose blobs come in drops."""
    source, root = artifact(os.urandom(200_000), os.urandom(200_000), os.urandom(200_000))
    with registry_server() as server:
        fill(server, source.blobs, root)
        yield server, root


@pytest.mark.parametrize(
    ("number", "drip"),
    [
        (signal.SIGINT, (1000, 0.05)),
        (signal.SIGINT, (10, 30.0)),  # so slow that it is silent
        (signal.SIGTERM, (1000, 0.05)),
        (signal.SIGKILL, (1000, 0.05)),
    ],
)
def test_a_pull_that_is_stopped_leaves_the_store_as_it_was(
    ebpm: Ebpm,
    slow: tuple[RegistryServer, Descriptor],
    drip: tuple[int, float],
    number: signal.Signals,
) -> None:
    server, root = slow
    kept, other = artifact(b"kept")
    copy(kept, other, Workspace().store(), "kept:1")
    server.faults.drip = drip
    with running(ebpm, "pull", f"{server.host}/tools/x:1") as process:
        wait_for(lambda: len([one for one in server.log if "/blobs/" in one.path]) >= 3)
        time.sleep(0.1)
        started = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert time.monotonic() - started < 4
    assert out == ""
    if number == signal.SIGINT:
        assert (err.strip(), process.returncode) == ("interrupted", 130)
        assert all(name.endswith(".part") for name in files_of(store().root, "ingest"))
    assert [one.ref_name for one in store().entries()] == ["kept:1"]
    assert is_whole(store())
    for name in files_of(store().root):
        path = Path(store().root, "blobs/sha256", name)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == name
    server.faults.drip = None
    ebpm.run("pull", f"{server.host}/tools/x:1")
    assert store().resolve(f"{server.host}/tools/x:1").digest == root.digest
    assert is_whole(store())


@pytest.mark.parametrize("sizes", [[], [100_000], [6 << 20]], ids=["one", "small", "large"])
def test_a_push_that_is_stopped_names_nothing(ebpm: Ebpm, sizes: list[int]) -> None:
    with registry_server() as server:
        source, root = artifact(*map(os.urandom, sizes))
        name = f"{server.host}/tools/x:1"
        copy(source, root, Workspace().store(), name)
        server.faults.status_for = lambda request: (
            setattr(server.faults, "delay", 30.0) if request.method == "PUT" else None
        )
        with running(ebpm, "push", name) as process:
            wait_for(lambda: server.requests("PUT"))
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=15)
            assert time.monotonic() - started < 4
        assert (err.strip(), process.returncode) == ("interrupted", 130)
        assert server.repositories["tools/x"].tags == {}


def test_a_server_that_is_not_there_is_said_at_once(ebpm: Ebpm) -> None:
    with registry_server() as server:
        host = server.host
    started = time.monotonic()
    done = ebpm.run("pull", f"{host}/tools/x:1", check=5)
    assert time.monotonic() - started < 3
    assert done.stderr.startswith(
        f"error[registry-unreachable]: cannot reach {host}: Connection refused\nhint: "
    )
    assert not Path(os.environ["EBPM_STORE"], "blobs/sha256").exists() or not files_of(store().root)
