"""Content addresses: ``sha256:`` and 64 hex digits.

Grammar: image-spec v1.1 descriptor.md, "Digests". Only the algorithms registered there are known.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from ebpm.errors import InvalidDigest

_LENGTHS = {"sha256": 64, "sha512": 128}
_TEXT = re.compile(r"(sha256|sha512):([0-9a-f]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest whose grammar has been checked, so that it may become part of a path or URL."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a digest; raise InvalidDigest if it is not one of a known algorithm."""
        match = _TEXT.fullmatch(text)
        if match is None or len(match[2]) != _LENGTHS[match[1]]:
            raise InvalidDigest(f"{text[:200]!r} is not a digest")
        return cls(match[1], match[2])

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """Hash bytes."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def __str__(self) -> str:
        """Write it as manifests do."""
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 digits, for people."""
        return self.hex[:12]
