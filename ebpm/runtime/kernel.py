"""The running kernel: which one it is, and its types. On the path of ``ebpm run``."""

from __future__ import annotations

import os
import sys

from ebpm.errors import EbpmError

BTF = "/sys/kernel/btf/vmlinux"
_NOTES = "/sys/kernel/notes"
_BUILD_ID = 3  # NT_GNU_BUILD_ID


def build_id() -> str | None:
    """Tell the build id that the linker gave the kernel, in hex; None where it has none."""
    try:
        with open(_NOTES, "rb") as file:
            notes = file.read()
    except OSError:
        return None
    return parse_build_id(notes)


def parse_build_id(notes: bytes) -> str | None:
    """Find the build id among ELF notes: (name size, data size, type), name, data, all by fours."""
    at, order = 0, sys.byteorder
    while at + 12 <= len(notes):
        name, size, kind = (
            int.from_bytes(notes[at + step : at + step + 4], order) for step in (0, 4, 8)
        )
        start = at + 12 + (name + 3) // 4 * 4
        if kind == _BUILD_ID and notes[at + 12 : at + 12 + name] == b"GNU\0":
            return notes[start : start + size].hex() or None
        at = start + (size + 3) // 4 * 4
    return None


def trimmed_types(data: bytes) -> bytes | None:
    """Trim the kernel's BTF to what an object's relocations ask for.

    None where libbpf has to look for itself: the kernel has no BTF, or it may have a type only in
    a module's.
    """
    from ebpm.btf.trim import trim_if_complete

    try:
        with open(BTF, "rb") as file:
            return trim_if_complete(file.read(), data)
    except (OSError, EbpmError):
        return None


class TypesFile:
    """BTF as a file in memory, for as long as libbpf may open it."""

    def __init__(self, types: bytes) -> None:
        self._fd = os.memfd_create("btf", os.MFD_CLOEXEC)
        os.write(self._fd, types)
        self.path = f"/proc/self/fd/{self._fd}"

    def close(self) -> None:
        """Let it go."""
        os.close(self._fd)
