"""Packages as files: package.json and .yaml, NAME.skel.json and .yaml beside NAME.bpf.o, .bpf.o.

docs/spec/package.md describes them.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpm.errors import InvalidPackage, TargetNotFound, UsageError
from ebpm.oci.platform import Platform
from ebpm.package.bare import from_object
from ebpm.package.describe import describe
from ebpm.package.fields import Fields
from ebpm.package.meta import read_meta, write_meta
from ebpm.package.model import ObjectFile, Package
from ebpm.package.text import read_json_or_yaml, write_yaml

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


def read_package(path: Path) -> Package:
    """Read a package from a file, whatever its form; a skeleton's object lies beside it.

    Raises:
        TargetNotFound: the file, or the object beside it, is not there.
        InvalidPackage: it is malformed.
    """
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise InvalidPackage(f"{path} is larger than any package")
        data = path.read_bytes()
    except OSError as error:
        raise TargetNotFound(f"cannot read {path}: {error.strerror}") from None
    return parse_package(data, str(path), path)


def parse_package(data: bytes, place: str, path: Path | None = None) -> Package:
    """Read a package from bytes.

    Args:
        data: package.json, package.yaml, a skeleton, or an object.
        place: where they came from, for errors.
        path: the file, to find a skeleton's object beside it and to name an object.
    """
    if data.startswith(_ELF):
        return from_object(ObjectFile(data=data), _tool_name(path))
    content = read_json_or_yaml(data, place)
    if not isinstance(content, dict):
        raise InvalidPackage(f"{place} is not a package: it holds no object")
    if "bpf_object" in content:
        return _read_composed(Fields(content, place))
    if "bpf_skel" in content:
        if path is None:
            raise InvalidPackage(f"{place} is a skeleton, whose object is in another file")
        return _read_skeleton(content, path)
    keys = ", ".join(sorted(map(str, content))[:8])
    raise InvalidPackage(f"{place} is not a package: it has {keys or 'nothing'}, and no bpf_object")


def _tool_name(path: Path | None) -> str:
    return path.name.split(".")[0] if path else "object"


def _read_composed(fields: Fields) -> Package:
    text = fields.required("bpf_object", str)
    size = fields.required("bpf_object_size", int)
    meta = read_meta(fields.required("meta", dict), f"{fields.place}.meta")
    data = _decompress(text, size, fields.place)
    kept = {_BESIDE_KEY: fields.rest} if fields.rest else {}
    return _with_object(replace(meta, extra={**meta.extra, **kept}), data)


def _decompress(text: str, size: int, place: str) -> bytes:
    if not 0 <= size <= _OBJECT_LIMIT:
        raise InvalidPackage(f"{place}: bpf_object_size is {size}")
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)  # YAML may fold lines
    except (binascii.Error, ValueError):
        raise InvalidPackage(f"{place}: bpf_object is not base64") from None
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(packed, size + 1)
    except zlib.error:
        raise InvalidPackage(f"{place}: bpf_object is not a zlib stream") from None
    if len(data) != size or not stream.eof:
        more = "more" if len(data) > size else "fewer"
        raise InvalidPackage(f"{place}: bpf_object has {more} than bpf_object_size = {size} bytes")
    return data


def _read_skeleton(content: dict[str, Any], path: Path) -> Package:
    meta = read_meta(content, str(path))
    stem = path.name.split(".skel.")[0] if ".skel." in path.name else path.stem
    beside = path.with_name(f"{stem}.bpf.o")
    try:
        data = beside.read_bytes()
    except OSError as error:
        raise TargetNotFound(
            f"the object of {path.name}, {beside}, cannot be read: {error.strerror}",
            hint="keep the .bpf.o beside its skeleton, or run package.json, which holds both",
        ) from None
    return _with_object(meta, data)


def _with_object(meta: Package, data: bytes) -> Package:
    facts = describe(data)
    extra = dict(meta.extra)
    mark = extra.pop(PLATFORM_KEY, None)
    one = ObjectFile(data=data, platform=_platform(mark), portable=mark == _PORTABLE)
    return replace(meta, objects=(one,), license=meta.license or facts.license, extra=extra)


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
    return _dump(fields, form)


def write_skeleton(package: Package, one: ObjectFile, form: str) -> bytes:
    """Write NAME.skel.json or NAME.skel.yaml, for an object that is written beside it."""
    return _dump(_marked(package, one), form)


def _dump(fields: dict[str, Any], form: str) -> bytes:
    if form == "yaml":
        return write_yaml(fields)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
