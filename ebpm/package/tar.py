"""The tar of eunomia-bpf's ``--btfgen``: a package and the trimmed types of kernels.

``package.json``, the object under the tool's name, and ``./btfhub-archive/ID/VERSION_ID/MACHINE/
RELEASE.btf``; plain, or compressed with gzip. The same package gives the same bytes.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Mapping

from ebpm.errors import InvalidPackage
from ebpm.package.kernelbtf import check_path
from ebpm.package.model import KernelBtf

PACKAGE = "package.json"
_ARCHIVE = "btfhub-archive/"
_SUFFIX = ".btf"
_GZIP, _MAGIC = b"\x1f\x8b", b"ustar"
_LIMIT = 256 << 20  # bytes when unpacked
_ENTRIES = 20_000


def is_tar(data: bytes) -> bool:
    """Whether bytes are a tar, or a gzip stream that can be nothing else here."""
    return data[:2] == _GZIP or data[257:262] == _MAGIC


def read_tar(data: bytes, place: str) -> tuple[dict[str, bytes], tuple[KernelBtf, ...]]:
    """Read a tar.

    Returns:
        the files by name, without folders; and the types of kernels.

    Raises:
        InvalidPackage: it is damaged, or larger than any package.
    """
    files: dict[str, bytes] = {}
    btfs: dict[str, KernelBtf] = {}
    for name, content in _entries(_plain(data, place), place):
        path = name.removeprefix("./").lstrip("/")
        if path.startswith(_ARCHIVE) and path.endswith(_SUFFIX):
            kernel = path.removeprefix(_ARCHIVE).removesuffix(_SUFFIX)
            btfs[kernel] = KernelBtf(path=check_path(kernel, place), data=content)
        else:
            files[path.rpartition("/")[2]] = content
    return files, tuple(btfs[path] for path in sorted(btfs))


def _plain(data: bytes, place: str) -> bytes:
    if data[:2] != _GZIP:
        return data
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(data, _LIMIT)
    except zlib.error:
        raise InvalidPackage(f"{place} is not a gzip stream") from None
    if not stream.eof:
        raise InvalidPackage(f"{place} is cut off, or larger than any package")
    return plain


def _entries(data: bytes, place: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                if len(found) > _ENTRIES:
                    raise InvalidPackage(f"{place} holds more files than any package")
                if not entry.isreg() or entry.sparse is not None:
                    continue  # folders; links lead nowhere here
                if entry.size > len(data):
                    raise InvalidPackage(f"{place} is cut off inside {entry.name!r}")
                file = tar.extractfile(entry)
                found.append((entry.name, file.read() if file else b""))
            if data[tar.offset : tar.offset + tarfile.BLOCKSIZE].strip(b"\0"):
                raise InvalidPackage(f"{place} is cut off after {len(found)} files")
    except (tarfile.TarError, ValueError, OverflowError, OSError, EOFError, MemoryError) as error:
        raise InvalidPackage(f"{place} is not a tar: {error}") from None
    return found


def write_tar(
    files: Mapping[str, bytes], btfs: tuple[KernelBtf, ...], *, compressed: bool = False
) -> bytes:
    """Write a tar: the types of kernels first, as eunomia-bpf's compiler does."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        names = {f"./{_ARCHIVE}{one.path}{_SUFFIX}": one.data for one in btfs}
        for name, content in {**names, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    if not compressed:
        return out.getvalue()
    stream = zlib.compressobj(9, wbits=31)  # no name and no date in its header
    return stream.compress(out.getvalue()) + stream.flush()
