"""BTF out of whatever holds it: a kernel's image, an ELF file, an archive, or itself."""

from __future__ import annotations

import io
import lzma
import struct
import subprocess
import tarfile

from ebpm.btf.elf import read_elf
from ebpm.btf.parse import HEADER_SIZE, MAGIC
from ebpm.errors import EbpmError, InvalidBtf

_XZ, _ZSTD, _ELF = b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x7fELF"
_LIMIT = 1 << 30  # bytes of an unpacked kernel
_MAGIC = struct.pack("<H", MAGIC), struct.pack(">H", MAGIC)


def take_btf(data: bytes) -> bytes:
    """Take BTF out of a file's bytes.

    Args:
        data: BTF; an ELF file with a section .BTF; a bzImage or an uncompressed Image; or one of
            these in a tar, compressed or not, as BTFhub has them.

    Raises:
        InvalidBtf: it holds none, or is packed in a way that is not known.
    """
    if data.startswith(_MAGIC):
        return data
    if data.startswith(_ELF):
        return _from_elf(data)
    if data.startswith(_XZ) or data[257:262] == b"ustar":
        return take_btf(_from_tar(data))
    return find_btf(_payload(data) if data[0x202:0x206] == b"HdrS" else data)


def find_btf(kernel: bytes) -> bytes:
    """Find the BTF in an unpacked kernel: the largest that lies there."""
    begin = struct.pack("<HBBI", MAGIC, 1, 0, HEADER_SIZE)
    found, at = b"", kernel.find(begin)
    while 0 <= at <= len(kernel) - HEADER_SIZE:
        types_at, types, strings_at, strings = struct.unpack_from("<IIII", kernel, at + 8)
        size = HEADER_SIZE + types + strings
        if types_at == 0 and strings_at == types and len(found) < size <= len(kernel) - at:
            found = kernel[at : at + size]
        at = kernel.find(begin, at + 1)
    if not found:
        raise InvalidBtf("there is no BTF in it")
    return found


def _from_elf(data: bytes) -> bytes:
    try:
        section = read_elf(data).section(".BTF")
    except EbpmError:
        return find_btf(data)  # a vmlinux is no BPF object, and its .BTF lies there as it is
    if section is None or not section.data:
        raise InvalidBtf("the ELF file has no section .BTF")
    return section.data


def _from_tar(data: bytes) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files = [one for one in archive if one.isfile()]
            if len(files) == 1 and files[0].size <= _LIMIT:
                taken = archive.extractfile(files[0])
                return taken.read() if taken else b""
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise InvalidBtf(f"the archive cannot be read: {error}") from None
    raise InvalidBtf(f"the archive holds {len(files)} files instead of one")


def _payload(image: bytes) -> bytes:
    """Unpack the kernel in a bzImage. Source: Documentation/arch/x86/boot.rst."""
    if len(image) < 0x250:
        raise InvalidBtf("the kernel's image is cut off")
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (image[0x1F1] + 1) * 512 + offset
    packed = image[start : start + length - 4]  # the last word is the size of what is packed
    try:
        if packed.startswith(_XZ):
            return lzma.LZMADecompressor().decompress(packed, _LIMIT)
        if packed.startswith(_ZSTD):
            command = ("zstd", "-dcq")
            done = subprocess.run(command, input=packed, capture_output=True, check=True)
            return done.stdout
    except FileNotFoundError:
        raise InvalidBtf(
            "the kernel is packed with zstd", hint="install the program: apt install zstd"
        ) from None
    except (lzma.LZMAError, subprocess.CalledProcessError) as error:
        raise InvalidBtf(f"the kernel cannot be unpacked: {error}") from None
    raise InvalidBtf("the kernel is packed neither with xz nor with zstd")
