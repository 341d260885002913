"""Stores in places that are full, shut, or somebody else's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.cache.layout import Layout
from ebpm.config import Config
from ebpm.errors import BlobNotFound, IntegrityError, NotFound, StoreUnusable
from ebpm.oci.copy import copy
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.reference import Reference
from ebpm.oci.store import MemoryStore
from ebpm.target import parse_target
from tests.artifacts import artifact, files_of, is_whole

NOBODY = 4242


@contextmanager
def small_disk(folder: Path, size: str = "300k", *options: str) -> Iterator[Path]:
    """Mount a little memory as a disk."""
    folder.mkdir(exist_ok=True)
    arguments = ["-o", ",".join([f"size={size}", *options])]
    subprocess.run(["mount", "-t", "tmpfs", *arguments, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def as_user(uid: int, work: Callable[[], None]) -> str:
    """Do something in a child process of another user; give what it raised."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            work()
            said = "nothing"
        except BaseException as error:  # noqa: BLE001
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said


@pytest.mark.needs("root")
def test_a_full_disk_leaves_a_whole_store(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        store = Layout.create(str(disk / "store"), journal=True)
        source, small = artifact(b"small")
        copy(source, small, store, "small:1")
        source, large = artifact(os.urandom(1 << 20))
        with pytest.raises(StoreUnusable, match="No space left") as caught:
            copy(source, large, store, "large:1")
        assert "free space" in caught.value.hint
        assert [one.ref_name for one in store.entries()] == ["small:1"]
        assert files_of(store.root, "ingest") == set()
        assert is_whole(store)
        source, fits = artifact(b"fits")
        copy(source, fits, store, "fits:1")


@pytest.mark.needs("root")
def test_a_disk_that_fills_up_at_any_write_leaves_a_whole_store(tmp_path: Path) -> None:
    for free in range(0, 60 << 10, 4 << 10):
        with small_disk(tmp_path / "disk") as disk:
            store = Layout.create(str(disk / "store"), journal=True)
            source, first = artifact(b"first")
            copy(source, first, store, "first:1")
            room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
            (disk / "ballast").write_bytes(bytes(max(0, room - free)))
            source, second = artifact(b"x" * 5000, b"y" * 5000)
            try:
                copy(source, second, store, "second:1")
            except StoreUnusable:
                pass
            (disk / "ballast").unlink()
            assert "first:1" in [one.ref_name for one in store.entries()]
            assert is_whole(store)
            copy(source, second, store, "second:1")
            assert is_whole(store)


@pytest.mark.needs("root")
def test_a_read_only_disk_can_be_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        store = Layout.create(str(disk / "store"), journal=True)
        source, one = artifact(b"layer")
        copy(source, one, store, "x:1")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert is_whole(Layout(str(disk / "store"), journal=True))
        source, other = artifact(b"other")
        with pytest.raises(StoreUnusable, match="Read-only"):
            copy(source, other, store, "y:1")
        with pytest.raises(StoreUnusable, match="Read-only"):
            store.untag("x:1")


@pytest.mark.needs("root")
def test_a_store_of_root_is_read_by_others_and_not_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for above in tmp_path.parents[:2]:
        above.chmod(0o755)
    store = Layout.create(str(tmp_path / "store"), journal=True)
    source, one = artifact(b"layer")
    copy(source, one, store, "x:1")
    other, root = artifact(b"other")

    def read() -> None:
        assert is_whole(Layout(store.root, journal=True))

    def write() -> None:
        copy(other, root, Layout.create(store.root, journal=True), "y:1")

    assert as_user(NOBODY, read) == "nothing"
    said = as_user(NOBODY, write)
    assert said.startswith("StoreUnusable: cannot write to the store")
    assert "Permission denied" in said
    assert as_user(NOBODY, lambda: store.untag("x:1") and None).startswith("StoreUnusable")
    assert is_whole(store)


@pytest.mark.needs("root")
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    place = str(tmp_path / "shut" / "store")
    (tmp_path / "shut").mkdir(mode=0o700)
    said = as_user(NOBODY, lambda: Layout.create(place) and None)
    assert said == f"StoreUnusable: cannot create {place}: Permission denied"


# --- the store of the user behind sudo: root reads it, and believes nothing of it -----------------


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """A store as a user has it."""
    return tmp_path / "home/.local/share/ebpm/store"


@pytest.fixture
def workspace(lower: Path, tmp_path: Path) -> Workspace:
    """What ebpm is for root, called by that user with sudo."""
    config = Config({"EBPM_STORE": str(tmp_path / "root"), "HOME": "/root"}, uid=0)
    config.lower_stores = [str(lower)]
    return Workspace(config)


def fill(lower: Path, name: str = "x:latest") -> tuple[MemoryStore, Descriptor]:
    source, one = artifact(b"layer")
    copy(source, one, Layout.create(str(lower), journal=True), name)
    return source, one


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in [root, *root.rglob("*")]
    }


def test_what_the_user_has_is_found_and_nothing_written(lower: Path, workspace: Workspace) -> None:
    _, one = fill(lower)
    before = snapshot(lower)
    source, found = workspace.locate(parse_target("x"))
    assert found == one
    copy(source, found, MemoryStore(), None)
    assert snapshot(lower) == before
    assert not Path(workspace.config.store).exists()


def test_a_tag_of_it_is_made_in_roots_own_store(lower: Path, workspace: Workspace) -> None:
    fill(lower)
    before = snapshot(lower)
    workspace.tag(parse_target("x"), "y:1")
    assert snapshot(lower) == before
    assert is_whole(Layout(workspace.config.store, journal=True))
    assert [one.ref_name for one in workspace.stores()[0].entries()] == ["y:1"]


def test_roots_own_store_comes_first(lower: Path, workspace: Workspace) -> None:
    fill(lower)
    source, own = artifact(b"root's own")
    copy(source, own, workspace.store(), "x:latest")
    assert workspace.locate(parse_target("x"))[1].digest == own.digest


@pytest.mark.timeout(20)
@pytest.mark.parametrize("place", ["blob", "manifest", "reference", "index", "stamp"])
@pytest.mark.parametrize("kind", ["link", "fifo", "wrong bytes", "device"])
def test_nothing_in_it_is_followed_waited_for_or_believed(
    lower: Path, workspace: Workspace, tmp_path: Path, place: str, kind: str
) -> None:
    _, one = fill(lower)
    paths = {
        "blob": lower / "blobs/sha256" / Descriptor.of(b"layer", "x").digest.hex,
        "manifest": lower / "blobs/sha256" / one.digest.hex,
        "reference": next((lower / ".ebpm/refs").rglob("*.json")),
        "index": lower / "index.json",
        "stamp": lower / ".ebpm/index.stamp",
    }
    path = paths[place]
    path.rename(tmp_path / "aside")
    if kind == "link":
        path.symlink_to(tmp_path / "aside")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes((tmp_path / "aside").read_bytes().swapcase())
    source, found = workspace.locate(parse_target("x"))
    assert found.digest == one.digest
    copied = MemoryStore()
    if place in ("blob", "manifest"):
        with pytest.raises((BlobNotFound, IntegrityError)):
            copy(source, found, copied, None)
    else:
        copy(source, found, copied, None)
        assert b"layer" in copied.blobs.values()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("target", ["fifo", "/dev/zero", "/etc/shadow"])
def test_an_index_that_is_no_file_is_said_to_be_none(
    lower: Path, workspace: Workspace, target: str
) -> None:
    fill(lower)
    path = lower / "index.json"
    path.unlink()
    if target == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(target)
    with pytest.raises(StoreUnusable, match=r"cannot read .*index\.json"):
        workspace.locate(parse_target("not-there"))


def test_a_name_with_a_digest_is_not_believed_to_be_another(
    lower: Path, workspace: Workspace
) -> None:
    """Whoever pins a digest gets that, whatever a user wrote into a store that root reads."""
    _, good = fill(lower, "good:1")
    source, evil = artifact(b"evil")
    layout = Layout.create(str(lower), journal=True)
    copy(source, evil, layout, "evil:1")
    import json

    from ebpm.cache import refs
    from ebpm.oci.manifest import write_json

    absent = Descriptor.of(b"not here", "x").digest
    for pinned in (f"good@{good.digest}", f"good@{absent}"):
        refs.write_refs(str(lower), {pinned: evil.to_json()})
        index = json.loads((lower / "index.json").read_bytes())
        index["manifests"].append(evil.named(pinned).to_json())
        (lower / "index.json").write_bytes(write_json(index))
    assert workspace.locate(parse_target(f"good@{good.digest}"))[1].digest == good.digest
    with pytest.raises(NotFound):
        workspace.locate(parse_target(f"good@{absent}"))


def test_a_store_that_is_not_there_is_nobodys_error(workspace: Workspace) -> None:
    assert workspace.stores() == []
    with pytest.raises(NotFound):
        workspace.locate(parse_target("x"))


@pytest.mark.needs("root")
def test_ebpm_finds_the_user_behind_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    entry = pwd.getpwuid(os.getuid())
    fields = list(entry)
    fields[5] = str(tmp_path)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: pwd.struct_passwd(fields))
    config = Config({"SUDO_UID": "1000", "HOME": "/root"}, uid=0)
    assert config.lower_stores == [f"{tmp_path}/.local/share/ebpm/store"]
    assert config.store == "/var/lib/ebpm/store"


def test_the_names_of_both_stores_are_listed(lower: Path, workspace: Workspace) -> None:
    fill(lower)
    source, own = artifact(b"own")
    copy(source, own, workspace.store(), str(Reference.parse("own")))
    names = [one.ref_name for store in workspace.stores() for one in store.entries()]
    assert names == ["own:latest", "x:latest"]
