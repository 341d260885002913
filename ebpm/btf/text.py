"""Types as C writes them: ``unsigned int``, ``char[16]``, ``struct task_struct *``."""

from __future__ import annotations

from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.errors import InvalidBtf

_QUALIFIERS = {t.KIND_CONST: "const", t.KIND_VOLATILE: "volatile", t.KIND_RESTRICT: "restrict"}
_DEPTH_LIMIT = 32
_PARTS_LIMIT = 2000  # functions that take functions: a few records may stand for any length


def type_text(btf: Btf, type_id: int) -> str:
    """Write a type; outermost qualifiers are left out, since a value does not have them.

    Those of an array are its elements' (``const volatile char name[8]`` is a ``char[8]``).

    Raises:
        InvalidBtf: the type contains itself, or is longer than anybody would write.
    """
    suffix = ""
    for _ in range(_DEPTH_LIMIT):
        found = btf[type_id]
        if isinstance(found, t.Array):
            suffix += f"[{found.count}]"
            type_id = found.element
        elif isinstance(found, t.Modifier) and found.kind != t.KIND_TYPEDEF:
            type_id = found.target
        else:
            break
    return _Writer(btf).declare(type_id, suffix, _DEPTH_LIMIT)


class _Writer:
    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.parts = 0

    def declare(self, type_id: int, inner: str, depth: int) -> str:
        """Write a declaration of ``inner`` (a name, a ``*`` or a suffix) from the inside out."""
        self.parts += 1
        if not depth or self.parts > _PARTS_LIMIT:
            raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
        found = self.btf[type_id]
        if isinstance(found, t.Pointer):
            target = self.btf[found.target]
            star = f"(*{inner})" if isinstance(target, t.Array | t.FunctionType) else f"*{inner}"
            return self.declare(found.target, star, depth - 1)
        if isinstance(found, t.Array):
            return self.declare(found.element, f"{inner}[{found.count}]", depth - 1)
        if isinstance(found, t.FunctionType):
            # a parameter of no type is how BTF writes "..."
            words = [self.declare(of, "", depth - 1) if of else "..." for _, of in found.parameters]
            parameters = ", ".join(words) or "void"
            return self.declare(found.returns, f"{inner}({parameters})", depth - 1)
        if isinstance(found, t.Modifier) and found.kind in _QUALIFIERS:
            word = _QUALIFIERS[found.kind]
            if isinstance(self.btf[found.target], t.Pointer):
                return self.declare(found.target, f"{word} {inner}".rstrip(), depth - 1)
            return f"{word} {self.declare(found.target, inner, depth - 1)}"
        if isinstance(found, t.Modifier) and found.kind == t.KIND_TYPE_TAG:
            return self.declare(found.target, inner, depth - 1)
        joint = "" if not inner or inner.startswith("[") else " "
        return f"{_name(found)}{joint}{inner}"


def _name(found: t.Type) -> str:
    if isinstance(found, t.Struct | t.Forward):
        return f"{'union' if found.union else 'struct'} {found.name or '{...}'}"
    if isinstance(found, t.Enum):
        return f"enum {found.name or '{...}'}"
    return getattr(found, "name", "") or "void"
