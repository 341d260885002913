"""What a test may need of this machine, and how to tell whether it is there."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def must_have() -> set[str]:
    """The parts that this machine must have, by EBPM_MUST_HAVE."""
    return set(os.environ.get("EBPM_MUST_HAVE", "").replace(",", " ").split())


def missing(part: str) -> str | None:
    """Tell why a part is not to be had; None if it is there."""
    return _missing(part)


@functools.cache
def _missing(part: str) -> str | None:
    return PARTS[part]()


def _program(name: str, package: str) -> Callable[[], str | None]:
    def check() -> str | None:
        return None if shutil.which(name) else f"{name} is not on PATH: apt install {package}"

    return check


def _peer(name: str) -> Callable[[], str | None]:
    def check() -> str | None:
        remedy = f"scripts/unpack .cache/debs --from sid {name}"
        return None if shutil.which(name) else f"{name} is not on PATH: {remedy}"

    return check


def _root() -> str | None:
    return None if os.geteuid() == 0 else "this is not root"


def _libbpf() -> str | None:
    from ebpm.errors import LibbpfMissing
    from ebpm.runtime.libbpf.binding import Libbpf

    try:
        Libbpf()
    except LibbpfMissing as error:
        return error.message
    return None


def _native() -> str | None:
    from ebpm.runtime.libbpf.binding import BUNDLED

    return None if Path(BUNDLED).exists() else "the native bundle is not made: scripts/native"


def _rows() -> str | None:
    from ebpm.output.busy import available

    return None if available() else "rows.so is not made, or another version's: scripts/native"


def musl() -> Path | None:
    """Find musl's loader: the system's, or the one that scripts/test unpacks."""
    root = Path(__file__).parent.parent
    debs = Path(os.environ.get("EBPM_SCRIPT_CACHE") or root / ".cache") / "debs"
    name = f"lib/ld-musl-{os.uname().machine}.so.1"
    return next((place / name for place in (Path("/"), debs) if (place / name).exists()), None)


def _musl() -> str | None:
    return None if musl() else "there is no musl: scripts/unpack .cache/debs musl"


def _bpf() -> str | None:
    """Load and attach the smallest program that reports something."""
    if reason := _root() or _libbpf() or _tracefs():
        return reason
    from ebpm.runtime.libbpf.syscalls import open_bpf_output

    try:
        os.close(open_bpf_output(0, 1))
    except OSError as error:
        return f"the kernel gives no perf events: {error.strerror}"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "the kernel has no BTF"
    return None


def _tracefs() -> str | None:
    if not Path("/sys/kernel/tracing/events").exists() and os.geteuid() == 0:
        subprocess.run(
            ["mount", "-t", "tracefs", "none", "/sys/kernel/tracing"], capture_output=True
        )
    present = Path("/sys/kernel/tracing/events").exists()
    return None if present else "tracefs is not mounted"


def _zig() -> str | None:
    try:
        import ziglang  # noqa: F401
    except ImportError:
        return "ziglang is not installed: pip install 'ebpm[build]'"
    return None


def _netns() -> str | None:
    if reason := _root() or _program("ip", "iproute2")():
        return reason
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"no network namespaces: {done.stderr.strip()}"


def _git() -> str | None:
    if reason := _program("git", "git")():
        return reason
    if not (Path(__file__).parent.parent / ".git").exists():
        return "this is a copy of the tree and no clone"
    return None


def _qemu() -> str | None:
    sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
    import emulator

    return emulator.missing("amd64")


def axe() -> Path | None:
    """Find axe-core, which scripts/test takes from the npm registry."""
    root = Path(__file__).parent.parent
    cache = Path(os.environ.get("EBPM_SCRIPT_CACHE") or root / ".cache")
    path = cache / "npm" / "node_modules" / "axe-core" / "axe.min.js"
    return path if path.exists() else None


def _axe() -> str | None:
    return None if axe() else "axe-core is not there: npm install --prefix .cache/npm axe-core"


def _chromium() -> str | None:
    if not Path("/usr/bin/chromium").exists():
        return "there is no /usr/bin/chromium: apt install chromium"
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed: pip install playwright"
    return None


def _memory_cgroup() -> str | None:
    if reason := _root():
        return reason
    present = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists()
    return None if present else "cgroup v1's memory controller is not mounted"


def _cgroup2() -> str | None:
    if reason := _root():
        return reason
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return None if any(" cgroup2 " in line for line in mounts) else "cgroup2 is not mounted"


PARTS: dict[str, Callable[[], str | None]] = {
    "root": _root,
    "bpf": _bpf,
    "compiler": _zig,
    "libbpf": _libbpf,
    "native": _native,
    "rows": _rows,
    "musl": _musl,
    "qemu": _qemu,
    "qemu-arm64": _program("qemu-system-aarch64", "qemu-system-arm"),
    "netns": _netns,
    "docker-registry": _program("docker-registry", "docker-registry"),
    "git": _git,
    "cgroup2": _cgroup2,
    "memory-cgroup": _memory_cgroup,
    "skopeo": _program("skopeo", "skopeo"),
    "axe": _axe,
    "chromium": _chromium,
    "zizmor": _program("zizmor", "pip: zizmor"),
    "check-jsonschema": _program("check-jsonschema", "pip: check-jsonschema"),
    "openssl": _program("openssl", "openssl"),
    "oras": _peer("oras"),
    "crane": _peer("crane"),
    "cosign": _peer("cosign"),
    "bpftool": _program("bpftool", "bpftool"),
    "libbpf-tools": _program("/usr/sbin/sigsnoop", "libbpf-tools"),
    "c++filt": _program("c++filt", "binutils"),
}


@contextmanager
def docker_registry(folder: Path, *, htpasswd: str | None = None, auth: str = "") -> Iterator[str]:
    """Run Debian's docker-registry.

    Args:
        folder: of its own, to be made.
        htpasswd: the content of its password file.
        auth: a line of its configuration instead.
    """
    folder.mkdir(parents=True)
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        auth = f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    config = folder / "config.yml"

    def configure(port: int) -> list[str]:
        config.write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n{auth}"
        )
        return ["docker-registry", "serve", str(config)]

    with program_registry(configure, folder / "log") as host:
        yield host


@contextmanager
def program_registry(command: Callable[[int], list[str]], log: Path) -> Iterator[str]:
    """Run a registry on a free port; give its host[:port].

    Args:
        command: makes the command line for a port.
        log: where its words go.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("wb") as file:
        process = subprocess.Popen(command(port), stdout=file, stderr=file)
    try:
        _wait_for(f"http://127.0.0.1:{port}/v2/", process)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "the registry ended at once"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            return  # it answers, if only to ask for a password
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")
