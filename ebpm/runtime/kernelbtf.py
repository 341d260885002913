"""Which types a tool is relocated against, where the running kernel tells none of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ebpm.btf.core import relocations
from ebpm.errors import BtfMissing
from ebpm.package.kernelbtf import find_btf, kernel_paths
from ebpm.package.model import KernelBtf

OS_RELEASE = "/etc/os-release"
_IMAGES = (  # where libbpf looks for a kernel's image with types, beside sysfs
    "/boot/vmlinux-{0}",
    "/lib/modules/{0}/vmlinux-{0}",
    "/lib/modules/{0}/build/vmlinux",
    "/usr/lib/modules/{0}/kernel/vmlinux",
    "/usr/lib/debug/boot/vmlinux-{0}",
    "/usr/lib/debug/boot/vmlinux-{0}.debug",
    "/usr/lib/debug/lib/modules/{0}/vmlinux",
)
_ARCHIVE = "btfhub-archive"


def running_kernel(os_release: str = OS_RELEASE) -> list[str]:
    """Name the running kernel as packages do: ``ID/VERSION_ID/MACHINE/RELEASE``."""
    try:
        text = Path(os_release).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    name = os.uname()
    return kernel_paths(text, name.machine, name.release)


def given_types(path: str, names: Sequence[str]) -> str:
    """Check a file of types that the user named, or find it in a folder laid out as BTFhub's.

    Args:
        path: of BTF, of an ELF file with a .BTF section, or of a folder.
        names: from :func:`running_kernel`.

    Raises:
        BtfMissing: it cannot be read, or the folder has none for this kernel.
    """
    if os.path.isdir(path):
        places = [f"{path}/{part}{name}.btf" for part in ("", f"{_ARCHIVE}/") for name in names]
        found = next((place for place in places if os.path.isfile(place)), None)
        if found is None:
            raise BtfMissing(
                f"{path} is a folder without types of this kernel",
                hint=f"name a file, or a folder with {names[0]}.btf",
            )
        return found
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise BtfMissing(
            f"the types of the kernel, {path}, cannot be read: {error.strerror}",
            hint="name a file of BTF with --btf or BTF_FILE_PATH, or neither of them",
        ) from None


def other_types(
    btfs: Sequence[KernelBtf], data: bytes, kernel: str, names: Sequence[str]
) -> str | None:
    """Find types for a kernel that has none: the package's own, or those of the kernel's image.

    Args:
        btfs: that the package brings along.
        data: its object.
        kernel: where the running kernel's own were looked for.
        names: from :func:`running_kernel`.

    Returns:
        a path for libbpf, good as long as this process lives; None if the object needs none.

    Raises:
        BtfMissing: there are none; the message says what was tried.
    """
    found = find_btf(btfs, names)
    if found is not None:
        return _in_memory(found.data)
    images = [place.format(os.uname().release) for place in _IMAGES]
    image = next((place for place in images if os.path.isfile(place)), None)
    if image is not None or not relocations(data)[1]:
        return image
    own = f"{len(btfs)} kernels that the package has types of" if btfs else "the package has none"
    raise BtfMissing(
        f"this kernel has no types (BTF), and the tool needs them. Tried: {kernel}; "
        f"{' or '.join(names)} ({own}); --btf and BTF_FILE_PATH, which are not set; "
        f"{images[0]} and the like",
        hint="use a kernel with CONFIG_DEBUG_INFO_BTF, or give its types with --btf FILE "
        "(https://github.com/aquasecurity/btfhub-archive has those of many), or build the tool "
        "with --btfgen",
    )


def _in_memory(data: bytes) -> str:
    fd = os.memfd_create("ebpm-btf")
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(data)
    return f"/proc/self/fd/{fd}"
