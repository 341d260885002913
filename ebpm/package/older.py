"""The older generations of eunomia-bpf's packages, told as metadata of today's.

What they do not say (where programs attach, which variables there are, types) is read from the
object afterwards: :mod:`ebpm.package.complete`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.btf.text import type_text
from ebpm.errors import InvalidBtf, InvalidPackage
from ebpm.package.described import KEY, Field, cut_out, describe_struct
from ebpm.package.fields import Fields, present

_DOCUMENTATION = ("version", "description", "author", "url")
_BITS_LIMIT, _MEMBERS_LIMIT = 1 << 31, 0xFFFF
_EXPORTS = ("export_data_types", "ring_buffer_export")


def is_flat(content: dict[str, Any]) -> bool:
    """Whether this is a package of 0.2 or before: the object in ``data``, everything at the top."""
    return "data" in content and "bpf_object" not in content and "bpf_skel" not in content


def from_flat(content: dict[str, Any], place: str) -> tuple[str, dict[str, Any]]:
    """Take a flat package apart: its object in base64, and its metadata as today's.

    Raises:
        InvalidPackage: a field has a wrong type.
    """
    fields = Fields(content, place)
    data = fields.required("data", str)
    fields.any("data_sz")
    maps, exports = [], []
    for at, one in enumerate(fields.optional("maps", list) or ()):
        entry = Fields(one, f"{place}.maps[{at}]")
        for key in ("type", "sec_data"):  # the object knows better
            entry.any(key)
        own = []
        for key in _EXPORTS:
            found = entry.any(key)
            several = found if isinstance(found, list) else [found]
            place_of = f"{entry.place}.{key}"
            own += [_struct(Fields(one, place_of)) for one in several if one is not None]
        exports += [one for one in own if one not in exports]
        carries = {"export_config": {"export_type": own[0]["name"]}} if own else {}
        maps.append({**entry.rest, **carries, "name": entry.required("name", str)})
    multiple = len(exports) > 1
    if not multiple:  # the one type is what every map carries
        for one in maps:
            one.pop("export_config", None)
    programs = []
    for at, one in enumerate(fields.optional("progs", list) or ()):
        entry = Fields(one, f"{place}.progs[{at}]")
        entry.any("type")
        programs.append({**entry.rest, "name": entry.required("name", str)})
    name = fields.text("name") or None
    license_text = fields.text("license") or None
    doc = {key: text for key in _DOCUMENTATION if (text := fields.text(key))}
    skeleton = present(maps=maps or None, progs=programs or None, doc=doc or None)
    known = present(
        name=name,
        license=license_text,
        bpf_skel=skeleton,
        export_types=exports,
        enable_multiple_export_types=multiple or None,
    )
    return data, {**fields.rest, **known}


def _struct(fields: Fields) -> dict[str, Any]:
    """Read a struct as LLVM's layout dump gave it: sizes and offsets in bits."""
    fields = _plainly(fields)
    name = (fields.text("structname") or fields.text("name") or "").removeprefix("struct ").strip()
    members = []
    for at, one in enumerate(fields.optional("fields", list) or ()):
        entry = _plainly(Fields(one, f"{fields.place}.Fields[{at}]"))
        alias, meaning = _type_names(entry.text("type") or "")
        offset = entry.optional("fieldoffset", int) or 0
        if not 0 <= offset < _BITS_LIMIT:
            raise InvalidPackage(f"{entry.place}: an offset of {offset} bits")
        llvm = entry.text("llvmtype") or ""
        members.append(Field(entry.text("name") or "", alias, meaning, llvm, offset))
    members.sort(key=lambda one: one.bit_offset)
    size = fields.optional("size", int) or fields.optional("datasize", int) or 0
    if not 0 <= size < _BITS_LIMIT or len(members) > _MEMBERS_LIMIT:
        raise InvalidPackage(f"{fields.place} is larger than any event")
    if members and size <= members[-1].bit_offset:
        size *= 8  # it can only be bytes
    described = {KEY: describe_struct(name, size // 8, members)} if members and size else {}
    shown = [{"name": one.name, "type": one.type} for one in members]
    return {"name": name, "members": shown, **present(size=size // 8 or None), **described}


def _plainly(fields: Fields) -> Fields:
    """Take keys by their letters alone: there are "Data Size" and "DataSize"."""
    plain = {re.sub(r"[\s_]", "", key).lower(): value for key, value in fields.rest.items()}
    return Fields(plain, fields.place)


def _type_names(text: str) -> tuple[str, str]:
    """Take apart what clang says of a typedef: ``__u32':'unsigned int`` is both of its names."""
    names = [part.strip().strip("'").strip() for part in text.split("':'")]
    return names[0], names[-1]


def from_november(meta: dict[str, Any], place: str) -> dict[str, Any]:
    """Read ``export_types`` of November 2022: names of structs, and BTF that has them.

    Raises:
        InvalidPackage, InvalidBtf: the BTF is damaged, or has no such struct.
    """
    fields = Fields(meta["export_types"], f"{place}.export_types")
    text = fields.text("export_btf")
    exports = []
    if text:
        try:
            btf = Btf(base64.b64decode("".join(text.split()), validate=True))
        except (binascii.Error, ValueError):
            raise InvalidPackage(f"{fields.place}.export_btf is not base64") from None
        for at, one in enumerate(fields.optional("structs", list) or ()):
            exports.append(_of_blob(btf, Fields(one, f"{fields.place}.structs[{at}]")))
    return {**meta, "export_types": exports}


def _of_blob(btf: Btf, fields: Fields) -> dict[str, Any]:
    name = fields.text("name") or ""
    type_id = fields.optional("id", int)
    found = _struct_at(btf, type_id)
    if type_id is None or found is None or (name and found.name != name):
        type_id = btf.find(t.KIND_STRUCT, name)
        found = _struct_at(btf, type_id)
    if type_id is None or found is None:
        raise InvalidPackage(f"{fields.place}: export_btf has no struct {name!r}")
    members = [{"name": one.name, "type": type_text(btf, one.type)} for one in found.members]
    known = {"name": name or found.name, "members": members, "size": found.size}
    return {**fields.rest, **known, KEY: cut_out(btf, type_id)}


def _struct_at(btf: Btf, type_id: int | None) -> t.Struct | None:
    if type_id is None or not 0 < type_id < len(btf):
        return None
    try:
        found = btf[btf.strip(type_id)]
    except InvalidBtf:
        return None
    return found if isinstance(found, t.Struct) else None
