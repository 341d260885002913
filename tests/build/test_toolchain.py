"""Which compiler is taken, and how it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ebpm.build import toolchain
from ebpm.build.toolchain import Compiler, find_compiler
from ebpm.errors import BuildFailed, CompilerMissing
from tests import sources

TARGETS = "  Registered Targets:\n    bpf    - BPF (host endian)\n    x86-64 - 64-bit X86"


@pytest.fixture
def clang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put clangs on an otherwise empty PATH, without ziglang: name, version, targets."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ziglang", None)

    def make(name: str, version: str, targets: str = TARGETS) -> Path:
        path = tmp_path / name
        path.write_text(
            "#!/bin/sh\n"
            f"case $1 in --version) echo '{version}';; --print-targets) echo '{targets}';; esac\n"
        )
        path.chmod(0o755)
        return path

    return make


@pytest.mark.needs("compiler")
def test_ziglangs_clang_comes_first_and_says_both_versions() -> None:
    found = find_compiler()
    assert found.command[0].endswith("/zig")
    assert found.command[1] == "clang"
    assert found.version.startswith("ziglang 0.")
    assert "(clang version " in found.version
    assert found.resources is not None
    assert (found.resources / "include" / "stddef.h").exists()


@pytest.mark.needs("compiler")
def test_ziglangs_clang_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = find_compiler(None, tmp_path)
    said = tmp_path / "compiler.json"
    text = said.read_bytes()
    monkeypatch.setattr(toolchain, "_ask", lambda *_: "")
    assert find_compiler(None, tmp_path) == asked
    for other in (text.replace(b" ", b"  ", 3), b"", b"[]", b"{}"):
        said.write_bytes(other)
        with pytest.raises(CompilerMissing):  # another one is asked itself
            _without_clangs(monkeypatch, tmp_path)
    said.unlink()
    with pytest.raises(CompilerMissing):
        _without_clangs(monkeypatch, Path("/nowhere"))


def _without_clangs(monkeypatch: pytest.MonkeyPatch, kept: Path) -> Compiler:
    monkeypatch.setenv("PATH", "/nowhere")
    return find_compiler(None, kept)


def test_the_newest_clang_on_path_is_taken(clang: Callable[..., Path]) -> None:
    clang("clang", "Debian clang version 16.0.6 (15~deb12u1)")
    newest = clang("clang-19", "Debian clang version 19.1.7")
    clang("clang-21", "clang version 21.0.0", targets="  x86-64 - 64-bit X86")
    found = find_compiler()
    assert found == Compiler(command=(str(newest),), version="clang version 19.1.7")


def test_the_given_compiler_is_taken_whatever_its_age(clang: Callable[..., Path]) -> None:
    clang("clang-19", "clang version 19.1.7")
    old = clang("old", "clang version 13.0.1")
    assert find_compiler(str(old)).command == (str(old),)
    assert find_compiler("old").version == "clang version 13.0.1"


@pytest.mark.parametrize(
    ("version", "targets"), [("gcc (Debian) 12.2.0", TARGETS), ("clang version 19.0.0", "  arm")]
)
def test_a_given_compiler_that_is_none_is_refused(
    clang: Callable[..., Path], version: str, targets: str
) -> None:
    path = clang("mine", version, targets)
    with pytest.raises(CompilerMissing, match="mine is not a clang with the bpf target") as caught:
        find_compiler(str(path))
    assert "pip install 'ebpm[build]'" in caught.value.hint


def test_a_given_compiler_that_is_not_there_is_refused(clang: Callable[..., Path]) -> None:
    with pytest.raises(CompilerMissing, match="/nowhere/clang is not a clang"):
        find_compiler("/nowhere/clang")


def test_only_old_clangs_are_refused_by_their_age(clang: Callable[..., Path]) -> None:
    clang("clang-13", "clang version 13.0.1")
    clang("clang-14", "Debian clang version 14.0.6")
    with pytest.raises(
        CompilerMissing, match=r"clang-14 \(clang version 14\.0\.6\) is older than 15"
    ):
        find_compiler()


def test_no_compiler_at_all_names_the_two_ways_to_get_one(clang: Callable[..., Path]) -> None:
    with pytest.raises(CompilerMissing, match="no compiler with the bpf target") as caught:
        find_compiler()
    assert "pip install 'ebpm[build]'" in caught.value.hint
    assert "apt install clang" in caught.value.hint


def test_a_broken_ziglang_is_passed_over(
    clang: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = SimpleNamespace(__file__=str(tmp_path / "ziglang" / "__init__.py"))
    monkeypatch.setitem(sys.modules, "ziglang", broken)
    usable = clang("clang", "clang version 18.1.0")
    assert find_compiler().command == (str(usable),)


def test_a_clang_that_hangs_or_prints_rubbish_is_none(
    clang: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clang("clang", "")
    path.write_text("#!/bin/sh\nprintf '\\377\\376'\n")
    with pytest.raises(CompilerMissing):
        find_compiler()
    path.write_text("not a program")
    with pytest.raises(CompilerMissing):
        find_compiler()


def test_a_compiler_that_cannot_be_started_fails_the_build() -> None:
    gone = Compiler(command=("/nowhere/clang",), version="")
    with pytest.raises(BuildFailed, match="cannot run /nowhere/clang: No such file"):
        gone.run([])


def test_a_systems_clang_takes_the_headers_of_the_architecture() -> None:
    system = Compiler(command=("clang",), version="")
    assert system.system_headers("arm64") == ["-idirafter", "/usr/include/aarch64-linux-gnu"]
    assert system.system_headers("amd64") == ["-idirafter", "/usr/include/x86_64-linux-gnu"]


@pytest.mark.needs("compiler")
@pytest.mark.parametrize(
    "architecture", ["amd64", "arm64", "riscv64", "s390x", "ppc64le", "loong64"]
)
def test_ziglang_has_the_headers_of_every_architecture(architecture: str) -> None:
    flags = sources.compiler().system_headers(architecture)
    folders = [Path(flag) for flag in flags if not flag.startswith("-")]
    assert all(folder.is_dir() for folder in folders)
    assert "-nostdlibinc" in flags
    assert any((folder / "asm").is_dir() for folder in folders)
