"""Packages as files: package.json, NAME.skel.json beside NAME.bpf.o, both as YAML, .bpf.o, tar.

All generations of them are read; docs/spec/formats.md describes them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpm.errors import InvalidPackage, TargetNotFound, UsageError
from ebpm.oci.platform import Platform
from ebpm.package.bare import from_object
from ebpm.package.complete import complete
from ebpm.package.describe import describe, object_name
from ebpm.package.fields import Fields
from ebpm.package.meta import read_meta, write_meta
from ebpm.package.model import ObjectFile, Package
from ebpm.package.older import from_flat, from_november, is_flat
from ebpm.package.schema import check_written, misspelt
from ebpm.package.tar import PACKAGE as TAR_PACKAGE
from ebpm.package.tar import is_tar, read_tar, write_tar
from ebpm.package.text import read_json, read_json_or_yaml, read_yaml, write_yaml
from ebpm.package.wasm import is_wasm, wasm_error

if TYPE_CHECKING:
    from ebpm.plainjson import Json

FORMATS = ("json", "yaml")
PLATFORM_KEY = "ebpm_platform"
"""Our key in the metadata: "any" for a portable object, else "linux/arm64" and the like."""

_BESIDE_KEY = "ebpm_package"  # keeps the unknown keys that stood beside the metadata
_PORTABLE = "any"
_ELF = b"\x7fELF"
_FILE_LIMIT = 256 << 20
_OBJECT_LIMIT = 128 << 20


def read_package(
    path: Path, form: str | None = None, notice: Callable[[str], None] | None = None
) -> Package:
    """Read a package from a file; a skeleton's object lies beside it.

    Args:
        path: of the file.
        form: as :func:`parse_package` takes it.
        notice: as there.

    Raises:
        TargetNotFound: the file, or the object beside it, is not there.
        InvalidPackage: it is malformed.
    """
    try:
        data = _bytes_of(path, _FILE_LIMIT)
    except OSError as error:
        raise TargetNotFound(f"cannot read {path}: {error.strerror}") from None
    return parse_package(data, str(path), path, form, notice)


def _bytes_of(path: Path, limit: int) -> bytes:
    """Read a file, which may be a pipe or a device: nobody knows how long those are."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidPackage(f"{path} is larger than any package: {limit >> 20} MiB")
    return data


def parse_package(
    data: bytes,
    place: str,
    path: Path | None = None,
    form: str | None = None,
    notice: Callable[[str], None] | None = None,
) -> Package:
    """Read a package from bytes.

    Args:
        data: package.json or package.yaml of any generation, a skeleton, an object, or a tar.
        place: where they came from, for errors.
        path: the file, to find a skeleton's object beside it and to name an object.
        form: "o", "wasm", "tar", "json" or "yaml", where the bytes are not to be asked.
        notice: told of keys that are misspelt, as it seems; they are no errors.

    Raises:
        WasmModule: it is for another runtime.
        InvalidPackage, InvalidObject, InvalidBtf: it is malformed.
    """
    form = form or _form_of_bytes(data)
    if form == "o":
        return from_object(ObjectFile(data=data), _tool_name(path))
    if form == "wasm":
        raise wasm_error(data, place)
    if form == "tar":
        return _read_tar(data, place)
    reader = {"json": read_json, "yaml": read_yaml}.get(form or "", read_json_or_yaml)
    content = reader(data, place)
    if not isinstance(content, dict):
        raise InvalidPackage(f"{place} is not a package: it holds no object")
    if "bpf_object" in content:
        _notice(content, "", place, notice)
        return _read_composed(content, place, _tool_name(path))
    if "bpf_skel" in content:
        if path is None:
            raise InvalidPackage(f"{place} is a skeleton, whose object is in another file")
        _notice(content, "meta", place, notice)
        return _read_skeleton(content, path)
    if is_flat(content):
        return _read_flat(content, place, _tool_name(path))
    keys = ", ".join(sorted(map(str, content))[:8])
    raise InvalidPackage(f"{place} is not a package: it has {keys or 'nothing'}, and no bpf_object")


def _notice(
    content: dict[str, Any], part: str, place: str, notice: Callable[[str], None] | None
) -> None:
    for line in misspelt(content, part) if notice else ():
        if notice:
            notice(f"{place}: {line}")


def _form_of_bytes(data: bytes) -> str | None:
    """Tell the form of bytes; None for text, which tells it later."""
    if data.startswith(_ELF):
        return "o"
    return "wasm" if is_wasm(data) else "tar" if is_tar(data) else None


def _tool_name(path: Path | None) -> str:
    return path.name.split(".")[0] if path else "object"


def _read_composed(content: dict[str, Any], place: str, name: str) -> Package:
    fields = Fields(content, place)
    text = fields.required("bpf_object", str)
    size = fields.optional("bpf_object_size", int)
    if "bpf_skel" in fields.rest and "meta" not in fields.rest:
        meta, fields.rest = fields.rest, {}  # as drafts of the format had it
    else:
        meta = fields.required("meta", dict)
    data = _decode(text, size, place)
    kept = {_BESIDE_KEY: fields.rest} if fields.rest else {}
    package = _assemble(meta, data, f"{place}.meta", name)
    return replace(package, extra={**package.extra, **kept})


def _read_flat(content: dict[str, Any], place: str, name: str) -> Package:
    text, meta = from_flat(content, place)
    identifier = object_name(f"{meta.get('name') or name}.bpf.o")
    meta["bpf_skel"].setdefault("obj_name", identifier)
    return _assemble(meta, _decode(text, None, place, "data"), place, name)


def _decode(text: str, size: int | None, place: str, key: str = "bpf_object") -> bytes:
    """Read an object: base64 of a zlib stream, or, in packages of 0.2, of the object itself."""
    if size is not None and not 0 <= size <= _OBJECT_LIMIT:
        raise InvalidPackage(f"{place}: bpf_object_size is {size}")
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)  # lines may be folded
    except (binascii.Error, ValueError):
        raise InvalidPackage(f"{place}: {key} is not base64") from None
    if size is None and packed.startswith(_ELF):
        return packed
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(packed, (_OBJECT_LIMIT if size is None else size) + 1)
    except zlib.error:
        raise InvalidPackage(f"{place}: {key} is not a zlib stream") from None
    if size is None:
        if not stream.eof:
            raise InvalidPackage(f"{place}: {key} is cut off, or larger than any object")
        return data
    if len(data) != size or not stream.eof:
        more = "more" if len(data) > size else "fewer"
        raise InvalidPackage(f"{place}: {key} has {more} than bpf_object_size = {size} bytes")
    return data


def _read_skeleton(content: dict[str, Any], path: Path) -> Package:
    stem = path.name.split(".skel.")[0] if ".skel." in path.name else path.stem
    beside = path.with_name(f"{stem}.bpf.o")
    try:
        data = _bytes_of(beside, _OBJECT_LIMIT)
    except OSError as error:
        raise TargetNotFound(
            f"the object of {path.name}, {beside}, cannot be read: {error.strerror}",
            hint="keep the .bpf.o beside its skeleton, or run package.json, which holds both",
        ) from None
    return _assemble(content, data, str(path), stem)


def _read_tar(data: bytes, place: str) -> Package:
    """Read a tar: package.json says everything, and the object in it is the one that counts."""
    files, btfs = read_tar(data, place)
    for name in (TAR_PACKAGE, "package.yaml"):
        if name in files:
            package = parse_package(files[name], f"{place}: {name}")
            return replace(package, btfs=btfs or package.btfs)
    for name, content in files.items():
        if content.startswith(_ELF):
            bare = from_object(ObjectFile(data=content), name.split(".")[0] or "object")
            return replace(bare, btfs=btfs)
    raise InvalidPackage(f"{place} is a tar without {TAR_PACKAGE}, and without an object")


def _assemble(meta: dict[str, Any], data: bytes, place: str, name: str) -> Package:
    """Put metadata of any generation and an object together."""
    facts = describe(data)
    if isinstance(meta.get("export_types"), dict):
        meta = from_november(meta, place)
    package = read_meta(complete(meta, name, data, facts), place)
    extra = dict(package.extra)
    mark = extra.pop(PLATFORM_KEY, None)
    one = ObjectFile(data=data, platform=_platform(mark), portable=mark == _PORTABLE)
    return replace(package, objects=(one,), license=package.license or facts.license, extra=extra)


def _platform(mark: Json) -> Platform | None:
    if mark is None or mark == _PORTABLE:
        return None
    if not isinstance(mark, str):
        raise InvalidPackage(f"{PLATFORM_KEY}: {mark!r} is not a platform")
    try:
        return Platform.parse(mark)
    except UsageError as error:
        raise InvalidPackage(f"{PLATFORM_KEY}: {error.message}") from None


def _marked(package: Package, one: ObjectFile) -> dict[str, Any]:
    """Write metadata with the mark of the object's platform."""
    extra = {key: value for key, value in package.extra.items() if key != _BESIDE_KEY}
    if one.portable or one.platform:
        extra[PLATFORM_KEY] = str(one.platform) if one.platform else _PORTABLE
    return write_meta(replace(package, extra=extra))


# --- writing -------------------------------------------------------------------------------------


def write_composed(package: Package, one: ObjectFile, form: str) -> bytes:
    """Write package.json or package.yaml: one line, keys sorted, as eunomia-bpf's compiler does."""
    beside = package.extra.get(_BESIDE_KEY)
    fields = {
        **(beside if isinstance(beside, dict) else {}),
        "bpf_object": base64.b64encode(zlib.compress(one.data)).decode(),
        "bpf_object_size": len(one.data),
        "meta": _marked(package, one),
    }
    check_written(fields)
    return _dump(fields, form)


def write_skeleton(package: Package, one: ObjectFile, form: str) -> bytes:
    """Write NAME.skel.json or NAME.skel.yaml, for an object that is written beside it."""
    meta = _marked(package, one)
    check_written(meta, "meta")
    return _dump(meta, form)


def write_bundle(package: Package, one: ObjectFile, *, compressed: bool = False) -> bytes:
    """Write the tar of btfgen."""
    plain = replace(package, btfs=())
    name = re.sub(r"[^\w.+-]", "_", package.name, flags=re.ASCII)
    if name == TAR_PACKAGE:
        name = f"{name}.o"
    files = {TAR_PACKAGE: write_composed(plain, one, "json"), name: one.data}
    return write_tar(files, package.btfs, compressed=compressed)


# --- which form a file has -----------------------------------------------------------------------

SUFFIXES = {
    ".skel.json": "skel.json",
    ".skel.yaml": "skel.yaml",
    ".skel.yml": "skel.yaml",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar": "tar",
    ".o": "o",
}
FORMS = tuple(dict.fromkeys(SUFFIXES.values()))


def form_of(name: str) -> str | None:
    """Tell the form that a file's name promises; None if it promises none."""
    return next((form for suffix, form in SUFFIXES.items() if name.endswith(suffix)), None)


def write_files(package: Package, one: ObjectFile, form: str, name: str) -> dict[str, bytes]:
    """Write a package in one of FORMS.

    Args:
        package: what to write.
        one: the object of it that the files are for.
        form: "o" holds the object alone, and a skeleton lies beside its object.
        name: of the file.

    Returns:
        the files' contents by name.
    """
    if form == "o":
        return {name: one.data}
    if form.startswith("tar"):
        return {name: write_bundle(package, one, compressed=form == "tar.gz")}
    if form.startswith("skel."):
        stem, skel, _ = name.partition(".skel.")
        stem = stem if skel else Path(name).stem
        text = write_skeleton(package, one, form.removeprefix("skel."))
        return {name: text, f"{stem}.bpf.o": one.data}
    return {name: write_composed(package, one, form)}


def _dump(fields: dict[str, Any], form: str) -> bytes:
    if form == "yaml":
        return write_yaml(fields)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
