"""What we read in a compiled object, against what bpftool reads in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ebpm.btf import types as t
from ebpm.btf.elf import read_elf
from ebpm.btf.parse import Btf, read
from ebpm.build.compile import Workbench
from tests import sources

pytestmark = pytest.mark.needs("compiler", "bpftool")

ENCODINGS = {0: "(none)", t.INT_SIGNED: "SIGNED", t.INT_CHAR: "CHAR", t.INT_BOOL: "BOOL"}
MODIFIERS = {
    t.KIND_TYPEDEF: "TYPEDEF",
    t.KIND_CONST: "CONST",
    t.KIND_VOLATILE: "VOLATILE",
    t.KIND_RESTRICT: "RESTRICT",
    t.KIND_TYPE_TAG: "TYPE_TAG",
}


def dump(path: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["bpftool", "-j", "btf", "dump", "file", path], capture_output=True, check=True
    )
    types: list[dict[str, Any]] = json.loads(done.stdout)["types"]
    return types


def as_bpftool(btf: Btf, type_id: int) -> dict[str, Any]:
    """Describe a type with bpftool's words."""
    found = btf[type_id]
    named = {"id": type_id, "name": getattr(found, "name", "") or "(anon)"}
    fields = _compound(found) or _reference(found)
    return named | fields


def _compound(found: t.Type) -> dict[str, Any]:
    if isinstance(found, t.Struct):
        members = [
            {"name": one.name or "(anon)", "type_id": one.type, "bits_offset": one.bit_offset}
            | ({"bitfield_size": one.bits} if one.bits else {})
            for one in found.members
        ]
        kind = "UNION" if found.union else "STRUCT"
        return {"kind": kind, "size": found.size, "vlen": len(members), "members": members}
    if isinstance(found, t.Enum):
        values = [{"name": name, "val": value} for name, value in found.values]
        return {
            "kind": "ENUM64" if found.size == 8 else "ENUM",
            "encoding": "SIGNED" if found.signed else "UNSIGNED",
            "size": found.size,
            "vlen": len(values),
            "values": values,
        }
    if isinstance(found, t.DataSection):
        entries = [
            {"type_id": one.type, "offset": one.offset, "size": one.size} for one in found.entries
        ]
        return {"kind": "DATASEC", "size": found.size, "vlen": len(entries), "vars": entries}
    if isinstance(found, t.FunctionType):
        pairs = [{"name": name or "(anon)", "type_id": of} for name, of in found.parameters]
        return {
            "kind": "FUNC_PROTO",
            "ret_type_id": found.returns,
            "vlen": len(pairs),
            "params": pairs,
        }
    return {}


def _reference(found: t.Type) -> dict[str, Any]:
    if isinstance(found, t.Int):
        sizes = {"size": found.size, "bits_offset": found.bit_offset, "nr_bits": found.bits}
        return {"kind": "INT", "encoding": ENCODINGS[found.encoding], **sizes}
    if isinstance(found, t.Pointer):
        return {"kind": "PTR", "type_id": found.target}
    if isinstance(found, t.Array):
        ids = {"type_id": found.element, "index_type_id": found.index}
        return {"kind": "ARRAY", "nr_elems": found.count, **ids}
    if isinstance(found, t.Modifier):
        return {"kind": MODIFIERS[found.kind], "type_id": found.target}
    if isinstance(found, t.Forward):
        return {"kind": "FWD", "fwd_kind": "union" if found.union else "struct"}
    if isinstance(found, t.Float):
        return {"kind": "FLOAT", "size": found.size}
    if isinstance(found, t.DeclarationTag):
        return {"kind": "DECL_TAG", "type_id": found.target, "component_idx": found.component}
    assert isinstance(found, t.Function | t.Variable)
    kind = "FUNC" if isinstance(found, t.Function) else "VAR"
    linkage = ("static", "global", "extern")[found.linkage]
    return {"kind": kind, "type_id": found.type, "linkage": linkage}


def compare(data: bytes, path: Path) -> Btf:
    path.write_bytes(data)
    section = read_elf(data).section(".BTF")
    assert section is not None
    btf = read(section.data)
    expected = dump(path)
    assert [as_bpftool(btf, at) for at in range(1, len(btf))] == expected
    assert {one["kind"] for one in expected} >= {"STRUCT", "UNION", "ENUM", "ENUM64", "FLOAT"}
    assert {one["kind"] for one in expected} >= {"DECL_TAG", "DATASEC", "FUNC", "FWD", "CONST"}
    return btf


def test_every_type_of_a_compiled_object_is_read_as_bpftool_reads_it(tmp_path: Path) -> None:
    compare(sources.raw("kinds.bpf.c"), tmp_path / "kinds.bpf.o")


def test_a_big_endian_object_is_read_as_bpftool_reads_it(tmp_path: Path) -> None:
    source = sources.write(tmp_path, {"kinds.bpf.c": sources.SOURCES["kinds.bpf.c"]})
    with Workbench(source, sources.compiler(), cflags=("-target", "bpfeb")) as bench:
        run, data = bench.compile("amd64", None)
    assert run.ok, run.diagnostics
    assert compare(data, tmp_path / "kinds.bpf.o").order == ">"
