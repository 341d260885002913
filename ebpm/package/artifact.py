"""Packages as OCI artifacts: an image index with one manifest for each architecture.

docs/spec/artifact.md is the contract. The config holds all metadata, so that inspecting a package
needs no object; the one layer is the object itself. The same package gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ebpm.errors import (
    InvalidManifest,
    InvalidPackage,
    PlatformNotFound,
    UsageError,
    WasmModule,
)
from ebpm.oci.descriptor import INDEX, MANIFEST, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import Index, Manifest, write_index, write_json, write_manifest
from ebpm.oci.platform import Platform
from ebpm.oci.store import MemoryStore, Source, fetch, fetch_manifest
from ebpm.package.fields import Fields, present
from ebpm.package.meta import check_schema, read_meta, write_meta
from ebpm.package.model import SCHEMA_VERSION, ObjectFile, Package
from ebpm.package.schema import check_written
from ebpm.package.text import read_json
from ebpm.package.wasm import LAYER_TYPES

ARTIFACT_TYPE = "application/vnd.ebpm.package.v1"
CONFIG_TYPE = "application/vnd.ebpm.package.config.v1+json"
OBJECT_TYPE = "application/vnd.ebpm.object.v1+elf"
PORTABLE = "dev.ebpm.portable"
"""Annotation on an index's descriptor: "true" where the object serves all little-endian ones."""

PORTABLE_PLATFORMS = (Platform("linux", "amd64"), Platform("linux", "arm64"))
_TITLE = "org.opencontainers.image.title"
_CONFIG_LIMIT = 8 << 20
_OBJECT_LIMIT = 256 << 20
_SPDX = {  # what the kernel takes for a license (include/linux/license.h): SPDX
    "GPL": "GPL-2.0-only",
    "GPL v2": "GPL-2.0-only",
    "GPL and additional rights": "GPL-2.0-only",
    "Dual BSD/GPL": "BSD-2-Clause OR GPL-2.0-only",
    "Dual MIT/GPL": "MIT OR GPL-2.0-only",
    "Dual MPL/GPL": "MPL-2.0 OR GPL-2.0-only",
}


def pack(
    package: Package, *, default: Platform, created: int = 0
) -> tuple[MemoryStore, Descriptor]:
    """Make the artifact of a package.

    Args:
        package: with at least one object.
        default: the platform of objects that nobody said one for.
        created: seconds since the epoch, for the annotation; SOURCE_DATE_EPOCH as a rule.

    Returns:
        the blobs and manifests, and the descriptor of the index.
    """
    if not package.objects:
        raise InvalidPackage(f"package {package.name} has no object")
    store = MemoryStore()
    annotations = _annotations(package, created)
    manifests = []
    taken = {one.platform for one in package.objects}
    for one in sorted(package.objects, key=lambda one: str(one.platform or default)):
        portable = one.portable and one.platform is None
        # A machine that has an object of its own is given that one.
        free = tuple(where for where in PORTABLE_PLATFORMS if where not in taken)
        platforms = free if portable else (one.platform or default,)
        raw = _pack_object(store, package, one, None if portable else platforms[0], annotations)
        marks = {PORTABLE: "true"} if portable else {}
        for platform in platforms:
            descriptor = Descriptor.of(
                raw,
                MANIFEST,
                platform=platform,
                artifact_type=ARTIFACT_TYPE,
                annotations=marks,
            )
            manifests.append(store.add(raw, descriptor))
    index = write_index(manifests, artifact_type=ARTIFACT_TYPE, annotations=annotations)
    root = store.add(index, Descriptor.of(index, INDEX, artifact_type=ARTIFACT_TYPE))
    return store, root


def _pack_object(
    store: MemoryStore,
    package: Package,
    one: ObjectFile,
    platform: Platform | None,
    annotations: dict[str, str],
) -> bytes:
    config = write_json(write_config(package, one, platform))
    title = {_TITLE: f"{package.name}.bpf.o"}
    layer = store.add(one.data, Descriptor.of(one.data, OBJECT_TYPE, annotations=title))
    described = store.add(config, Descriptor.of(config, CONFIG_TYPE))
    return write_manifest(described, [layer], artifact_type=ARTIFACT_TYPE, annotations=annotations)


def _annotations(package: Package, created: int) -> dict[str, str]:
    moment = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    doc = package.documentation
    fields = present(
        title=package.name,
        version=package.version,
        description=doc.brief or doc.description,
        licenses=_SPDX.get(package.license or ""),
        created=moment,
    )
    return {f"org.opencontainers.image.{key}": value for key, value in fields.items()}


def write_config(package: Package, one: ObjectFile, platform: Platform | None) -> dict[str, Any]:
    """Write the config of one object's manifest."""
    meta = write_meta(package)
    check_written(meta, "meta")
    return present(
        schemaVersion=SCHEMA_VERSION,
        name=package.name,
        version=package.version,
        license=package.license,
        os=platform.os if platform else "linux",
        architecture=platform.architecture if platform else None,
        portable=True if platform is None else None,
        object={"digest": str(one.digest), "size": len(one.data)},
        meta=meta,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedObject:
    """One manifest of a package: its metadata, and where its object is; not read yet."""

    package: Package  # without objects
    layer: Descriptor
    platform: Platform | None
    manifest: Descriptor


def read_config(raw: bytes) -> tuple[Package, Platform | None]:
    """Read a config: the package's metadata, and the platform of its object (None: portable).

    Raises:
        InvalidPackage: it is malformed.
        SchemaTooNew: it was written for a later ebpm.
    """
    fields = Fields(read_json(raw, "the package's config"), "config")
    check_schema(fields.text("schemaVersion"))
    package = read_meta(fields.required("meta", dict), "config.meta")
    architecture, os = fields.text("architecture"), fields.text("os") or "linux"
    try:
        platform = Platform.parse(f"{os}/{architecture}") if architecture else None
    except UsageError as error:
        raise InvalidPackage(f"config: {error.message}") from None
    return replace(package, name=fields.text("name") or package.name), platform


def choose(source: Source, root: Descriptor, platform: Platform) -> PackedObject:
    """Find the part of a package that is for a machine.

    Raises:
        PlatformNotFound: no object of it is.
        InvalidPackage: the artifact is not a package.
    """
    found = fetch_manifest(source, root)
    if isinstance(found, Manifest):
        packed = _open(source, found, root)
        if packed.platform not in (None, platform):
            raise PlatformNotFound(f"the package is for {packed.platform}, not for {platform}")
        return _fitting(packed, platform)
    chosen = _for_platform(found, platform)
    manifest = fetch_manifest(source, chosen)
    if not isinstance(manifest, Manifest):
        raise InvalidManifest("a package's index names another index")
    packed = _open(source, manifest, chosen)
    if packed.platform not in (None, platform):
        # The kernel would not notice, so neither index nor config is believed alone.
        raise PlatformNotFound(f"the index promises {platform}, the config says {packed.platform}")
    return _fitting(packed, platform)


def _fitting(packed: PackedObject, platform: Platform) -> PackedObject:
    if packed.platform is None and platform.big_endian:
        raise PlatformNotFound(f"the package is for little-endian machines, not for {platform}")
    return packed


def _for_platform(index: Index, platform: Platform) -> Descriptor:
    for one in index.manifests:
        if one.platform == platform:
            return one
    if not platform.big_endian:
        for one in index.manifests:
            if one.annotations.get(PORTABLE) == "true":
                return one
    known = ", ".join(str(one.platform) for one in index.manifests if one.platform) or "none"
    raise PlatformNotFound(f"the package is for {known}, not for {platform}")


def _open(source: Source, manifest: Manifest, descriptor: Descriptor) -> PackedObject:
    if LAYER_TYPES.intersection(layer.media_type for layer in manifest.layers):
        raise WasmModule("the artifact is a Wasm module, as eunomia-bpf and wasm-bpf push them")
    if manifest.config.media_type != CONFIG_TYPE:
        raise InvalidPackage(
            f"the artifact is of type {manifest.kind!r}, which is no ebpm package",
            hint=f"an ebpm package is of type {ARTIFACT_TYPE}",
        )
    layers = [layer for layer in manifest.layers if layer.media_type == OBJECT_TYPE]
    if len(layers) != 1:
        raise InvalidPackage(f"the package has {len(layers)} objects in one manifest")
    package, platform = read_config(fetch(source, manifest.config, _CONFIG_LIMIT))
    return PackedObject(package=package, layer=layers[0], platform=platform, manifest=descriptor)


def unpack(source: Source, root: Descriptor, platforms: Sequence[Platform]) -> Package:
    """Read a package with its objects for some platforms.

    Raises:
        PlatformNotFound: it has none for one of them.
    """
    objects: dict[tuple[Digest, Platform | None], ObjectFile] = {}
    package = None
    for platform in platforms:
        packed = choose(source, root, platform)
        package = package or packed.package
        data = fetch(source, packed.layer, _OBJECT_LIMIT)
        one = ObjectFile(data=data, platform=packed.platform, portable=packed.platform is None)
        objects[packed.layer.digest, packed.platform] = one
    assert package is not None, "no platform was asked for"
    return replace(package, objects=tuple(objects.values()))


def platforms(source: Source, root: Descriptor) -> list[Platform]:
    """List the platforms that a package says it is for."""
    found = fetch_manifest(source, root)
    if isinstance(found, Manifest):
        packed = _open(source, found, root)
        return [packed.platform] if packed.platform else list(PORTABLE_PLATFORMS)
    return list(dict.fromkeys(one.platform for one in found.manifests if one.platform))
