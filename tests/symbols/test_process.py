"""Names for the code of processes: whatever was built however, mapped wherever, gone or not."""

from __future__ import annotations

import ctypes
import hashlib
import io
import lzma
import mmap
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.symbols import process as module
from ebpm.symbols.elf import ElfSymbols, function_names
from ebpm.symbols.frame import Frame
from ebpm.symbols.process import Processes, read_mappings
from ebpm.symbols.symbolizer import Symbolizer
from tests.conftest import ROOT

compiled = pytest.mark.needs("compiler")
Compile = Callable[..., Path]
MANGLED, DEMANGLED = "_ZN2ns1A5innerEi", "ns::A::inner(int)"


@pytest.fixture(scope="session")
def stackee(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compile tests/data/stackee.c with some options, each kind once."""
    import ziglang

    zig = Path(ziglang.__file__).parent / "zig"
    folder = tmp_path_factory.mktemp("stackee")

    def compile_with(*options: str) -> Path:
        name = hashlib.sha256(" ".join(options).encode()).hexdigest()[:8]
        target = folder / name
        if not target.exists():
            command = [zig, "cc", "-O1", "-g0", "-nostdlib", "-o", target, *options]
            subprocess.run([*command, ROOT / "tests/data/stackee.c"], check=True)
        return target

    return compile_with


@contextmanager
def running(*command: str | Path) -> Iterator[tuple[int, int, int]]:
    """Run a stackee; give its pid and where its two functions are."""
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        plain, method = struct.unpack("=QQ", child.stdout.read(16))
        yield child.pid, plain, method
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == 0


def frame(pid: int, address: int, processes: Processes | None = None) -> Frame:
    return (processes or Processes()).frames(pid, [address])[0]


KINDS = {
    "position-dependent": ("-static", "-no-pie"),
    "static-pie": ("-static", "-fPIE", "-pie"),
    "pie": ("-fPIE", "-pie", "-Wl,--export-dynamic"),
}


@compiled
@pytest.mark.parametrize("kind", KINDS)
def test_functions_of_every_kind_of_program_have_names(stackee: Compile, kind: str) -> None:
    program = stackee(*KINDS[kind], "-Wl,--build-id=sha1")
    with running(program) as (pid, plain, method):
        first, second = frame(pid, plain + 2), frame(pid, method)
    assert (first.symbol, first.offset, first.module) == ("plain", 2, str(program))
    assert (second.symbol, second.offset) == (MANGLED, 0)
    with program.open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_type"] == ("ET_EXEC" if kind == "position-dependent" else "ET_DYN")
        symbol = elf.get_section_by_name(".symtab").get_symbol_by_name("plain")[0]
        (offset,) = elf.address_offsets(symbol["st_value"])
        note = next(elf.get_section_by_name(".note.gnu.build-id").iter_notes())
    assert first.module_offset == offset + 2
    assert first.build_id == note["n_desc"]


@compiled
def test_a_stripped_program_still_tells_the_offset_and_the_build_id(stackee: Compile) -> None:
    program = stackee("-static", "-fPIE", "-pie", "-s", "-Wl,--build-id=sha1")
    with running(program) as (pid, plain, _):
        found = frame(pid, plain)
    assert (found.symbol, found.offset, found.module) == (None, None, str(program))
    assert found.module_offset is not None
    with program.open("rb") as file:
        assert ELFFile(file).get_section_by_name(".symtab") is None
    assert found.build_id
    assert len(found.build_id) == 40


@compiled
def test_a_stripped_programs_names_come_from_its_debug_file(
    stackee: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stackee("-static", "-fPIE", "-pie", "-Wl,--build-id=0x" + "ab" * 20)
    program = stackee("-static", "-fPIE", "-pie", "-s", "-Wl,--build-id=0x" + "ab" * 20)
    monkeypatch.setattr(module, "debug_files", lambda build_id, root: iter([str(whole)]))
    with running(program) as (pid, plain, _):
        assert frame(pid, plain).symbol == "plain"


@compiled
def test_a_debug_file_of_another_build_is_not_believed(
    stackee: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stackee("-static", "-fPIE", "-pie", "-Wl,--build-id=0x" + "cd" * 20)
    program = stackee("-static", "-fPIE", "-pie", "-s", "-Wl,--build-id=0x" + "ab" * 20)
    monkeypatch.setattr(module, "debug_files", lambda build_id, root: iter([str(whole)]))
    with running(program) as (pid, plain, _):
        assert frame(pid, plain).symbol is None


@compiled
@pytest.mark.needs("c++filt")  # and objcopy, from the same package
def test_a_stripped_programs_names_come_from_the_debug_data_within(
    stackee: Compile, tmp_path: Path
) -> None:
    packed, program = tmp_path / "packed", tmp_path / "program"
    packed.write_bytes(lzma.compress(stackee(*KINDS["static-pie"]).read_bytes()))
    stripped = stackee(*KINDS["static-pie"], "-s")
    command = ["objcopy", "--add-section", f".gnu_debugdata={packed}", stripped, program]
    subprocess.run(command, check=True)
    with running(program) as (pid, plain, _):
        assert frame(pid, plain + 1).symbol == "plain"


def test_an_exported_function_of_a_stripped_library_has_a_name() -> None:
    address = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p).value
    assert address
    found = frame(os.getpid(), address)
    assert (found.symbol, found.offset) == ("getppid", 0)
    assert "libc" in (found.module or "")


def test_the_vdso_is_read_from_memory() -> None:
    mappings = read_mappings(Path("/proc/self/maps").read_text())
    vdso = next(one for one in mappings if one.path == "[vdso]")
    with open("/proc/self/mem", "rb", buffering=0) as file:
        file.seek(vdso.start)
        image = file.read(vdso.end - vdso.start)
    table = ELFFile(io.BytesIO(image)).get_section_by_name(".dynsym")
    known = {one.name: one["st_value"] for one in table.iter_symbols() if one["st_value"]}
    name = next(one for one in known if one.endswith(("clock_gettime", "vdso_getcpu")))
    found = frame(os.getpid(), vdso.start + known[name] + 1)
    assert known[str(found.symbol)] == known[name]  # an alias may lie at the same place
    assert (found.offset, found.module) == (1, "[vdso]")


@compiled
@pytest.mark.needs("root")
def test_a_program_of_another_mount_namespace_is_found_there(
    stackee: Compile, tmp_path: Path
) -> None:
    program = stackee(*KINDS["static-pie"])
    inside = tmp_path / "mnt"
    inside.mkdir()
    shutil.copy(stackee(*KINDS["static-pie"], "-s"), inside / "program")  # what we would find
    script = (
        f"mount -t tmpfs none {inside} && cp {program} {inside}/program && exec {inside}/program"
    )
    with running("unshare", "--mount", "sh", "-c", script) as (pid, plain, _):
        found = frame(pid, plain + 1)
    assert (found.symbol, found.offset, found.module) == ("plain", 1, str(inside / "program"))


@compiled
@pytest.mark.needs("root")
def test_a_program_that_was_deleted_is_read_all_the_same(stackee: Compile, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy(stackee(*KINDS["static-pie"]), program)
    with running(program) as (pid, plain, _):
        shutil.copy(stackee(*KINDS["static-pie"], "-s"), tmp_path / "other")
        (tmp_path / "other").rename(program)
        found = frame(pid, plain)
    assert (found.symbol, found.module) == ("plain", str(program))


@compiled
def test_a_process_that_is_gone_has_addresses_and_no_names(stackee: Compile) -> None:
    with running(stackee(*KINDS["static-pie"])) as (pid, plain, _):
        pass
    found = frame(pid, plain)
    assert (found.address, found.symbol, found.module) == (plain, None, None)


@compiled
def test_a_process_that_was_seen_before_it_ended_keeps_its_names(stackee: Compile) -> None:
    processes = Processes()
    with running(stackee(*KINDS["static-pie"])) as (pid, plain, method):
        assert frame(pid, plain, processes).symbol == "plain"
    assert frame(pid, method, processes).symbol == MANGLED


@compiled
def test_a_process_that_was_learnt_of_keeps_its_names(stackee: Compile) -> None:
    symbols = Symbolizer()
    with running(stackee(*KINDS["static-pie"])) as (pid, plain, method):
        symbols.look({pid, 2**22 - 3})  # nobody has the second number
    assert [one.symbol for one in symbols.user(pid, [plain, method + 1])] == ["plain", DEMANGLED]


@compiled
def test_a_process_is_learnt_of_again_as_it_grows(
    stackee: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    processes, reads = Processes(), []
    with running(stackee(*KINDS["static-pie"])) as (pid, _, _):
        process = processes.process(pid)
        assert process is not None
        refresh = process._refresh
        monkeypatch.setattr(process, "_refresh", lambda now: reads.append(now) or refresh(now))
        for _ in range(64):
            clock[0] += 0.125
            processes.learn(pid)
    assert reads == [100.125, 100.375, 100.875, 101.875, 103.875, 107.875]


@compiled
def test_a_process_that_nobody_has_waited_for_yet_keeps_its_names(stackee: Compile) -> None:
    processes = Processes()
    command = [str(stackee(*KINDS["static-pie"]))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        plain, method = struct.unpack("=QQ", child.stdout.read(16))
        assert frame(child.pid, plain, processes).symbol == "plain"
        child.stdin.close()
        child.stdout.read()  # until it has ended
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert frame(child.pid, method, processes).symbol == MANGLED


@compiled
def test_another_program_in_the_same_process_is_looked_at_anew(stackee: Compile) -> None:
    processes = Processes()
    program = stackee(*KINDS["static-pie"])
    script = f"import os, sys; sys.stdin.read(1); os.execv({str(program)!r}, ['x'])"
    command = [sys.executable, "-I", "-S", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert processes.process(child.pid) is not None
        child.stdin.write(b"x")
        child.stdin.flush()
        plain, _ = struct.unpack("=QQ", child.stdout.read(16))
        assert frame(child.pid, plain, processes).symbol == "plain"


def test_what_a_call_returns_to_belongs_to_the_function_that_made_it() -> None:
    libc = ctypes.CDLL(None)
    address = ctypes.cast(libc.getppid, ctypes.c_void_p).value
    assert address
    first, second, third = Processes().frames(os.getpid(), [address, address, address + 1])
    assert (first.symbol, third.symbol) == ("getppid", "getppid")
    assert second.symbol != "getppid"


@compiled
def test_what_is_kept_is_bounded_and_read_again(
    stackee: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FILES", 1)
    monkeypatch.setattr(module, "_FRAMES", 2)
    processes = Processes()
    with running(stackee(*KINDS["pie"])) as one, running(stackee(*KINDS["static-pie"])) as two:
        for _ in range(2):
            for pid, plain, method in (one, two):
                names = [frame(pid, at, processes).symbol for at in (plain, plain + 1, method)]
                assert names == ["plain", "plain", MANGLED]
                assert len(processes._files) == 1
                process = processes.process(pid)
                assert process is not None
                assert len(process.frames) <= 2
        monkeypatch.setattr(module, "_PROCESSES", 1)
        frame(one[0], one[1], processes)
        assert len(processes._processes) <= 2


def test_an_address_that_is_not_mapped_is_only_an_address() -> None:
    assert repr(frame(os.getpid(), 16)) == "Frame(address=16)"


# --- JIT compilers -------------------------------------------------------------------------------


@contextmanager
def code() -> Iterator[int]:
    """Map a page of memory that may hold code; give its address."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=7) as page:
        held = ctypes.c_char.from_buffer(page)
        yield ctypes.addressof(held)
        del held


@contextmanager
def perf_map(text: str) -> Iterator[Path]:
    path = Path(f"/tmp/perf-{os.getpid()}.map")
    path.write_text(text)
    try:
        yield path
    finally:
        path.unlink()


def test_code_of_a_jit_has_the_names_of_its_perf_map() -> None:
    processes = Processes()
    with code() as start, perf_map(f"{start:x} 10 first (file.js:1)\nbad line\n") as path:
        assert frame(os.getpid(), start + 20, processes).symbol is None
        found = frame(os.getpid(), start + 3, processes)
        assert (found.symbol, found.offset) == ("first (file.js:1)", 3)
        assert (found.module or "").endswith(path.name)
        with path.open("a") as file:  # the code was replaced, and more was added
            file.write(f"{start:#x} 8 second\n{start + 16:x} 10 third\n")
        names = [frame(os.getpid(), start + at, processes).symbol for at in (3, 20)]
    assert names == ["second", "third"]


def test_a_perf_map_of_somebody_else_is_not_believed() -> None:
    from ebpm.symbols.perfmap import PerfMap

    if os.geteuid():
        pytest.skip("only root can give files away")
    with perf_map("1000 10 name\n") as path:
        os.chown(path, 1234, 1234)
        assert PerfMap(str(path), 0).find(0x1000) is None
        assert PerfMap(str(path), 1234).find(0x1000) == ("name", 0x1000)


JIT = """
import ctypes, mmap, os, sys
assert os.system("mount -t tmpfs none /tmp") == 0
page = mmap.mmap(-1, mmap.PAGESIZE, prot=7)
held = ctypes.c_char.from_buffer(page)
start = ctypes.addressof(held)
with open(f"/tmp/perf-{os.getpid()}.map", "w") as file:
    file.write(f"{start:x} 10 jitted\\n")
os.write(1, start.to_bytes(8, sys.byteorder) + bytes(8))
sys.stdin.read()
"""


@pytest.mark.needs("root")
def test_the_perf_map_of_a_container_is_found_by_its_own_pid_in_its_own_tmp() -> None:
    command = ["unshare", "--mount", "--pid", "--fork", sys.executable, "-I", "-S", "-c", JIT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        (start,) = struct.unpack("=Q8x", child.stdout.read(16))
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        found = frame(int(children[0]), start + 1)
        assert child.stdin is not None
        child.stdin.close()
    assert (found.symbol, found.offset) == ("jitted", 1)
    assert found.module == f"/proc/{children[0]}/root/tmp/perf-1.map"


# --- names ---------------------------------------------------------------------------------------


@compiled
@pytest.mark.needs("c++filt")
def test_names_of_cpp_are_demangled(stackee: Compile) -> None:
    with running(stackee(*KINDS["static-pie"])) as (pid, plain, method):
        frames = Symbolizer().user(pid, [method, plain + 1])
    assert [one.symbol for one in frames] == [DEMANGLED, "plain"]


@compiled
def test_without_cppfilt_names_stay_as_they_are(
    stackee: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with running(stackee(*KINDS["static-pie"])) as (pid, _, method):
        assert Symbolizer().user(pid, [method])[0].symbol == MANGLED


@compiled
def test_the_functions_of_a_file_are_listed_with_all_their_names(stackee: Compile) -> None:
    assert {"plain", MANGLED, "_start"} <= set(function_names(str(stackee(*KINDS["static-pie"]))))
    with open("/proc/self/maps") as maps:
        libc = next(line.split()[-1] for line in maps if "/libc.so" in line or "/libc-" in line)
    assert {"getpid", "__getpid"} <= set(function_names(libc))  # two names of one place


@pytest.mark.parametrize("path", ["/nonexistent", "/dev/zero", "/proc/self/maps", "/tmp"])
def test_what_is_no_program_has_no_functions(path: str) -> None:
    assert function_names(path) == []


@compiled
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_a_value_error_or_gives_names(
    stackee: Compile, data: st.DataObject
) -> None:
    whole = stackee(*KINDS["pie"]).read_bytes()
    at = data.draw(st.integers(0, min(len(whole) - 1, 4096)))
    cut = data.draw(st.sampled_from([len(whole), len(whole) // 2, at]))
    damaged = bytearray(whole)
    damaged[at] ^= data.draw(st.integers(1, 255))
    try:
        ElfSymbols(io.BytesIO(bytes(damaged[:cut])))
    except ValueError:
        pass
