"""Where the headers of a BPF program come from: libbpf's, ours, and the kernel's types.

The kernel's types are not those of the machine that builds: a package's bytes must not depend on
it. They come from a ``vmlinux.h`` that is committed here for each architecture, made by
``scripts/vmlinux`` from the BTF of Debian's kernels; CO-RE adapts the object to the kernel that
runs it.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ebpm.build.headers.kept import KeptTypes, keep
from ebpm.errors import HeadersMissing

_HERE = Path(__file__).parent
LIBBPF_FOLDERS = (_HERE / "bpf", Path("/usr/include/bpf"), Path("/usr/local/include/bpf"))
"""Folders that may hold bpf_helpers.h, in the order they are tried."""


@dataclass(frozen=True, slots=True)
class HeaderSet:
    """A folder to compile with: ``bpf/``, ``ebpm/`` and ``vmlinux.h`` in it."""

    folder: Path
    architecture: str
    kept: KeptTypes | None = None  # where vmlinux.h is a link to
    outline: Path | None = None  # the same folder, but for the types in vmlinux.h

    def folders(self) -> list[Path]:
        """List the folders that files of it are read from."""
        kept = [self.kept.folder, self.outline] if self.kept and self.outline else []
        return [self.folder, *kept]


def architectures() -> list[str]:
    """List the architectures that have a vmlinux.h, as OCI names them."""
    return sorted(path.name.removesuffix(".h.xz") for path in (_HERE / "vmlinux").glob("*.h.xz"))


@contextmanager
def header_set(
    architecture: str, vmlinux: bytes | None = None, root: Path | None = None
) -> Iterator[HeaderSet]:
    """Lay out the headers for one architecture in a temporary folder.

    Args:
        architecture: as OCI names it.
        vmlinux: a vmlinux.h to use instead of the committed one.
        root: a folder that only the running user can write, to keep the committed one unpacked.

    Raises:
        HeadersMissing: libbpf's headers, or the types of this architecture, are not here.
    """
    kept = None
    if root and vmlinux is None:
        kept = keep(root, architecture, _packed(architecture).read_bytes(), lzma.decompress)
    with TemporaryDirectory(prefix="ebpm-headers-") as name:
        folder = Path(name)
        if kept is None:
            _lay_out(folder)
            (folder / "vmlinux.h").write_bytes(vmlinux or kernel_types(architecture))
            yield HeaderSet(folder, architecture)
            return
        whole, outline = folder / "whole", folder / "outline"
        for one, types in ((whole, kept.folder), (outline, kept.outline)):
            one.mkdir()
            _lay_out(one)
            (one / "vmlinux.h").symlink_to(types / "vmlinux.h")
        yield HeaderSet(whole, architecture, kept, outline)


def _lay_out(folder: Path) -> None:
    (folder / "bpf").symlink_to(libbpf_headers(), target_is_directory=True)
    (folder / "ebpm").symlink_to(_HERE / "ebpm", target_is_directory=True)


def libbpf_headers() -> Path:
    """Find the folder with libbpf's headers for BPF programs."""
    for folder in LIBBPF_FOLDERS:
        if (folder / "bpf_helpers.h").exists():
            return folder
    raise HeadersMissing("libbpf's headers for BPF programs (bpf/bpf_helpers.h) were not found")


@lru_cache(maxsize=4)  # a build compiles two or three times with the same
def kernel_types(architecture: str) -> bytes:
    """Read the committed vmlinux.h of an architecture."""
    return lzma.decompress(_packed(architecture).read_bytes())


def require_types(architecture: str) -> None:
    """Refuse an architecture that has no committed vmlinux.h."""
    _packed(architecture)


def _packed(architecture: str) -> Path:
    path = _HERE / "vmlinux" / f"{architecture}.h.xz"
    if path.exists():
        return path
    known = ", ".join(architectures())
    raise HeadersMissing(
        f"there is no vmlinux.h for {architecture}",
        hint=f"build for {known}, or give one with --vmlinux FILE",
    )
