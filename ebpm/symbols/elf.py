"""Symbols of ELF files. The only place that reads programs and libraries with pyelftools."""

from __future__ import annotations

import io
import os
import struct

from ebpm.symbols.names import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

_FUNCTIONS = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_DAMAGED = (  # what pyelftools raises besides its own error
    *(struct.error, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(OSError, OverflowError, RecursionError, MemoryError),
)
_MOST = 2_000_000  # symbols: more than any program has
_UNPACKED = 64 << 20  # bytes of an embedded debug file
_BINDINGS = {1: 0, 2: 1, 0: 2}  # the order of preference: global, weak, local


class ElfSymbols:
    """The functions of an ELF file, by their place in it.

    ``build_id`` is the GNU build id in hex, or None. ``stripped`` tells that the file has no table
    of all its symbols, only what it offers to others, if that.

    Raises:
        ValueError: it is no ELF file, or is damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile

        try:
            elf = ELFFile(file)
            self._segments = [
                (one["p_offset"], one["p_filesz"], one["p_vaddr"])
                for one in elf.iter_segments()
                if one["p_type"] == "PT_LOAD"
            ]
            self.build_id = _build_id(elf)
            tables = _tables(elf)
            self.stripped = "SHT_SYMTAB" not in tables
            whole = tables.get("SHT_SYMTAB") or tables.get("SHT_DYNSYM")
            functions = _functions(elf, whole)
            functions.sort(key=_preference)
            self.names = Names(functions)
            embedded = _embedded(elf) if self.stripped else None
        except (ELFError, *_DAMAGED) as error:
            raise ValueError(f"not an ELF file that can be read: {error}") from None
        if embedded is not None:
            self._take_embedded(embedded)

    def _take_embedded(self, data: bytes) -> None:
        """Take the names of a small debug file within the file: there beside the exported ones."""
        try:
            inner = ElfSymbols(io.BytesIO(data))
        except ValueError:
            return
        self.names = self.names.merged(inner.names)

    def find(self, offset: int, before: int = 0) -> tuple[str, int] | None:
        """Give the function at an offset in the file, and how far into it that is.

        Args:
            offset: in the file.
            before: 1 for the address that a call returns to, which belongs to what is before it.
        """
        for start, size, address in self._segments:
            if start <= offset - before < start + size:
                place = offset - start + address
                found = self.names.find(place - before)
                return (found[0], place - found[1]) if found else None
        return None

    def add_debug(self, other: ElfSymbols) -> None:
        """Take the names of a separate debug file, which has them all."""
        self.names = other.names
        self.stripped = False


def _build_id(elf: Any) -> str | None:  # noqa: ANN401  # an ELFFile
    for segment in elf.iter_segments("PT_NOTE"):
        for note in segment.iter_notes():
            if note["n_type"] == "NT_GNU_BUILD_ID":
                return str(note["n_desc"])
    return None


def _tables(elf: Any) -> dict[str, Any]:  # noqa: ANN401
    """Find the symbol tables by type; by name, pyelftools would parse hash tables on the way."""
    from elftools.common.exceptions import ELFError

    found = {}
    for at in range(elf.num_sections()):
        try:
            table = elf.get_section(at, ("SHT_SYMTAB", "SHT_DYNSYM"))
        except ELFError:  # another type
            continue
        found[table["sh_type"]] = table
    return found


def _embedded(elf: Any) -> bytes | None:  # noqa: ANN401
    """Unpack ``.gnu_debugdata``, which Fedora's stripped files have: an ELF file in xz."""
    section = elf.get_section_by_name(".gnu_debugdata")
    if section is None:
        return None
    import lzma

    try:
        return lzma.LZMADecompressor(memlimit=_UNPACKED).decompress(section.data(), _UNPACKED)
    except lzma.LZMAError:
        return None


def _functions(elf: Any, table: Any) -> list[tuple[int, int, str, int]]:  # noqa: ANN401
    """Read a table at once: pyelftools' objects for each symbol would take seconds."""
    if table is None or not table["sh_entsize"]:
        return []
    names = elf.get_section(table["sh_link"]).data()
    order = "<" if elf.little_endian else ">"
    form = struct.Struct(order + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH"))
    data = table.data()
    found = []
    for fields in form.iter_unpack(data[: min(len(data) // form.size, _MOST) * form.size]):
        if elf.elfclass == 64:
            at, info, _, section, start, size = fields
        else:
            at, start, size, info, _, section = fields
        if info & 15 in _FUNCTIONS and section and start:
            name = names[at : names.find(b"\0", at)].decode("utf-8", "replace")
            found.append((start, size, name, info >> 4))
    return found


def _preference(entry: tuple[int, int, str, int]) -> tuple[int, bool, int, int, str]:
    """By place; of several names there, one with a size, few underscores, and for everybody."""
    start, size, name, binding = entry
    underscores = len(name) - len(name.lstrip("_")) if name.startswith("_") else 0
    return start, not size, underscores, _BINDINGS.get(binding, 3), name


def debug_files(build_id: str, root: str = "") -> Iterator[str]:
    """Name the places where a file of a build id would have its symbols."""
    yield f"{root}/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"


def open_regular(path: str) -> BinaryIO | None:
    """Open a file to read, unless it is none: a pipe would keep us waiting."""
    import stat

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return os.fdopen(fd, "rb")


def function_names(path: str) -> list[str]:
    """List the functions that a program's or library's tables name; none if it cannot be read."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    file = open_regular(path)
    if file is None:
        return []
    with file:
        try:
            elf = ELFFile(file)
            found = [entry for table in _tables(elf).values() for entry in _functions(elf, table)]
            return sorted({name for _, _, name, _ in found})
        except (ELFError, *_DAMAGED):
            return []
