"""An arm64 machine in QEMU: Debian's kernel, and its Python or musl in an initramfs.

Packages are unpacked below the scripts' cache, the first time; nothing is installed. Everything
runs from memory: no disk, no modules, no network.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = Path(os.environ.get("EBPM_SCRIPT_CACHE") or ROOT / ".cache").resolve() / "arm64"
SUITES = ("trixie", "trixie-security")
KERNEL = r"^linux-image-6\.12\.[0-9.+deb-]*-cloud-arm64$"
PACKAGES = [
    "busybox-static",
    "libc6",
    "libexpat1",
    "libffi8",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "musl",
    "python3.13-minimal",
    "zlib1g",
]
LEFT_OUT = ("usr/share", "usr/lib/modules", "usr/lib/linux-image", "etc", "boot")
INIT = """\
#!/bin/busybox sh
export PATH=/usr/bin:/bin HOME=/root PYTHONDONTWRITEBYTECODE=1
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t tracefs none /sys/kernel/tracing
/bin/busybox mount -t tmpfs none /tmp
echo "--- begin"
cd /work
{ %s
}
echo "--- end $?"
/bin/busybox poweroff -f
"""


def fetch() -> tuple[Path, Path]:
    """Unpack the packages, if that has not been done; give the kernel and the root folder."""
    root = CACHE / "root"
    if not (CACHE / "complete").exists():
        sys.path.insert(0, str(ROOT / "scripts"))
        from debian import Suite

        shutil.rmtree(root, ignore_errors=True)
        suite = Suite(CACHE / "apt", *SUITES, architecture="arm64", kinds=("deb",))
        for package in [suite.newest(KERNEL), *PACKAGES]:
            suite.unpack(package, root)
        (CACHE / "complete").touch()
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    return kernel, root


def run(commands: str, folder: Path, *, seconds: int) -> str:
    """Boot, run shell commands in a copy of a folder, power off; give what they printed.

    Raises:
        AssertionError: they failed, or did not end in time.
    """
    kernel, root = fetch()
    image = folder.with_suffix(".cpio")
    with image.open("wb") as file:
        for entry in _initramfs(root, folder, INIT % commands):
            file.write(entry)
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-accel", "tcg"]
    command += ["-m", "768", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    command += ["-kernel", str(kernel), "-initrd", str(image)]
    command += ["-append", "console=ttyAMA0 quiet panic=-1 rdinit=/init"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
    )
    printed = done.stdout.replace("\r\n", "\n").partition("--- begin\n")[2]
    output, _, status = printed.partition("--- end ")
    assert status.startswith("0\n"), done.stdout + done.stderr
    return output


# --- the initramfs: cpio's "newc" format (Documentation/driver-api/early-userspace) --------------


def _initramfs(root: Path, folder: Path, init: str) -> Iterator[bytes]:
    for name in ("proc", "sys", "dev", "tmp", "root", "usr", "work"):
        yield _entry(name, stat.S_IFDIR | 0o755, b"")
    for name in ("bin", "lib", "sbin"):
        yield _entry(
            name, stat.S_IFLNK | 0o777, f"usr/{'bin' if name == 'sbin' else name}".encode()
        )
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name != "usr" and not name.startswith(LEFT_OUT) and "/test/" not in name:
            yield _file(name, path)
    for path in sorted(folder.rglob("*")):
        yield _file(f"work/{path.relative_to(folder)}", path)
    yield _entry("init", stat.S_IFREG | 0o755, init.encode())
    yield _entry("TRAILER!!!", 0, b"")


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
