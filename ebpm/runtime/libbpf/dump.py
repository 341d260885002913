"""A kernel's types as a C header, by libbpf's btf_dump."""

from __future__ import annotations

import ctypes
import os
import tempfile

from ebpm.errors import BtfMissing
from ebpm.runtime.libbpf.binding import Libbpf, LibbpfError

_HEAD = b"""#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

"""
_TAIL = b"""
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
"""


def header_of(path: str, library: Libbpf | None = None) -> bytes:
    """Write the types of a BTF file as a vmlinux.h.

    libc's vfprintf is libbpf's callback: half a million calls that never enter Python.

    Args:
        path: of raw BTF, or of an ELF file with a .BTF section.
        library: libbpf; the system's if None.

    Raises:
        BtfMissing: the file cannot be read as BTF.
    """
    library = library or Libbpf()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        btf = library.pointer("btf__parse", os.fsencode(path), None)
    except LibbpfError as error:
        raise BtfMissing(f"{path} cannot be read as BTF: {error.strerror}") from None
    with tempfile.TemporaryFile() as file:
        libc.fdopen.restype = ctypes.c_void_p
        stream = ctypes.c_void_p(libc.fdopen(os.dup(file.fileno()), b"w"))
        printer = ctypes.cast(libc.vfprintf, ctypes.c_void_p)
        try:
            dump = library.pointer("btf_dump__new", btf, printer, stream, None)
            for type_id in range(1, library.function("btf__type_cnt")(btf)):
                library.check("btf_dump__dump_type", dump, type_id)
            library.function("btf_dump__free")(dump)
        finally:
            libc.fclose(stream)
            library.function("btf__free")(btf)
        file.seek(0)
        return _HEAD + file.read() + _TAIL
