"""Types as C writes them: ``unsigned int``, ``char[16]``, ``struct task_struct *``."""

from __future__ import annotations

from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.errors import InvalidBtf

_QUALIFIERS = {t.KIND_CONST: "const", t.KIND_VOLATILE: "volatile", t.KIND_RESTRICT: "restrict"}


def type_text(btf: Btf, type_id: int) -> str:
    """Write a type; outermost qualifiers are left out, since a value does not have them."""
    while isinstance(found := btf[type_id], t.Modifier) and found.kind != t.KIND_TYPEDEF:
        type_id = found.target
    return _declare(btf, type_id, "", 32)


def _declare(btf: Btf, type_id: int, inner: str, depth: int) -> str:
    """Write a declaration of ``inner`` (a name, a ``*`` or a suffix) from the inside out."""
    if not depth:
        raise InvalidBtf(f"BTF type {type_id} is nested too deeply")
    found = btf[type_id]
    if isinstance(found, t.Pointer):
        target = btf[found.target]
        star = f"(*{inner})" if isinstance(target, t.Array | t.FunctionType) else f"*{inner}"
        return _declare(btf, found.target, star, depth - 1)
    if isinstance(found, t.Array):
        return _declare(btf, found.element, f"{inner}[{found.count}]", depth - 1)
    if isinstance(found, t.FunctionType):
        parameters = ", ".join(_declare(btf, of, "", depth - 1) for _, of in found.parameters)
        return _declare(btf, found.returns, f"{inner}({parameters or 'void'})", depth - 1)
    if isinstance(found, t.Modifier) and found.kind in _QUALIFIERS:
        word = _QUALIFIERS[found.kind]
        if isinstance(btf[found.target], t.Pointer):
            return _declare(btf, found.target, f"{word} {inner}".rstrip(), depth - 1)
        return f"{word} {_declare(btf, found.target, inner, depth - 1)}"
    if isinstance(found, t.Modifier) and found.kind == t.KIND_TYPE_TAG:
        return _declare(btf, found.target, inner, depth - 1)
    joint = "" if not inner or inner.startswith("[") else " "
    return f"{_name(found)}{joint}{inner}"


def _name(found: t.Type) -> str:
    if isinstance(found, t.Struct | t.Forward):
        return f"{'union' if found.union else 'struct'} {found.name or '{...}'}"
    if isinstance(found, t.Enum):
        return f"enum {found.name or '{...}'}"
    return getattr(found, "name", "") or "void"
