"""What a bundle says of itself: a file beside those of the layout, which others leave alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from ebpm.errors import EbpmError, InvalidManifest
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import write_json
from ebpm.plainjson import loads

NOTES = ".ebpm/bundle.json"
"""Its name in the archive."""

LARGEST_NOTES = 64 << 20
"""Bytes that it may have."""

_VERSION = 1


@dataclass(slots=True)
class Notes:
    """What a bundle says of itself."""

    left_out: set[str] = field(default_factory=set)  # digests of platforms that nobody wanted
    base: str | None = None  # digest of the index of the bundle that has the other blobs
    lock: dict[str, Any] | None = None

    @classmethod
    def read(cls, raw: bytes | None, path: str) -> Self:
        """Read them; an archive that another tool made has none.

        Raises:
            InvalidManifest: they are damaged, or of a later version.
        """
        if raw is None:
            return cls()
        try:
            data: Any = loads(raw)
            version, left_out, base = data["schemaVersion"], data["leftOut"], data["base"]
            lock = data.get("lock")
            for digest in [*left_out, *([base] if base else [])]:
                Digest.parse(digest)
        except (EbpmError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidManifest(f"{path}: {NOTES} is damaged: {error}") from None
        if version != _VERSION:
            raise InvalidManifest(
                f"{path} was made by a later ebpm", hint="upgrade ebpm on this machine"
            )
        return cls(set(left_out), base, lock)

    def write(self) -> bytes:
        """Write them."""
        return write_json(
            {
                "schemaVersion": _VERSION,
                "leftOut": sorted(self.left_out),
                "base": self.base,
                "lock": self.lock,
            }
        )
