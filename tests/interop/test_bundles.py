"""oras and crane read our bundles, and what ``ebpm mirror serve`` serves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebpm.cache.layout import Layout
from ebpm.mirror.bundle import Item, export
from ebpm.mirror.serve import MirrorServer
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import MemoryStore
from tests.mirror.test_bundle import signed

Run = Callable[..., str]
NAME = "ghcr.io/acme/x:1"


@pytest.fixture
def run(work: Path) -> Run:
    """Run a program; give its words."""

    def call(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=work)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture
def made() -> tuple[MemoryStore, Descriptor]:
    return signed(b"layer" * 1000)


@pytest.fixture
def server(made: tuple[MemoryStore, Descriptor], work: Path) -> Iterator[MirrorServer]:
    store = Layout.create(str(work / "store"), journal=True)
    copy(*made, store, NAME, referrers=True)
    with MirrorServer(store, "127.0.0.1", 0) as running:
        yield running


@pytest.mark.needs("oras")
def test_oras_reads_our_bundle_and_copies_it_with_what_is_attached(
    run: Run, made: tuple[MemoryStore, Descriptor], work: Path
) -> None:
    source, root = made
    export([Item(NAME, source, root)], str(work / "x.tar"))
    layout = ("--oci-layout-path", "x.tar")
    raw = run("oras", "manifest", "fetch", *layout, NAME)
    assert raw.encode() == source.blobs[str(root.digest)]
    shown = json.loads(run("oras", "discover", "--format", "json", *layout, NAME))
    assert len(shown["referrers"]) == 1


@pytest.mark.needs("oras")
def test_oras_copies_from_what_we_serve(
    run: Run, made: tuple[MemoryStore, Descriptor], server: MirrorServer, work: Path
) -> None:
    _, root = made
    place = f"{server.address}/acme/x:1"
    run("oras", "cp", "-r", "--from-plain-http", place, "--to-oci-layout", "copy:1")
    copied = Layout(str(work / "copy"))
    assert copied.resolve("1").digest == root.digest
    assert len(copied.referrers(root)) == 1
    assert run("oras", "repo", "tags", "--plain-http", place.rpartition(":")[0]).split() == [
        "1",
        f"sha256-{root.digest.hex}.sig",
    ]


@pytest.mark.needs("crane")
def test_crane_pulls_from_what_we_serve(
    run: Run, made: tuple[MemoryStore, Descriptor], server: MirrorServer
) -> None:
    _, root = made
    place = f"{server.address}/acme/x:1"
    assert run("crane", "digest", "--insecure", place).strip() == str(root.digest)
    assert run("crane", "ls", "--insecure", place.rpartition(":")[0]).split()[0] == "1"
    assert run("crane", "catalog", "--insecure", server.address).split() == ["acme/x"]
