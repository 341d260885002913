"""What values of BTF and ELF have in common. On the path of a first run: it imports nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Value:
    """Equal to another of its class whose parts are the same; not to be changed."""

    __slots__: tuple[str, ...] = ()

    def replaced(self, **parts: Any) -> Self:  # noqa: ANN401  # of any type
        """Copy the value with other parts, by their names."""
        copy = object.__new__(type(self))
        for name in self.__slots__:
            setattr(copy, name, parts[name] if name in parts else getattr(self, name))
        return copy

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in self.__slots__)))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({parts})"
