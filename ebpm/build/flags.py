"""Flags for the compiler: ours, those of an architecture, and what a user's do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

FLAGS = ("-g", "-O2", "-mcpu=v3", "-Wall")
"""The flags of every build: -g carries the BTF; v3 needs Linux 5.1 and is clang 20's default."""
BIG_ENDIAN = frozenset({"s390x"})
_TARGETS = {"amd64": "x86", "ppc64le": "powerpc", "riscv64": "riscv", "s390x": "s390"} | {
    "loong64": "loongarch"
}
"""What libbpf's bpf_tracing.h calls the architectures, where it differs."""
_PATH_FLAGS = ("-I", "-isystem", "-iquote", "-idirafter", "-include", "-imacros")
_PATH_FLAG = re.compile(r"(-I|-isystem|-iquote|-idirafter)([^=].*)")
_HARMLESS = re.compile(  # flags that cannot change what vmlinux.h says, and the paths after them
    r"-W(?!p,|system-headers).* | -(I|isystem|iquote|idirafter).* | /.*", re.VERBOSE | re.DOTALL
)


def endianness(architecture: str) -> list[str]:
    """Give the flags for an architecture's byte order."""
    return ["-target", "bpfeb"] if architecture in BIG_ENDIAN else []  # the last one counts


def target_macro(architecture: str) -> str:
    """Name the macro by which sources and libbpf's headers ask for an architecture."""
    return f"__TARGET_ARCH_{_TARGETS.get(architecture, architecture)}"


def absolute(cflags: Sequence[str]) -> list[str]:
    """Make the paths in flags absolute, since the compiler runs in another folder."""
    flags: list[str] = []
    for flag in cflags:
        before = flags[-1] if flags else ""
        match = _PATH_FLAG.fullmatch(flag)
        if before in _PATH_FLAGS:
            flags.append(str(Path(flag).absolute()))
        elif match:
            flags.append(match[1] + str(Path(match[2]).absolute()))
        else:
            flags.append(flag)
    return flags


def folders(cflags: Sequence[str]) -> list[Path]:
    """List the folders that flags add to the compiler's search."""
    found = []
    for before, flag in pairwise(["", *cflags]):
        match = _PATH_FLAG.fullmatch(flag)
        path = flag if before in _PATH_FLAGS else match[2] if match else ""
        if path and (folder := Path(path)).is_dir():
            found.append(folder)
    return list(dict.fromkeys(found))


def harmless(cflags: Iterable[str]) -> bool:
    """Whether flags, made absolute, cannot change what vmlinux.h says."""
    return all(_HARMLESS.fullmatch(flag) for flag in cflags)
