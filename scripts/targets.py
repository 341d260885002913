"""What the native bundle is made for: the names of its targets, and the wheels that carry them."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A machine and a C library."""

    name: str  # of the folder below .cache/native
    zig: str  # with the oldest glibc that it must run on
    platform: str  # of the wheel's tag


TARGETS = {
    target.name: target
    for target in (
        Target(
            "x86_64-linux-gnu",
            "x86_64-linux-gnu.2.17",
            "manylinux_2_17_x86_64.manylinux2014_x86_64",
        ),
        Target(
            "aarch64-linux-gnu",
            "aarch64-linux-gnu.2.17",
            "manylinux_2_17_aarch64.manylinux2014_aarch64",
        ),
        Target("x86_64-linux-musl", "x86_64-linux-musl", "musllinux_1_2_x86_64"),
        Target("aarch64-linux-musl", "aarch64-linux-musl", "musllinux_1_2_aarch64"),
    )
}


def host() -> Target | None:
    """Tell the target of the running Python; None where the bundle is not made for it."""
    if platform.system() != "Linux" or sys.maxsize < 1 << 32:
        return None
    try:
        glibc = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):
        glibc = None  # musl does not know the question
    return TARGETS.get(f"{platform.machine()}-linux-{'gnu' if glibc else 'musl'}")
