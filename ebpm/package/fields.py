"""Reading one JSON or YAML object field by field: typed, with the place in every error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ebpm.errors import InvalidPackage

_T = TypeVar("_T")
_NAMES = {str: "text", int: "an integer", bool: "true or false", list: "a list", dict: "an object"}


class Fields:
    """The fields of one object; what is never taken is ``rest``, to be kept.

    Args:
        data: what was read.
        place: where it stands, for errors: ``meta.bpf_skel.maps[2]``.
    """

    def __init__(self, data: Any, place: str) -> None:  # noqa: ANN401  # JSON
        if not isinstance(data, dict):
            raise InvalidPackage(f"{place} is not an object")
        self.place = place
        self.rest: dict[str, Any] = dict(data)

    def required(self, key: str, kind: type[_T]) -> _T:
        """Take a field that must be there."""
        value = self.optional(key, kind)
        if value is None:
            raise InvalidPackage(f"{self.place} lacks the required field {key!r}")
        return value

    def optional(self, key: str, kind: type[_T]) -> _T | None:
        """Take a field; None where it is absent or null."""
        value = self.rest.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise InvalidPackage(f"{self.place}.{key} is not {_NAMES.get(kind, kind.__name__)}")
        return value

    def any(self, key: str) -> Any:  # noqa: ANN401  # JSON
        """Take a field of any type; None where it is absent."""
        return self.rest.pop(key, None)

    def text(self, key: str) -> str | None:
        """Take a text; other values that a comment may have been mistaken for become text."""
        value = self.rest.pop(key, None)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool | int | float):
            return str(value).lower() if isinstance(value, bool) else str(value)
        raise InvalidPackage(f"{self.place}.{key} is not text")

    def each(self, key: str, read: Callable[[Fields], _T]) -> tuple[_T, ...]:
        """Read a list of objects; absent or null is empty."""
        items = self.optional(key, list) or []
        place = f"{self.place}.{key}"
        return tuple(read(Fields(item, f"{place}[{at}]")) for at, item in enumerate(items))

    def child(self, key: str, read: Callable[[Fields], _T]) -> _T | None:
        """Read an object inside; None where it is absent or null."""
        value = self.rest.pop(key, None)
        return None if value is None else read(Fields(value, f"{self.place}.{key}"))


def present(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """Put fields together, leaving out those that are None."""
    return {key: value for key, value in fields.items() if value is not None}


def with_extra(fields: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Add kept keys; a key of ours wins over a kept one of the same name."""
    return {**extra, **fields}
