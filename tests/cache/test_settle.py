"""What a name says is there stays there through a power cut, at the price of one sync for all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ebpm.cache.layout import Layout
from ebpm.oci.copy import copy
from tests.artifacts import artifact


@pytest.mark.parametrize("journal", [True, False])
def test_files_then_their_folder_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    layout = Layout.create(str(tmp_path / "layout"), journal=journal)
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
    blobs = len(source.blobs)
    assert steps.count("name blob") == blobs
    assert steps.count("sync folder sha256") == 1
    settled = steps.index("sync folder sha256")
    assert steps[:settled].count("name blob") == blobs
    assert steps[:settled].count("sync file") >= blobs
    assert "name index.json" in steps[settled:]
