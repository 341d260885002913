"""The types of kernels that have none themselves, inside a package: named, kept and chosen.

A kernel's name is the path of its BTF in the BTFhub archive, as eunomia-bpf's tar has it:
``ID/VERSION_ID/MACHINE/RELEASE``, the first two of /etc/os-release, the others of uname(2).
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ebpm.errors import InvalidPackage
from ebpm.package.model import KernelBtf

_PART = r"[A-Za-z0-9_+~][A-Za-z0-9_.+~-]{0,127}"
_PATH = re.compile("/".join([_PART] * 4))
_LIMIT = 64 << 20  # of one; a whole kernel's is 6 MB
_OTHER_NAMES = {"aarch64": "arm64"}  # of machines, in the archive


def check_path(path: str, place: str) -> str:
    """Check a kernel's name.

    Raises:
        InvalidPackage: it is not of the four parts, or they are no names.
    """
    if not _PATH.fullmatch(path):
        raise InvalidPackage(f"{place}: {path[:200]!r} is not ID/VERSION_ID/MACHINE/RELEASE")
    return path


def read_btfs(data: Mapping[str, Any], place: str) -> tuple[KernelBtf, ...]:
    """Read the types of kernels out of metadata: zlib streams in base64, by path.

    Raises:
        InvalidPackage: one is damaged.
    """
    return tuple(
        KernelBtf(path=check_path(path, place), data=_unpacked(text, f"{place}[{path!r}]"))
        for path, text in sorted(data.items())
    )


def _unpacked(text: Any, place: str) -> bytes:  # noqa: ANN401  # JSON
    try:
        packed = base64.b64decode(text, validate=True)
        stream = zlib.decompressobj()
        data = stream.decompress(packed, _LIMIT)
    except (TypeError, binascii.Error, ValueError, zlib.error):
        raise InvalidPackage(f"{place} is not a zlib stream in base64") from None
    if not stream.eof:
        raise InvalidPackage(f"{place} is cut off, or larger than any kernel's BTF")
    return data


def write_btfs(btfs: Iterable[KernelBtf]) -> dict[str, str]:
    """Write the types of kernels for metadata."""
    return {one.path: base64.b64encode(zlib.compress(one.data)).decode() for one in btfs}


def kernel_paths(os_release: str, machine: str, release: str) -> list[str]:
    """Name the running kernel, in each of the spellings of its machine.

    Args:
        os_release: the text of /etc/os-release.
        machine: as uname(2) says, "x86_64".
        release: as uname(2) says, "4.19.0-21-amd64".
    """
    values = {}
    for line in os_release.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals:
            values[key] = value.strip().strip("\"'")
    system = f"{values.get('ID') or 'linux'}/{values.get('VERSION_ID') or 'rolling'}"
    machines = dict.fromkeys((machine, _OTHER_NAMES.get(machine, machine)))
    return [f"{system}/{one}/{release}" for one in machines]


def find_btf(btfs: Iterable[KernelBtf], paths: Iterable[str]) -> KernelBtf | None:
    """Find the types of one of some kernels."""
    known = {one.path: one for one in btfs}
    return next((known[path] for path in paths if path in known), None)
