"""Kernels' types: taken out of what holds them, kept, found, and packages compared with them."""

from __future__ import annotations

import io
import json
import lzma
import os
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm.btf.parse import Btf
from ebpm.check.core import Kernel, compare
from ebpm.check.hooks import ABSENT, PRESENT, UNKNOWN, by_types
from ebpm.check.image import find_btf, take_btf
from ebpm.check.kernels import KernelFiles, read_btf, release_of
from ebpm.errors import BtfMissing, InvalidBtf, TargetNotFound
from ebpm.package.files import read_package
from tests.conftest import Ebpm

Tools = Callable[[str], Path]
BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 1) + b"\0"


def image(kernel: bytes) -> bytes:
    """Make a bzImage of two sectors around a packed kernel."""
    packed = lzma.compress(kernel) + struct.pack("<I", len(kernel))
    head = bytearray(1024)
    head[0x1F1], head[0x202:0x206] = 1, b"HdrS"
    struct.pack_into("<II", head, 0x248, 0, len(packed))
    return bytes(head) + packed


def tar(*files: bytes, mode: str = "w:xz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for number, data in enumerate(files):
            info = tarfile.TarInfo(f"{number}.btf")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [BTF, image(b"x" * 99 + BTF + b"y"), b"\0" * 4096 + BTF, tar(BTF), tar(BTF, mode="w")],
    ids=["btf", "bzImage", "Image", "tar.xz", "tar"],
)
def test_btf_is_taken_out_of_what_holds_it(data: bytes) -> None:
    assert take_btf(data) == BTF


CUT_OFF = [bytes(0x202) + b"HdrS", b"\0" + BTF[:8], image(BTF)[:-40]]


@pytest.mark.parametrize(
    "data", [b"", b"nothing", image(b"no types"), tar(), tar(BTF, BTF), *CUT_OFF]
)
def test_what_holds_none_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidBtf):
        take_btf(data)


def test_the_largest_of_several_is_the_kernels() -> None:
    larger = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 3) + b"\0a\0"
    assert find_btf(BTF + larger + BTF) == larger


def test_kernels_are_listed_by_version_and_found_by_its_beginning(work: Path) -> None:
    kept = KernelFiles(work / "btf")
    for name in ("debian-6.12.9-amd64", "debian-6.1.0-9-amd64", "debian-6.1.0-10-amd64", "mine"):
        kept.put(name, BTF)
    assert kept.names() == [
        *("mine", "debian-6.1.0-9-amd64", "debian-6.1.0-10-amd64", "debian-6.12.9-amd64")
    ]
    assert kept.find("6.1").stem == "debian-6.1.0-10-amd64"
    assert kept.find("6.12").stem == "debian-6.12.9-amd64"
    assert kept.find("mine").stem == "mine"
    with pytest.raises(BtfMissing) as caught:
        kept.find("6.2")
    assert "ebpm btf fetch 6.2" in caught.value.hint


def test_what_is_no_btf_or_no_name_is_not_kept(work: Path) -> None:
    kept = KernelFiles(work / "btf")
    for name, data in (("../x", BTF), ("a", b"nothing")):
        with pytest.raises(InvalidBtf):
            kept.put(name, data)
    assert kept.names() == []
    with pytest.raises(TargetNotFound):
        read_btf(work / "absent")


def test_the_release_is_read_off_a_name() -> None:
    assert release_of("debian-6.1.0-10-amd64") == (6, 1)
    assert release_of("mine") is None


@pytest.mark.needs("bpf")
@pytest.mark.parametrize(
    ("section", "state"),
    [
        ("tracepoint/syscalls/sys_enter_openat", PRESENT),
        ("tp/sched/sched_switch", PRESENT),
        ("tp/sched/no_such_event", ABSENT),
        ("raw_tp/sys_enter", PRESENT),
        ("tp_btf/no_such_event", ABSENT),
        ("fentry/vfs_read", PRESENT),
        ("fentry.s/no_such_function", ABSENT),
        ("kprobe/no_such_function", UNKNOWN),
        ("uprobe/libc.so.6:malloc", UNKNOWN),
        ("xdp", UNKNOWN),
        ("?kprobe/vfs_read+0x8", PRESENT),
    ],
)
def test_hooks_are_told_by_a_kernels_types(section: str, state: str) -> None:
    kernel = Kernel(Btf(Path("/sys/kernel/btf/vmlinux").read_bytes()))
    assert by_types("p", section, kernel).state == state


@pytest.mark.needs("bpf", "compiler")
def test_a_second_check_against_the_same_kernel_searches_nothing(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read_package(tools("opensnoop") / "package.json").objects[0].data
    kernel = Kernel(Btf(Path("/sys/kernel/btf/vmlinux").read_bytes()))
    first = compare(data, kernel)
    monkeypatch.setattr("ebpm.btf.core.candidates", lambda *_: pytest.fail("it was searched"))
    assert compare(data, kernel) == first


@pytest.mark.needs("bpf", "compiler")
def test_the_command_tells_what_fits_and_what_does_not(
    ebpm: Ebpm, tools: Tools, work: Path
) -> None:
    package = tools("sigsnoop") / "package.json"
    pins = set(os.listdir("/sys/fs/bpf"))
    out = ebpm.run("check", package, "--load").stdout
    assert out.startswith(f"sigsnoop fits {os.uname().release}\n")
    assert "the kernel's verifier accepts it" in out
    assert set(os.listdir("/sys/fs/bpf")) == pins
    (work / "empty.btf").write_bytes(BTF)
    out = ebpm.run("check", package, "--btf", work / "empty.btf", check=9).stdout
    assert "sigsnoop does not fit empty" in out
    assert "NOT THERE" in out or "lacks struct" in out
    ebpm.run("btf", "add", work / "empty.btf", "--name", "mine-4.4.0")
    assert "mine-4.4.0" in ebpm.run("btf", "list").stdout
    document = json.loads(ebpm.run("check", package, "--kernel", "4.4", "--json", check=9).stdout)
    assert document["fits"] is False
    assert any(need["lacking"] for need in document["needs"])


def test_options_that_contradict_each_other_are_refused(ebpm: Ebpm) -> None:
    ebpm.run("check", "x", "--btf", "f", "--kernel", "6.1", check=2)
    ebpm.run("check", "x", "--btf", "f", "--load", check=2)


def test_offline_nothing_is_fetched(ebpm: Ebpm) -> None:
    done = ebpm.run("--offline", "btf", "fetch", "6.1", check=5)
    assert "error[offline]" in done.stderr
