"""Processes that write to one store, collect its garbage, and are killed at random."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ebpm.cache.layout import Layout
from ebpm.cache.marks import reach
from ebpm.errors import EbpmError

WRITER = """
import random, sys
from ebpm.cache.gc import collect
from ebpm.cache.layout import Layout
from ebpm.errors import ManifestNotFound
from ebpm.oci.copy import copy
from tests.artifacts import artifact
root, number = sys.argv[1], random.Random(int(sys.argv[2]))
print("ready", flush=True)
while True:
    store = Layout.create(root, journal=True)
    source, one = artifact(b"shared by all", number.randbytes(number.randrange(1, 200_000)))
    name = f"tool{number.randrange(20)}:{number.randrange(3)}"
    copy(source, one, store, name)
    assert store.lookup(name), name
    luck = number.random()
    try:
        if luck < 0.2:
            store.untag(name)
        elif luck < 0.3:
            store.tag_all({f"many{at}:{number.randrange(3)}": one for at in range(80)})
        elif luck < 0.4:
            collect(store, grace=0)
    except ManifestNotFound:
        pass  # another one was quicker
"""


@dataclass(slots=True)
class Wreck:
    """What a storm left behind; all three counts have to be 0."""

    kills: int = 0
    names: int = 0
    unreadable: list[str] = field(default_factory=list)  # an index.json that is no JSON
    dangling: list[str] = field(default_factory=list)  # names that need what is not there
    corrupt: list[str] = field(default_factory=list)  # blobs that do not hash to their names
    failed: list[str] = field(default_factory=list)  # what writers said that ended by themselves


def storm(root: Path, seconds: float, writers: int, kills: int = 0, seed: int = 1) -> Wreck:
    """Let processes write to a store for a while, and kill ``kills`` of them or more."""
    luck = random.Random(seed)
    running: list[subprocess.Popen[str]] = []
    wreck = Wreck()
    end = time.monotonic() + seconds
    while time.monotonic() < end or wreck.kills < kills:
        while len(running) < writers:
            command = [sys.executable, "-c", WRITER, str(root), str(luck.randrange(1 << 30))]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            running.append(subprocess.Popen(command, text=True, **pipes))
        victim = running.pop(luck.randrange(len(running)))
        assert victim.stdout
        victim.stdout.readline()  # it has begun
        time.sleep(luck.uniform(0.0, 0.15))
        if victim.poll() is not None:
            wreck.failed.append(victim.communicate()[1])
            continue
        victim.kill()
        victim.communicate()
        wreck.kills += 1
        _read(root, wreck)
    for one in running:
        one.kill()
        one.communicate()
    _inspect(root, wreck)
    return wreck


def _read(root: Path, wreck: Wreck) -> None:
    """Read the index as another tool would."""
    try:
        raw = (root / "index.json").read_bytes()
    except FileNotFoundError:
        return  # nobody has come so far
    try:
        assert json.loads(raw)["schemaVersion"] == 2
    except (ValueError, KeyError, AssertionError):
        wreck.unreadable.append(raw.decode("utf-8", "replace")[:200])


def _inspect(root: Path, wreck: Wreck) -> None:
    _read(root, wreck)
    for path in (root / "blobs/sha256").iterdir():
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            wreck.corrupt.append(path.name)
    store = Layout(str(root), journal=True)
    for entry in store.entries():
        wreck.names += 1
        try:
            needed = reach(store, entry, {}, strict=True)
            lacking = [one for one in needed if not _is_there(root, one)]
        except EbpmError as error:
            lacking = [error.message]
        if lacking:
            wreck.dangling.append(f"{entry.ref_name}: {', '.join(lacking)}")


def _is_there(root: Path, digest: str) -> bool:
    return (root / "blobs" / digest.replace(":", "/")).exists()
