"""Machines in QEMU, without KVM: Debian's kernels, and an initramfs with Debian's Python.

Packages are fetched and unpacked below the scripts' cache, the first time; nothing is installed.
A machine runs from memory: no disk, no network, and the few modules that the tests of hooks need.
One initramfs serves every kernel of an architecture.
"""

from __future__ import annotations

import fcntl
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from debian import KEYRING, Suite, mirror

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("EBPM_SCRIPT_CACHE") or ROOT / ".cache").resolve() / "kernels"

KERNELS: dict[str, tuple[tuple[str, ...], str]] = {  # suites; the names of packages with an image
    "5.10": (("bullseye", "bullseye-security"), r"linux-image-5\.10\."),
    "6.1": (("bookworm", "bookworm-security"), r"linux-image-6\.1\."),
    "6.12": (("trixie", "trixie-security"), r"linux-image-6\.12\."),
    "newest": (("sid",), "linux-binary-"),
}
PROCESSORS = os.cpu_count() or 1
OLDEST, NEWEST = next(iter(KERNELS)), "newest"
MODULES = ("veth", "sch_ingress", "cls_bpf", "loop")
USERLAND = ("trixie", "trixie-security")
PYTHON = "python3.13"
PACKAGES = (
    "bash",
    "busybox-static",
    "libc6",
    "libexpat1",
    "libffi8",
    f"lib{PYTHON}-minimal",
    f"lib{PYTHON}-stdlib",
    "libtinfo6",
    "musl",
    f"{PYTHON}-minimal",
    "zlib1g",
)
PEERS = ("libbpf-tools", "libelf1t64", "libzstd1")
_LEFT_OUT = ("usr/share", "etc", "boot", "usr/lib/systemd")
_LEFT_OUT_FOLDERS = {"test", "idlelib", "tkinter", "lib2to3", "ensurepip", "pydoc_data"}
MACHINES = {  # by Debian's name: qemu's program and arguments, the console
    "amd64": ("qemu-system-x86_64", ["-M", "pc", "-cpu", "max"], "ttyS0"),
    "arm64": ("qemu-system-aarch64", ["-M", "virt", "-cpu", "cortex-a72"], "ttyAMA0"),
}
INIT = f"""\
#!/bin/busybox sh
export PATH=/usr/bin:/bin HOME=/root PYTHONDONTWRITEBYTECODE=1
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mkdir /dev/pts
/bin/busybox mount -t devpts none /dev/pts
/bin/busybox mount -t tracefs none /sys/kernel/tracing
/bin/busybox mount -t securityfs none /sys/kernel/security
/bin/busybox mount -t bpf none /sys/fs/bpf
/bin/busybox mount -t cgroup2 none /sys/fs/cgroup
/bin/busybox mount -t tmpfs none /tmp
for module in {" ".join(MODULES)}; do
    /bin/busybox insmod /modules/$(/bin/busybox uname -r)/$module.ko
done
echo "--- begin"
cd /guest
{{ %s
}}
echo "--- end $?"
/bin/busybox poweroff -f
"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of KERNELS, unpacked."""

    name: str
    architecture: str
    package: str
    version: str  # of the package
    image: Path
    modules: Path  # a folder RELEASE with modules, uncompressed
    config: Path  # the options that it was built with

    @property
    def release(self) -> str:
        """What ``uname -r`` says there."""
        return self.modules.name


def host_architecture() -> str:
    """This machine's architecture, as Debian calls it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def missing(architecture: str) -> str | None:
    """Tell what this machine lacks to emulate an architecture; None if it can."""
    program = MACHINES[architecture][0]
    if not shutil.which(program):
        package = "qemu-system-x86" if architecture == "amd64" else "qemu-system-arm"
        return f"{program} is not on PATH: apt install {package}"
    for command in ("apt-get", "dpkg-deb"):
        if not shutil.which(command):
            return f"{command} is not on PATH: Debian's kernels come from its packages"
    if not (CACHE / architecture / "complete").exists():
        try:
            mirror()
        except SystemExit as error:
            return str(error)
        if not Path(KEYRING).exists():
            return f"there is no {KEYRING}: apt install debian-archive-keyring"
    return None


def fetch(name: str, architecture: str, *, update: bool = False) -> Kernel:
    """Unpack the newest package of a kernel, if that has not been done.

    Args:
        name: of KERNELS.
        architecture: of MACHINES.
        update: ask the mirror whether there is a newer one.
    """
    folder = CACHE / architecture / name
    with _locked(folder):
        if update or _kept(folder)[2:] != [*MODULES]:
            suites, begins = KERNELS[name]
            suite = Suite(folder / "apt", *suites, architecture=architecture, kinds=("deb",))
            for package in suite.matching(rf"^{begins}[0-9.+deb-]*-cloud-{architecture}$"):
                if _unpack_kernel(suite, package, folder):
                    break
            else:
                raise SystemExit(f"the mirror has no kernel {name} for {architecture}")
        package, version, *_ = _kept(folder)
    (modules,) = (folder / "modules").iterdir()
    return Kernel(
        name, architecture, package, version, folder / "vmlinuz", modules, folder / "config"
    )


def _kept(folder: Path) -> list[str]:
    """Tell what was unpacked: a package, its version, and the modules; nothing if nothing was."""
    path = folder / "package"
    return path.read_text().split() if path.exists() else []


def _unpack_kernel(suite: Suite, package: str, folder: Path) -> bool:
    """Unpack a kernel's image and the modules wanted; False if the mirror lists it but lacks it."""
    version = suite.version(package)
    if _kept(folder) == [package, version, *MODULES]:
        return True
    files = folder / "files"
    shutil.rmtree(files, ignore_errors=True)
    shutil.rmtree(folder / "modules", ignore_errors=True)
    try:
        suite.unpack(package, files)
        if "binary" in package:  # unstable has modules and configuration in packages of their own
            for part in ("modules", "base"):
                suite.unpack(package.replace("binary", part), files)
    except subprocess.CalledProcessError:
        return False
    next(files.rglob("vmlinuz*")).replace(folder / "vmlinuz")
    configs = [*files.rglob("boot/config-*"), *files.glob("usr/lib/modules/*/config")]
    (folder / "config").write_bytes(configs[0].read_bytes())
    (release,) = {path.parts[path.parts.index("modules") + 1] for path in files.rglob("*.ko*")}
    (folder / "modules" / release).mkdir(parents=True)
    for path in files.rglob("*.ko*"):
        name = path.name.partition(".")[0]
        if name in MODULES:
            data = path.read_bytes()
            data = lzma.decompress(data) if path.suffix == ".xz" else data
            (folder / "modules" / release / f"{name}.ko").write_bytes(data)
    shutil.rmtree(files)
    (folder / "package").write_text(" ".join((package, version, *MODULES)))
    return True


def userland(architecture: str) -> Path:
    """Unpack what a guest has of Debian, if that has not been done; give the root folder."""
    folder = CACHE / architecture
    root = folder / "root"
    with _locked(folder):
        complete, packages = folder / "complete", " ".join(PACKAGES)
        if not complete.exists() or complete.read_text() != packages:
            shutil.rmtree(root, ignore_errors=True)
            apt = folder / "apt"
            suite = Suite(apt, *USERLAND, architecture=architecture, kinds=("deb",))
            for package in PACKAGES:
                suite.unpack(package, root)
            compile_python(root, root / "usr/lib" / PYTHON)
            complete.write_text(packages)
    return root


def peers(architecture: str) -> Path:
    """Unpack Debian's libbpf-tools, if that has not been done; give a folder with its programs.

    They are those of Debian 13, called NAME-libbpf, with the libraries that they need beside them.
    """
    folder = CACHE / architecture / "peers"
    with _locked(folder.parent):  # as userland(), for they share the package lists
        if not (folder / "complete").exists():
            suite = Suite(
                folder.parent / "apt", *USERLAND, architecture=architecture, kinds=("deb",)
            )
            for package in PEERS:
                suite.unpack(package, folder / "files")
            for path in (folder / "files").rglob("*"):
                if path.name.endswith("-libbpf") or ".so." in path.name:
                    shutil.copy(path, folder)
            shutil.rmtree(folder / "files")
            (folder / "complete").write_text(suite.version(PEERS[0]))
    return folder


def compile_python(root: Path, folder: Path) -> None:
    """Have the unpacked Python compile modules, if this machine can run it: that saves seconds.

    Args:
        root: from :func:`userland`.
        folder: with modules; paths in them will be as if it were the guest's /.
    """
    loader = next(iter(root.glob("usr/lib*/ld-linux-*.so.*")), None)
    library = next(iter(root.glob("usr/lib/*-linux-gnu")), None)
    if loader is None or library is None:
        return
    command: list[str | Path] = [loader, "--library-path", library, root / "usr/bin" / PYTHON]
    command += ["-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-x", "|".join(f"/{name}/" for name in sorted(_LEFT_OUT_FOLDERS))]
    environment = {"PYTHONHOME": str(root / "usr"), "PATH": os.environ.get("PATH", "")}
    try:
        subprocess.run(
            [*command, "-s", folder, folder],
            env=environment,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        pass  # of another architecture


class _locked:  # noqa: N801  # used like a function
    """Keep other processes out of a folder of the cache."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "lock"

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *error: object) -> None:
        self._file.close()


def copy_ebpm(folder: Path, architecture: str) -> None:
    """Copy ebpm's run path, and libbpf for the architecture, which is made if it has not been."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[architecture]
    target = f"{machine}-linux-gnu"
    subprocess.run([sys.executable, ROOT / "scripts/native", "--target", target], check=True)
    for path in (ROOT / "ebpm").rglob("*.py"):
        name = path.relative_to(ROOT)
        if name.parts[1] not in ("build", "testing"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    native = folder / "ebpm/runtime/libbpf/native"
    native.mkdir()
    shutil.copyfile(CACHE.parent / "native" / target / "native/libbpf.so", native / "libbpf.so")


def boot(kernel: Kernel, image: Path, *, seconds: float, options: str = "", cpus: int = 1) -> str:
    """Boot a kernel with an initramfs; give what its commands printed.

    Raises:
        AssertionError: they failed, or the machine did not power off in time.
    """
    program, arguments, console = MACHINES[kernel.architecture]
    command = [program, *arguments, "-accel", "tcg", "-m", "768", "-smp", str(cpus)]
    command += ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    command += ["-kernel", str(kernel.image), "-initrd", str(image)]
    command += ["-append", f"console={console} quiet panic=-1 rdinit=/init {options}"]
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
        printed, status = done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        printed = (error.stdout or b"").decode("utf-8", "replace")
        status = f"not ended after {seconds:g} s"
    text = printed.replace("\r\n", "\n")
    output, ended, tail = text.partition("--- begin\n")[2].partition("--- end ")
    if not ended or not tail.startswith("0\n"):
        raise AssertionError(f"{kernel.release} on {kernel.architecture}: {text}{status}")
    return output


# --- the initramfs: cpio's "newc" format (Documentation/driver-api/early-userspace) --------------


def initramfs(
    image: Path, root: Path, folder: Path, commands: str, kernels: Iterable[Kernel]
) -> None:
    """Write an initramfs that runs shell commands in a copy of a folder and powers off."""
    with image.open("wb") as file:
        for entry in _entries(root, folder, INIT % commands, kernels):
            file.write(entry)


def _entries(root: Path, folder: Path, init: str, kernels: Iterable[Kernel]) -> Iterator[bytes]:
    for name in ("proc", "sys", "dev", "tmp", "root", "usr", "guest", "modules", "boot"):
        yield _entry(name, stat.S_IFDIR | 0o755, b"")
    for name, target in (("bin", "bin"), ("lib", "lib"), ("sbin", "bin"), ("lib64", "lib64")):
        yield _entry(name, stat.S_IFLNK | 0o777, f"usr/{target}".encode())
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name != "usr" and not name.startswith(_LEFT_OUT) and _wanted(path.relative_to(root)):
            yield _file(name, path)
    for path in sorted(folder.rglob("*")):
        yield _file(f"guest/{path.relative_to(folder)}", path)
    for kernel in kernels:
        yield _file(f"boot/config-{kernel.release}", kernel.config)
        yield _entry(f"modules/{kernel.release}", stat.S_IFDIR | 0o755, b"")
        for path in sorted(kernel.modules.iterdir()):
            yield _file(f"modules/{kernel.release}/{path.name}", path)
    yield _entry("init", stat.S_IFREG | 0o755, init.encode())
    yield _entry("TRAILER!!!", 0, b"")


def _wanted(path: Path) -> bool:
    return not (_LEFT_OUT_FOLDERS.intersection(path.parts) or re.search(r"/gconv/|\.a$", str(path)))


def _file(name: str, path: Path) -> bytes:
    if path.is_symlink():
        return _entry(name, stat.S_IFLNK | 0o777, os.fsencode(path.readlink()))
    if path.is_dir():
        return _entry(name, stat.S_IFDIR | 0o755, b"")
    return _entry(name, stat.S_IFREG | (path.stat().st_mode & 0o777), path.read_bytes())


_NUMBER = iter(range(1, 1 << 30))


def _entry(name: str, mode: int, data: bytes) -> bytes:
    fields = [next(_NUMBER), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
