"""Machines as OCI names them: ``linux/amd64``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ebpm.errors import InvalidManifest, UsageError

BIG_ENDIAN = frozenset(("s390x", "ppc64", "mips", "mips64"))
_MACHINES = {  # uname -m: GOARCH, which OCI uses; source: image-spec v1.1, image-index.md
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "ppc64": "ppc64",
    "s390x": "s390x",
    "loongarch64": "loong64",
    "mips64": "mips64",
    "armv7l": "arm",
    "i686": "386",
}


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and an architecture; BPF objects have no variants.

    What else others say of a platform (``variant``, ``os.version``) is kept, and not compared.
    """

    os: str
    architecture: str
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``linux/arm64`` or just ``arm64``."""
        os, slash, architecture = text.rpartition("/")
        words = (os, architecture) if slash else (architecture,)
        if not all(word.isascii() and word.isalnum() for word in words):
            known = _MACHINES.get(architecture, "arm64")
            raise UsageError(f"{text!r} is not a platform", hint=f"write it as linux/{known}")
        return cls(os or "linux", architecture)

    @classmethod
    def of_machine(cls, machine: str) -> Self:
        """Name the platform of a kernel by what ``uname -m`` says."""
        return cls("linux", _MACHINES.get(machine, machine))

    @classmethod
    def from_json(cls, data: Any) -> Self:  # noqa: ANN401  # JSON
        """Read a manifest's ``platform``."""
        if not isinstance(data, Mapping):
            raise InvalidManifest("a platform is not an object")
        os, architecture = data.get("os"), data.get("architecture")
        if not isinstance(os, str) or not isinstance(architecture, str):
            raise InvalidManifest("a platform lacks os or architecture")
        known = ("os", "architecture")
        return cls(os, architecture, {k: v for k, v in data.items() if k not in known})

    def to_json(self) -> dict[str, Any]:
        """Write it for a manifest."""
        return {**self.extra, "architecture": self.architecture, "os": self.os}

    def __str__(self) -> str:
        """Write it as command lines do."""
        return f"{self.os}/{self.architecture}"

    @property
    def big_endian(self) -> bool:
        """Whether the machine stores the most significant byte first."""
        return self.architecture in BIG_ENDIAN
