"""The running kernel's identity, and its types as far as a tool needs them."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm.config import Config
from ebpm.kept import types_for
from ebpm.package.files import read_package
from ebpm.package.model import Package
from ebpm.runtime import kernel
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from tests.conftest import Ebpm

Tools = Callable[[str], Path]


def note(name: bytes, kind: int, data: bytes) -> bytes:
    def padded(part: bytes) -> bytes:
        return part + bytes(-len(part) % 4)

    return struct.pack("=III", len(name), len(data), kind) + padded(name) + padded(data)


def test_the_build_id_is_found_among_other_notes() -> None:
    notes = (
        note(b"Xen\0", 6, b"abcde") + note(b"Linux\0", 3, b"no") + note(b"GNU\0", 3, b"\x01\xab")
    )
    assert kernel.parse_build_id(notes) == "01ab"


@pytest.mark.parametrize("notes", [b"", b"\xff" * 40, note(b"GNU\0", 1, b"x"), b"\x04\0\0\0"])
def test_notes_without_one_have_none(notes: bytes) -> None:
    assert kernel.parse_build_id(notes) is None


def test_this_kernels_is_the_one_that_file_tells() -> None:
    raw = Path("/sys/kernel/notes").read_bytes() if os.path.exists("/sys/kernel/notes") else b""
    found = kernel.build_id()
    assert found is None or bytes.fromhex(found) in raw


def kept(home: Path) -> list[Path]:
    return sorted((home / "cache" / "types").glob("*"))


@pytest.mark.needs("bpf", "compiler")
def test_the_first_run_keeps_what_the_next_ones_take(ebpm: Ebpm, tools: Tools) -> None:
    home = Path(os.environ["HOME"])
    package = tools("opensnoop") / "package.json"
    command = [
        "run",
        "--verbose",
        "--json",
        package,
        "--",
        sys.executable,
        "-Sc",
        "open('/dev/null')",
    ]
    first = ebpm.run(*command)
    (file,) = kept(home)
    assert 0 < file.stat().st_size < 10_000
    stamp = file.stat().st_mtime_ns
    second = ebpm.run(*command)
    assert kept(home) == [file]
    assert file.stat().st_mtime_ns == stamp
    for done in (first, second):
        assert "/dev/null" in done.stdout
        ids = re.findall(r"matching candidate #0 <byte_off> \[(\d+)\]", done.stderr)
        assert ids
        assert max(map(int, ids)) < 100  # in the kernel's own BTF it has five digits


@pytest.mark.needs("bpf", "compiler")
def test_types_that_are_damaged_do_not_stop_a_tool(ebpm: Ebpm, tools: Tools) -> None:
    package = tools("opensnoop") / "package.json"
    command = ["run", "--json", package, "--", sys.executable, "-Sc", "open('/dev/null')"]
    ebpm.run(*command)
    (file,) = kept(Path(os.environ["HOME"]))
    file.write_bytes(b"no BTF")
    assert "/dev/null" in ebpm.run(*command).stdout


def plan_of(package: Package) -> tuple[object, bytes]:
    one = package.objects[0]
    return make_plan(package, one), one.data


@pytest.mark.needs("compiler")
def test_what_would_not_help_is_not_made(tools: Tools, program: Callable[[str], Package]) -> None:
    opensnoop = read_package(tools("opensnoop") / "package.json")
    plan, data = plan_of(opensnoop)
    assert plan.trims  # type: ignore[attr-defined]
    other, data = plan_of(program("moves"))
    assert not other.trims  # type: ignore[attr-defined]
    assert types_for(Config(), other, data) is None  # type: ignore[arg-type]


@pytest.mark.needs("bpf", "compiler")
def test_a_cache_that_cannot_be_written_costs_no_trimming(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EBPM_CACHE", "/proc/nowhere")
    monkeypatch.setattr(kernel, "trimmed_types", lambda _: pytest.fail("it was trimmed in vain"))
    plan, data = plan_of(read_package(tools("opensnoop") / "package.json"))
    assert types_for(Config(), plan, data) is None  # type: ignore[arg-type]


@pytest.mark.needs("bpf", "compiler")
def test_the_file_in_memory_is_gone_when_the_tool_is_loaded(tools: Tools) -> None:
    plan, data = plan_of(read_package(tools("opensnoop") / "package.json"))
    types = kernel.trimmed_types(data)
    assert types
    with Session(plan, data, types=types):  # type: ignore[arg-type]
        links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        names = [str(link.readlink()) for link in links if link.is_symlink()]
        assert not [name for name in names if "memfd:btf" in name]


def test_trimming_is_not_imported_where_it_was_done_before() -> None:
    code = "import sys, ebpm.cli.run; print('ebpm.btf.trim' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
