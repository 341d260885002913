"""Descriptors: what a blob is, how long it is, and what it hashes to (image-spec v1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ebpm.errors import InvalidDigest, InvalidManifest
from ebpm.oci.digest import Digest
from ebpm.oci.platform import Platform

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
INDEXES = (INDEX, DOCKER_INDEX)

REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A pointer to content."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes, media_type: str, **fields: Any) -> Self:  # noqa: ANN401
        """Describe bytes."""
        return cls(media_type=media_type, digest=Digest.of(data), size=len(data), **fields)

    @classmethod
    def from_json(cls, data: Any) -> Self:  # noqa: ANN401  # JSON
        """Read a descriptor.

        Raises:
            InvalidManifest: it lacks a field, or one has a wrong type.
        """
        if not isinstance(data, Mapping):
            raise InvalidManifest("a descriptor is not an object")
        rest = dict(data)
        media_type, digest, size = (rest.pop(key, None) for key in ("mediaType", "digest", "size"))
        platform, artifact_type = rest.pop("platform", None), rest.pop("artifactType", None)
        if not isinstance(media_type, str) or not isinstance(digest, str):
            raise InvalidManifest("a descriptor lacks mediaType or digest")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
            raise InvalidManifest(f"the descriptor of {digest[:80]} has no valid size")
        try:
            parsed = Digest.parse(digest)
        except InvalidDigest as error:
            raise InvalidManifest(error.message) from None
        return cls(
            media_type=media_type,
            digest=parsed,
            size=size,
            annotations=read_annotations(rest.pop("annotations", None)),
            platform=None if platform is None else Platform.from_json(platform),
            artifact_type=(isinstance(artifact_type, str) and artifact_type) or None,
            extra=rest,
        )

    def to_json(self) -> dict[str, Any]:
        """Write it for a manifest."""
        fields: dict[str, Any] = {
            **self.extra,
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.annotations:
            fields["annotations"] = dict(self.annotations)
        if self.platform:
            fields["platform"] = self.platform.to_json()
        if self.artifact_type:
            fields["artifactType"] = self.artifact_type
        return fields

    @property
    def is_manifest(self) -> bool:
        """Whether it points to a manifest or an index, which registries keep apart from blobs."""
        return self.media_type in MANIFESTS

    @property
    def ref_name(self) -> str | None:
        """The name that a layout's index gives it."""
        return self.annotations.get(REF_NAME)

    def named(self, name: str | None) -> Self:
        """Give it a name in a layout's index, or take it away."""
        others = {key: value for key, value in self.annotations.items() if key != REF_NAME}
        return replace(self, annotations=others | ({REF_NAME: name} if name else {}))


def read_annotations(data: Any) -> dict[str, str]:  # noqa: ANN401  # JSON
    """Read a map of annotations; null and absent are empty."""
    if data is None:
        return {}
    if not isinstance(data, Mapping) or not all(
        isinstance(key, str) and isinstance(value, str) for key, value in data.items()
    ):
        raise InvalidManifest("annotations are not a map of text to text")
    return dict(data)
