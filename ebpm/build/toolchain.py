"""Which compiler, and how it is called. The only module here that starts processes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ebpm.errors import BuildFailed, CompilerMissing, OutputFailed
from ebpm.files import write_whole

OLDEST_CLANG = 15
_TRIPLETS = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "powerpc64le"}
_ZIG_UAPI = {"amd64": "x86", "arm64": "aarch64", "riscv64": "riscv", "ppc64le": "powerpc"} | {
    "s390x": "s390x",
    "loong64": "loongarch",
}
_SAID = "compiler.json"
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


def find_compiler(clang: str | None = None, kept: Path | None = None) -> Compiler:
    """Choose a compiler: the given one, else ziglang's, else the newest clang on PATH.

    Args:
        clang: a name on PATH or a path.
        kept: a folder that only the running user can write, for what ziglang's said of itself.

    Raises:
        CompilerMissing: none of them is there, or the given one cannot compile for bpf.
    """
    if clang:
        found = _probe(clang)
        if found is None:
            raise CompilerMissing(f"{clang} is not a clang with the bpf target")
        return found[1]
    if zig := _ziglang(kept):
        return zig
    candidates = [found for name in _clangs_on_path() if (found := _probe(name))]
    usable = [found for found in candidates if found[0] >= OLDEST_CLANG]
    if usable:
        return max(usable, key=lambda found: found[0])[1]
    if candidates:
        best = max(candidates, key=lambda found: found[0])[1]
        raise CompilerMissing(f"{best.command[0]} ({best.version}) is older than {OLDEST_CLANG}")
    raise CompilerMissing("no compiler with the bpf target was found")


def _ziglang(kept: Path | None) -> Compiler | None:
    """Find ziglang's clang. `zig clang` is the whole clang driver; `zig cc` changes its flags."""
    try:
        import ziglang
    except ImportError:
        return None
    root = Path(ziglang.__file__).parent
    zig = root / "zig"
    try:
        status = zig.stat()
    except OSError:
        return None
    identity = f"{zig} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
    version = _said_before(kept, identity)
    if version is None:
        version = _ask_ziglang(zig)
        if version is None:
            return None
        if kept:
            _keep(kept, identity, version)
    return Compiler(
        command=(str(zig), "clang"), version=version, resources=root / "lib", identity=identity
    )


def _ask_ziglang(zig: Path) -> str | None:
    found = _probe(str(zig), "clang")
    if found is None:
        return None
    from importlib.metadata import version

    return f"ziglang {version('ziglang')} ({found[1].version})"


def _said_before(kept: Path | None, identity: str) -> str | None:
    """Give the version that this compiler told a build before."""
    try:
        known = json.loads((kept / _SAID).read_bytes()) if kept else None
    except (OSError, ValueError):
        return None
    if not isinstance(known, dict) or known.get("identity") != identity:
        return None
    return known.get("version")


def _keep(kept: Path, identity: str, version: str) -> None:
    text = json.dumps({"identity": identity, "version": version})
    with suppress(OSError, OutputFailed):
        write_whole(kept / _SAID, text.encode())


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
