"""Which compiler, and how it is called. The only module here that starts processes."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ebpm.errors import BuildFailed, CompilerMissing

OLDEST_CLANG = 15
_TRIPLETS = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "powerpc64le"}
_ZIG_UAPI = {"amd64": "x86", "arm64": "aarch64", "riscv64": "riscv", "ppc64le": "powerpc"} | {
    "s390x": "s390x",
    "loong64": "loongarch",
}
_VERSION = re.compile(r"\bversion (\d+)(?:\.\d+)*\S*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """A clang with the bpf target."""

    command: tuple[str, ...]
    version: str  # what the package records: "ziglang 0.17.0 (clang version 22.1.8)"
    resources: Path | None = None  # ziglang's lib folder: its headers instead of the system's
    identity: str | None = None  # what no other compiler has; None: it may change unnoticed

    def system_headers(self, architecture: str) -> list[str]:
        """Give the flags for the C and kernel headers of an architecture (OCI name)."""
        if self.resources is None:
            triplet = _TRIPLETS.get(architecture, architecture)
            return ["-idirafter", f"/usr/include/{triplet}-linux-gnu"]
        uapi = self.resources / "libc" / "include"
        folders = [uapi / f"{_ZIG_UAPI.get(architecture, 'x86')}-linux-any", uapi / "any-linux-any"]
        flags = ["-nostdlibinc", "-isystem", str(self.resources / "include")]
        return flags + [flag for folder in folders for flag in ("-idirafter", str(folder))]

    def run(self, arguments: list[str], *, folder: Path | None = None) -> CompilerRun:
        """Compile; the compiler's own failure is a value, not an exception."""
        command = [*self.command, "-target", "bpf", *arguments]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            raise BuildFailed(f"cannot run {self.command[0]}: {error.strerror}") from None
        return CompilerRun(
            ok=done.returncode == 0,
            output=done.stdout,
            diagnostics=done.stderr.decode("utf-8", "replace"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilerRun:
    """What came of one call: its output, and its diagnostics as the compiler wrote them."""

    ok: bool
    output: bytes
    diagnostics: str


def find_compiler(clang: str | None = None) -> Compiler:
    """Choose a compiler: the given one, else ziglang's, else the newest clang on PATH.

    Raises:
        CompilerMissing: none of them is there, or the given one cannot compile for bpf.
    """
    if clang:
        found = _probe(clang)
        if found is None:
            raise CompilerMissing(f"{clang} is not a clang with the bpf target")
        return found[1]
    if zig := _ziglang():
        return zig
    candidates = [found for name in _clangs_on_path() if (found := _probe(name))]
    usable = [found for found in candidates if found[0] >= OLDEST_CLANG]
    if usable:
        return max(usable, key=lambda found: found[0])[1]
    if candidates:
        best = max(candidates, key=lambda found: found[0])[1]
        raise CompilerMissing(f"{best.command[0]} ({best.version}) is older than {OLDEST_CLANG}")
    raise CompilerMissing("no compiler with the bpf target was found")


def _ziglang() -> Compiler | None:
    """Find ziglang's clang. `zig clang` is the whole clang driver; `zig cc` changes its flags."""
    try:
        import ziglang
    except ImportError:
        return None
    root = Path(ziglang.__file__).parent
    zig = root / "zig"
    found = _probe(str(zig), "clang")
    if found is None:
        return None
    from importlib.metadata import version

    status = zig.stat()
    return Compiler(
        command=found[1].command,
        version=f"ziglang {version('ziglang')} ({found[1].version})",
        resources=root / "lib",
        identity=f"{zig} {status.st_size} {status.st_mtime_ns}",
    )


def _clangs_on_path() -> list[str]:
    numbered = [f"clang-{number}" for number in range(40, 10, -1)]
    return [name for name in ["clang", *numbered] if shutil.which(name)]


def _probe(name: str, *driver: str) -> tuple[int, Compiler] | None:
    """Ask a clang for its version and whether it has the bpf target."""
    found = shutil.which(name)
    if found is None:
        return None
    path = str(Path(found).absolute())  # it is run in other folders
    version = _ask(path, *driver, "--version")
    match = _VERSION.search(version)
    targets = _ask(path, *driver, "--print-targets")
    if not match or not re.search(r"^\s+bpf\b", targets, re.MULTILINE):
        return None
    compiler = Compiler(command=(path, *driver), version=f"clang {match[0]}")
    return int(match[1]), compiler


def _ask(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, check=False, text=True, timeout=30
        ).stdout
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
