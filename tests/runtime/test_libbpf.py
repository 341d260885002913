"""The binding: every prototype is real, and failures are errors."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

import pytest

from ebpm.errors import BtfMissing, LibbpfMissing
from ebpm.runtime.libbpf import binding
from ebpm.runtime.libbpf.binding import BpfObject, InitialValue, Libbpf, LibbpfError
from ebpm.runtime.libbpf.dump import header_of
from ebpm.runtime.libbpf.prototypes import PROTOTYPES

pytestmark = pytest.mark.needs("libbpf")


@pytest.mark.parametrize("name", PROTOTYPES)
def test_every_prototype_exists_and_is_complete(name: str) -> None:
    function = Libbpf().function(name)
    restype, argtypes = PROTOTYPES[name]
    assert function.argtypes == argtypes
    assert function.restype == restype


def test_a_function_that_a_libbpf_lacks_is_not_supported() -> None:
    with pytest.raises(LibbpfError, match="too old to have bpf_of_the_future") as caught:
        Libbpf().function("bpf_of_the_future")
    assert caught.value.errno == errno.EOPNOTSUPP


def test_the_version_is_told() -> None:
    assert Libbpf().version.startswith("v1.")


def test_the_bundled_library_comes_before_the_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    usable: set[str] = set()
    load = ctypes.CDLL
    real = Libbpf().path

    def open_library(name: str, **options: object) -> object:
        asked.append(name)
        if name not in usable:
            raise OSError(f"{name}: wrong ELF class")
        return load(real, use_errno=True)

    monkeypatch.setattr(binding.ctypes, "CDLL", open_library)
    usable |= {binding.BUNDLED, binding.SYSTEM, "/mine.so"}
    assert Libbpf().path == binding.BUNDLED
    assert Libbpf("/mine.so").path == "/mine.so"
    usable.remove(binding.BUNDLED)  # absent, or made for another machine
    assert Libbpf().path == binding.SYSTEM
    assert asked == [binding.BUNDLED, "/mine.so", binding.BUNDLED, binding.SYSTEM]
    usable.remove("/mine.so")
    with pytest.raises(LibbpfMissing, match=r"/mine\.so"):  # what was named is not passed over
        Libbpf("/mine.so")


def test_a_library_that_is_not_there_says_what_to_install() -> None:
    with pytest.raises(LibbpfMissing) as caught:
        Libbpf("libnothing.so.9")
    for package in ("apt install libbpf1", "dnf install libbpf", "pacman", "apk add libbpf"):
        assert package in caught.value.hint


def test_a_library_that_is_another_one_is_refused() -> None:
    with pytest.raises(LibbpfMissing, match=r"older than libbpf 1\.0"):
        Libbpf("libc.so.6")


def test_bytes_that_are_no_object_are_an_error_with_the_log() -> None:
    lines: list[str] = []
    library = Libbpf()
    library.capture(lambda _level, text: lines.append(text), 0)
    with pytest.raises(LibbpfError) as caught:
        BpfObject(library, b"\x7fELF" + bytes(100), "bad")
    assert caught.value.call == "bpf_object__open_mem"
    assert any("bad" in line for line in lines)


def test_libbpfs_own_codes_are_said_in_words() -> None:
    assert "ELF" in Libbpf().text_of(4001) or "format" in Libbpf().text_of(4001)


def test_a_sections_memory_cannot_be_left() -> None:
    buffer = ctypes.create_string_buffer(8)
    memory = InitialValue(ctypes.addressof(buffer), 8)
    memory.write(0, b"12345678")
    assert memory.read(6, 2) == b"78"
    for offset, size in ((7, 2), (-1, 1), (8, 1)):
        with pytest.raises(ValueError, match="section of 8"):
            memory.read(offset, size)
    with pytest.raises(ValueError, match="section of 8"):
        memory.write(1, b"12345678")


@pytest.mark.needs("bpf")
def test_the_kernels_types_come_out_as_a_header() -> None:
    text = header_of("/sys/kernel/btf/vmlinux").decode()
    assert text.startswith("#ifndef __VMLINUX_H__")
    assert "struct task_struct {" in text
    assert text.rstrip().endswith("#endif /* __VMLINUX_H__ */")


def test_a_file_that_is_no_btf_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"nothing")
    with pytest.raises(BtfMissing, match="cannot be read as BTF"):
        header_of(str(tmp_path / "file"))
