"""Wasm modules of eunomia-bpf and wasm-bpf: recognised, and the object inside found; not run."""

from __future__ import annotations

import struct

from ebpm.btf.elf import read_elf
from ebpm.errors import EbpmError, WasmModule

LAYER_TYPES = frozenset(
    ("application/vnd.wasm.content.layer.v1+wasm", "application/wasm", "application/vnd.wasm.v1")
)
"""Of the layers that a Wasm module is pushed as: eunomia-bpf's, and the CNCF's."""
_MAGIC, _ELF = b"\0asm", b"\x7fELF"
_TRIES = 64  # places that look like an object and are none


def is_wasm(data: bytes) -> bool:
    """Whether bytes are a Wasm module."""
    return data.startswith(_MAGIC)


def wasm_error(data: bytes, place: str) -> WasmModule:
    """Say that a module is for another runtime, and what can be done."""
    embedded = embedded_object(data)
    if embedded is None:
        return WasmModule(
            f"{place} is a Wasm module, and holds no eBPF object that can be found",
            hint="run the module with eunomia-bpf's ecli or wasm-bpf",
        )
    error = WasmModule(f"{place} is a Wasm module with an eBPF object in it")
    error.embedded = embedded
    return error


def embedded_object(data: bytes) -> bytes | None:
    """Find the eBPF object in a module: modules that load one hold it as it is.

    Returns:
        the first; None if there is none, or it is encoded.
    """
    at = -1
    for _ in range(_TRIES):
        at = data.find(_ELF, at + 1)
        if at < 0:
            return None
        head = data[at : at + 64]
        if len(head) < 64 or head[5] not in (1, 2):
            continue
        order = "<" if head[5] == 1 else ">"
        (table,) = struct.unpack_from(order + "Q", head, 40)
        size, count = struct.unpack_from(order + "HH", head, 58)
        found = data[at : at + table + size * count]
        try:
            read_elf(found)
        except EbpmError:
            continue
        return found
    return None
