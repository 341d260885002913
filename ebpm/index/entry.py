"""One tool in an index: what people search, what they look at before they run it, where it lies.

The contract is docs/spec/index.md; keys that a later version adds are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ebpm.errors import InvalidIndex
from ebpm.oci.digest import Digest

SCHEMA_VERSION = "1.0"
_TEXTS = ("version", "summary", "license", "source", "kernel", "reference")
_LISTS = ("groups", "keywords", "maintainers", "options", "hooks", "platforms")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A tool in an index."""

    name: str
    summary: str
    digest: Digest  # of the package's OCI index
    size: int  # of that, in bytes
    version: str = ""
    groups: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    license: str = ""
    source: str = ""
    maintainers: tuple[str, ...] = ()
    kernel: str = ""  # the first that it runs on, by its author and by its object
    options: tuple[str, ...] = ()  # CONFIG_… of the kernel
    hooks: tuple[str, ...] = ()  # sections of its programs
    platforms: tuple[str, ...] = ()
    reference: str = ""  # repository, where it is not BASE/NAME of the index's own base
    parameters: tuple[Mapping[str, Any], ...] = ()
    reports: tuple[Mapping[str, Any], ...] = ()
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """Write the entry as one line of JSON; its name comes first."""
        data: dict[str, Any] = {"name": self.name, "digest": str(self.digest), "size": self.size}
        for key in (*_TEXTS, *_LISTS, "parameters", "reports", "capabilities"):
            value = getattr(self, key)
            if value:
                data[key] = list(value) if isinstance(value, tuple) else value
        return json.dumps(data | dict(self.extra), separators=(",", ":")).encode("ascii")

    @classmethod
    def from_line(cls, line: bytes) -> IndexEntry:
        """Read a line of JSON.

        Raises:
            InvalidIndex: it is malformed.
        """
        try:
            data = json.loads(line)
            known: dict[str, Any] = {
                "name": _text(data.pop("name")),
                "digest": Digest.parse(data.pop("digest")),
                "size": int(data.pop("size")),
            }
            known |= {key: _text(data.pop(key, "")) for key in _TEXTS}
            known |= {key: tuple(map(_text, data.pop(key, ()))) for key in _LISTS}
            for key in ("parameters", "reports"):
                known[key] = tuple(dict(one) for one in data.pop(key, ()))
            known["capabilities"] = dict(data.pop("capabilities", {}))
            return cls(**known, extra=data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidIndex(f"an entry of the index is malformed: {error}") from None

    def search_row(self) -> tuple[str, str, str, str, str]:
        """Give what is searched: name, summary, groups, keywords, hooks."""
        hooks = dict.fromkeys(word for hook in self.hooks for word in hook.split("/") if word)
        groups, keywords = " ".join(self.groups), " ".join(self.keywords)
        return self.name, self.summary, groups, keywords, " ".join(hooks)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
