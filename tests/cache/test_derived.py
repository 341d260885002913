from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpm.cache.derived import Derived


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "ebpm"


@pytest.fixture
def loose_umask() -> Iterator[None]:
    old = os.umask(0o002)
    yield
    os.umask(old)


def test_a_file_is_read_as_it_was_written(root: Path) -> None:
    derived = Derived(str(root))
    assert derived.read("plans", "a") is None
    assert derived.write("plans", "a", b"one")
    assert derived.write("plans", "a", b"two")
    assert derived.read("plans", "a") == b"two"
    assert [path.name for path in (root / "plans").iterdir()] == ["a"]


@pytest.mark.usefixtures("loose_umask")
def test_folders_and_files_are_the_users_alone_whatever_the_umask(root: Path) -> None:
    assert Derived(str(root)).write("plans", "a", b"data")
    assert Derived(str(root)).read("plans", "a") == b"data"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (root, root / "plans")]
    assert modes == [0o700, 0o700]
    assert stat.S_IMODE((root / "plans/a").stat().st_mode) == 0o600


@pytest.mark.parametrize("place", ["", "plans", "plans/a"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_what_others_can_write_is_not_believed(root: Path, place: str, mode: int) -> None:
    derived = Derived(str(root))
    derived.write("plans", "a", b"data")
    path = root / place
    path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)
    assert derived.read("plans", "a") is None
    if place != "plans/a":
        assert not derived.write("plans", "b", b"data")


@pytest.mark.needs("root")
@pytest.mark.parametrize("place", ["", "plans", "plans/a"])
def test_what_is_somebody_elses_is_not_believed(root: Path, place: str) -> None:
    derived = Derived(str(root))
    derived.write("plans", "a", b"data")
    os.chown(root / place, 4242, 4242)
    assert derived.read("plans", "a") is None


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    derived = Derived(str(root))
    derived.write("plans", "a", b"data")
    (tmp_path / "elsewhere").write_bytes(b"other")
    (root / "plans/b").symlink_to(tmp_path / "elsewhere")
    assert derived.read("plans", "b") is None
    root.rename(tmp_path / "moved")
    root.symlink_to(tmp_path / "moved")
    assert derived.read("plans", "a") is None


@pytest.mark.timeout(10)
def test_a_fifo_is_not_waited_for(root: Path) -> None:
    derived = Derived(str(root))
    derived.write("plans", "a", b"data")
    os.mkfifo(root / "plans/b")
    assert derived.read("plans", "b") is None


def test_a_cache_that_cannot_be_written_is_nobodys_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    derived = Derived(str(tmp_path / "file"))
    assert not derived.write("plans", "a", b"data")
    assert derived.read("plans", "a") is None


def test_a_write_that_fails_leaves_nothing(root: Path) -> None:
    derived = Derived(str(root))
    (root / "plans/a/in the way").mkdir(parents=True)
    root.chmod(0o700)
    assert not derived.write("plans", "a", b"data")
    assert [path.name for path in (root / "plans").iterdir()] == ["a"]


def test_a_folder_is_given_where_nobody_else_can_write(root: Path) -> None:
    derived = Derived(str(root))
    folder = derived.folder("headers")
    assert folder == str(root / "headers")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert derived.folder("headers") == folder
    (root / "headers").chmod(0o770)
    assert derived.folder("headers") is None
    (root / "headers").rmdir()
    (root / "headers").symlink_to(root.parent)
    assert derived.folder("headers") is None
    assert Derived("/proc/nowhere").folder("headers") is None
