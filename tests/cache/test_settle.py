"""What our store names stays there through a power cut, at the price of one sync for all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ebpm.cache.layout import Layout
from ebpm.oci.copy import copy
from tests.artifacts import artifact


def steps_of(folder: Path, monkeypatch: pytest.MonkeyPatch, *, journal: bool) -> list[str]:
    """Copy an artifact of 22 blobs into a layout; tell what was synced and named, in order."""
    layout = Layout.create(str(folder), journal=journal)
    source, root = artifact(*(b"%d" % number for number in range(20)))
    steps: list[str] = []
    real = os.fsync, os.rename, os.replace

    def fsync(fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
        steps.append(f"sync {kind} {Path(path).name if kind == 'folder' else ''}".strip())
        real[0](fd)

    def rename(old: str, new: str) -> None:
        steps.append(f"name {'blob' if '/blobs/' in new else Path(new).name}")
        real[1](old, new)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr("os.rename", rename)
    monkeypatch.setattr("os.replace", rename)
    copy(source, root, layout, "x:1")
    assert len(source.blobs) == 22
    return steps


def test_in_our_store_files_are_synced_then_their_folder_then_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = steps_of(tmp_path / "store", monkeypatch, journal=True)
    blobs = 22
    assert steps.count("name blob") == blobs
    assert steps.count("sync folder sha256") == 1
    settled = steps.index("sync folder sha256")
    assert steps[:settled].count("name blob") == blobs
    assert steps[:settled].count("sync file") >= blobs
    assert "name index.json" in steps[settled:]


def test_a_folder_of_the_users_is_written_as_other_tools_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = steps_of(tmp_path / "folder", monkeypatch, journal=False)
    assert steps.count("name blob") == 22
    assert steps[: steps.index("name index.json")].count("sync file") <= 1
