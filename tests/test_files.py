"""Files that appear as a whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ebpm.errors import OutputFailed
from ebpm.files import whole_file, write_whole


def test_a_file_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_whole(path, b"old")
    with whole_file(path, mode=0o600) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_half_way_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def interrupted() -> None:
        with whole_file(tmp_path / "file") as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        interrupted()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_device_stays_one_and_is_written_to(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    write_whole(f"/proc/self/fd/{writing}", b"through")
    os.close(writing)
    assert os.read(reading, 100) == b"through"
    os.close(reading)
    with pytest.raises(OutputFailed, match="cannot write /dev/full: No space left"):
        write_whole("/dev/full", b"x")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("path", ["/proc/none/file", "/dev/null/file", "/"])
def test_what_cannot_be_written_is_named(path: str) -> None:
    with pytest.raises(OutputFailed, match=f"cannot write {path}: "):
        write_whole(path, b"x")
