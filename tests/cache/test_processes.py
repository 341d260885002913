"""Several processes on one store, some of which are killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from ebpm.cache import refs
from ebpm.cache.layout import Layout
from ebpm.oci.copy import copy
from ebpm.oci.manifest import parse_manifest
from ebpm.oci.store import fetch_manifest
from tests.artifacts import artifact, files_of, is_whole
from tests.storm import storm

WRITER = """
import random, sys
from ebpm.cache.layout import Layout
from ebpm.oci.copy import copy
from tests.artifacts import artifact
root, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
number = random.Random(seed)
print("ready", flush=True)
for turn in range(count):
    store = Layout.create(root, journal=True)
    source, one = artifact(b"shared by all", number.randbytes(number.randrange(1, 200_000)))
    name = f"tool{number.randrange(20)}:{number.randrange(3)}"
    copy(source, one, store, name)
    assert store.resolve(name)
    if number.random() < 0.3:
        try:
            store.untag(name)
        except Exception as error:
            assert type(error).__name__ == "ManifestNotFound", error
"""


def start(root: Path, seed: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(seed), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_begin_together_share_one_store(tmp_path: Path) -> None:
    root = tmp_path / "store"
    writers = [start(root, seed, 5) for seed in range(6)]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert (errors, writer.returncode) == ("", 0)
    store = Layout(str(root), journal=True)
    assert is_whole(store)
    assert files_of(root, "ingest") == set()
    # index.json says what the references say, without being put right.
    index = {one.ref_name: str(one.digest) for one in Layout(str(root)).entries()}
    assert index == {name: data["digest"] for name, data in refs.all_refs(str(root))}


def test_whatever_is_killed_the_store_is_whole(tmp_path: Path) -> None:
    """Two seconds of what benchmarks/store.py does for twenty."""
    root = tmp_path / "store"
    wreck = storm(root, 2, 6, kills=6)
    assert wreck.names
    assert (wreck.unreadable, wreck.dangling, wreck.corrupt, wreck.failed) == ([], [], [], [])
    store = Layout.create(str(root), journal=True)
    assert is_whole(store)
    source, one = artifact(b"after all that")
    copy(source, one, store, "after:1")
    assert store.resolve("after:1") == one


def test_a_reader_sees_whole_packages_while_others_write(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = Layout.create(str(root), journal=True)
    source, one = artifact(b"read all the time")
    copy(source, one, store, "read:1")
    writers = [start(root, seed, 1000) for seed in range(2)]
    for writer in writers:
        assert writer.stdout
        writer.stdout.readline()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert store.resolve("read:1") == one
        assert fetch_manifest(store, one).children
        assert any(entry.ref_name == "read:1" for entry in store.entries())
        raw = (root / "index.json").read_bytes()
        assert parse_manifest(raw, json.loads(raw)["mediaType"])
    for writer in writers:
        assert writer.poll() is None, writer.communicate()[1]
        writer.kill()
        writer.communicate()


def test_a_lower_umask_of_one_process_does_not_lock_the_other_out(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        store = Layout.create(str(tmp_path / "store"), journal=True)
        source, one = artifact(b"private")
        copy(source, one, store, "x:1")
    finally:
        os.umask(old)
    source, other = artifact(b"public")
    copy(source, other, Layout.create(str(tmp_path / "store"), journal=True), "y:1")
    assert is_whole(store)
