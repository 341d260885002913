"""Manifests and indexes.

Each keeps the exact bytes it was read from: JSON is not canonical, so a digest is never computed
from what was written again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ebpm.errors import InvalidManifest
from ebpm.oci.descriptor import (
    INDEX,
    INDEXES,
    MANIFEST,
    MANIFESTS,
    Descriptor,
    read_annotations,
)
from ebpm.plainjson import loads

LARGEST = 4 << 20
"""Bytes that a manifest may have; registries must take as many (distribution-spec v1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image manifest, which artifacts are as well."""

    raw: bytes = field(repr=False)
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str | None
    subject: Descriptor | None
    annotations: Mapping[str, str]

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """What must be there before the manifest is."""
        return (self.config, *self.layers)

    @property
    def kind(self) -> str:
        """What the artifact is: its artifactType, else its config's type."""
        return self.artifact_type or self.config.media_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An image index: manifests, one for each platform as a rule."""

    raw: bytes = field(repr=False)
    media_type: str
    manifests: tuple[Descriptor, ...]
    artifact_type: str | None
    subject: Descriptor | None
    annotations: Mapping[str, str]

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """What must be there before the index is."""
        return self.manifests


AnyManifest: TypeAlias = Manifest | Index


def parse_manifest(raw: bytes, media_type: str) -> AnyManifest:
    """Read a manifest or an index.

    Args:
        raw: its bytes, hashed already.
        media_type: what the descriptor or the registry calls it.

    Raises:
        InvalidManifest: it is neither, or contradicts its media type.
    """
    if media_type not in MANIFESTS:
        raise InvalidManifest(f"{media_type!r} is no type of manifest that ebpm knows")
    data = _object(raw)
    stated = data.get("mediaType", media_type)
    if stated != media_type:
        raise InvalidManifest(f"a manifest says that it is {stated!r}, and came as {media_type!r}")
    artifact_type, subject = data.get("artifactType"), data.get("subject")
    common: dict[str, Any] = {
        "raw": raw,
        "media_type": media_type,
        "artifact_type": artifact_type if isinstance(artifact_type, str) else None,
        "subject": Descriptor.from_json(subject) if subject is not None else None,
        "annotations": read_annotations(data.get("annotations")),
    }
    if media_type in INDEXES:
        if "layers" in data or "config" in data:
            raise InvalidManifest("an index has layers or a config, as only a manifest has")
        return Index(**common, manifests=_descriptors(data, "manifests"))
    if "manifests" in data:
        raise InvalidManifest("a manifest has manifests, as only an index has")
    config = Descriptor.from_json(data.get("config"))
    return Manifest(**common, config=config, layers=_descriptors(data, "layers"))


def media_type_of(raw: bytes) -> str:
    """Tell what a manifest says that it is; one that says nothing is OCI's.

    Raises:
        InvalidManifest: it is no manifest at all.
    """
    data = _object(raw)
    stated = data.get("mediaType", INDEX if "manifests" in data else MANIFEST)
    if not isinstance(stated, str):
        raise InvalidManifest("a manifest's mediaType is not text")
    return stated


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > LARGEST:
        raise InvalidManifest(f"a manifest of {len(raw)} bytes is larger than {LARGEST}")
    try:
        data = loads(raw)
    except ValueError:
        raise InvalidManifest("a manifest is not JSON") from None
    if not isinstance(data, dict) or data.get("schemaVersion") != 2:
        raise InvalidManifest("a manifest is not an object of schemaVersion 2")
    return data


def _descriptors(data: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    items = data.get(key)
    if items is None:
        items = []
    if not isinstance(items, list):
        raise InvalidManifest(f"{key} is not a list")
    return tuple(Descriptor.from_json(item) for item in items)


def write_json(data: Mapping[str, Any]) -> bytes:
    """Write a document the way we always do: compact, keys sorted, UTF-8.

    A lone surrogate, which others may have put into an annotation, stays the escape that it was.
    """
    text = json.dumps(
        data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return text.encode("utf-8", "backslashreplace")


def write_manifest(
    config: Descriptor,
    layers: Iterable[Descriptor],
    *,
    artifact_type: str | None = None,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """Write a manifest."""
    fields = _common(MANIFEST, artifact_type, subject, annotations)
    fields["config"] = config.to_json()
    fields["layers"] = [layer.to_json() for layer in layers]
    return write_json(fields)


def write_index(
    manifests: Iterable[Descriptor],
    *,
    artifact_type: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """Write an index."""
    fields = _common(INDEX, artifact_type, None, annotations)
    fields["manifests"] = [manifest.to_json() for manifest in manifests]
    return write_json(fields)


def _common(
    media_type: str,
    artifact_type: str | None,
    subject: Descriptor | None,
    annotations: Mapping[str, str] | None,
) -> dict[str, Any]:
    fields: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type}
    if artifact_type:
        fields["artifactType"] = artifact_type
    if subject:
        fields["subject"] = subject.to_json()
    if annotations:
        fields["annotations"] = dict(annotations)
    return fields
