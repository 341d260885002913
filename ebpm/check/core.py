"""Whether each CO-RE relocation of an object finds its match among a kernel's types.

The rules are libbpf's, src/relo_core.c: candidates are the types of the same name without flavours
and of the same kind (``bpf_core_find_cands``); of fields, each member on the way is searched by
name, through anonymous ones, and its type must be compatible (``bpf_core_match_member``,
``bpf_core_fields_are_compat``). A relocation without a match is no error by itself: libbpf poisons
the instruction, and the verifier refuses it only where it can be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ebpm.btf import core
from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.errors import InvalidBtf

FIELD_EXISTS = 2
EXISTENCE = (FIELD_EXISTS, core.TYPE_EXISTS, core.ENUMERATORS[0])
"""Kinds that ask whether something is there: "no" is an answer."""
_ZERO = (*EXISTENCE, core.TYPE_SIZE, core.TYPE_ID_TARGET, core.TYPE_MATCHES)
"""Kinds that are answered with 0 where there is no match (``bpf_core_calc_type_relo``)."""
_DEPTH = 32
_ENUMS = (t.KIND_ENUM, t.KIND_ENUM64)
_ALWAYS = (*_ENUMS, t.KIND_STRUCT, t.KIND_UNION, t.KIND_FWD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """What a kernel lacks of what an object asks for."""

    what: str  # "struct task_struct.exit_code", "enum bpf_func_id.BPF_FUNC_x"
    section: str
    offset: int
    guarded: bool  # the object asks whether it is there, or is answered 0: it can be loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answers to all relocations."""

    asked: int
    misses: tuple[Miss, ...]  # each once; those that are not guarded first
    unjudged: tuple[str, ...]  # bpf_core_type_matches, which is left to libbpf

    @property
    def fits(self) -> bool:
        """Whether nothing is lacking that the object relies on."""
        return all(miss.guarded for miss in self.misses)


class Kernel:
    """A kernel's types, with what was found in them: to be kept for many objects.

    Args:
        btf: of the kernel, or of a file that was taken from one.
    """

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._found: dict[str, list[int]] = {}

    def look_up(self, names: set[str]) -> None:
        """Find types of these names, all in one pass."""
        new = names - self._found.keys()
        if new:
            self._found |= {name: [] for name in new} | core.candidates(self.btf, new)

    def named(self, name: str) -> list[int]:
        """List the types of a name without flavours."""
        self.look_up({name})
        return self._found[name]

    def has(self, kind: int, name: str) -> bool:
        """Whether there is a type of a kind and name."""
        return any(self.btf.kind(one) == kind for one in self.named(name))


def compare(data: bytes, kernel: Kernel) -> Verdict:
    """Answer an object's relocations out of a kernel's types.

    Raises:
        InvalidObject, InvalidBtf: the object or the BTF is damaged.
    """
    local, asked = core.questions(data)
    if local is None:
        return Verdict(asked=0, misses=(), unjudged=())
    kernel.look_up({_essential_name(local, one.asked) for one in asked} - {""})
    answers: dict[core.Relocation, bool | None] = {}
    for one in asked:
        if one.asked not in answers:
            answers[one.asked] = _matches(local, one.asked, kernel)
    guards = {(one.type_id, one.path) for one in answers if one.kind in EXISTENCE}
    misses: dict[str, Miss] = {}
    for one in asked:
        if answers[one.asked] is not False:
            continue
        guarded = one.asked.kind in _ZERO or _is_guarded(local, one.asked, guards)
        what = describe(local, one.asked)
        if what not in misses or (misses[what].guarded and not guarded):
            misses[what] = Miss(what=what, section=one.section, offset=one.offset, guarded=guarded)
    return Verdict(
        asked=len(asked),
        misses=tuple(sorted(misses.values(), key=lambda miss: (miss.guarded, miss.what))),
        unjudged=tuple(describe(local, one) for one, answer in answers.items() if answer is None),
    )


def _is_guarded(
    local: Btf, asked: core.Relocation, guards: set[tuple[int, tuple[int, ...]]]
) -> bool:
    """Whether the object asks somewhere for the same, for the way to it, or for the type."""
    for length in range(len(asked.path) + 1):
        if (asked.type_id, asked.path[:length]) in guards:
            return True
    name = core.essential(_name(local, asked.type_id))
    full = _name(local, asked.type_id)
    # A flavour is another view of a type: who has two of them asks which one is right.
    return full != name and any(
        core.essential(_name(local, type_id)) == name for type_id, _ in guards
    )


def _name(btf: Btf, type_id: int) -> str:
    return btf.name(btf.record(type_id)[0]) if type_id else ""


def _essential_name(local: Btf, asked: core.Relocation) -> str:
    return core.essential(_name(local, asked.type_id))


def _matches(local: Btf, asked: core.Relocation, kernel: Kernel) -> bool | None:
    """Whether a relocation finds a match; None where libbpf's rule is not known here."""
    if asked.kind == core.TYPE_ID_LOCAL:
        return True
    name, kind = _essential_name(local, asked), local.kind(asked.type_id)
    alike = [one for one in kernel.named(name) if core.same_kind(kind, kernel.btf.kind(one))]
    if asked.kind in core.FIELDS:

        def fits(mine: int, theirs: int) -> bool:
            return _fields_compatible(local, mine, kernel.btf, theirs)

        return any(
            core.find_field(local, asked, kernel.btf, one, fits) is not None for one in alike
        )
    if asked.kind in core.ENUMERATORS:
        return any(_match_enumerator(local, asked, kernel.btf, one) for one in alike)
    if asked.kind == core.TYPE_MATCHES:
        return None if alike else False
    return any(_types_compatible(local, asked.type_id, kernel.btf, one, _DEPTH) for one in alike)


def _match_enumerator(local: Btf, asked: core.Relocation, kernel: Btf, candidate: int) -> bool:
    mine, theirs = local[local.strip(asked.type_id)], kernel[kernel.strip(candidate)]
    if not isinstance(mine, t.Enum) or not isinstance(theirs, t.Enum):
        return False
    if asked.path[0] >= len(mine.values):
        raise InvalidBtf("a CO-RE relocation asks for an enumerator that its type does not have")
    name = core.essential(mine.values[asked.path[0]][0])
    return any(core.essential(label) == name for label, _ in theirs.values)


def _fields_compatible(local: Btf, mine: int, kernel: Btf, theirs: int) -> bool:
    """``bpf_core_fields_are_compat``."""
    for _ in range(_DEPTH):
        mine, theirs = local.strip(mine), kernel.strip(theirs)
        one, other = local[mine], kernel[theirs]
        if isinstance(one, t.Struct) and isinstance(other, t.Struct):
            return True
        kind = local.kind(mine)
        if not core.same_kind(kind, kernel.kind(theirs)):
            return False
        if kind in (t.KIND_PTR, t.KIND_FLOAT):
            return True
        if kind in (*_ENUMS, t.KIND_FWD):
            names = core.essential(_name(local, mine)), core.essential(_name(kernel, theirs))
            return not all(names) or names[0] == names[1]
        if isinstance(one, t.Int) and isinstance(other, t.Int):
            return not one.bit_offset and not other.bit_offset
        if not isinstance(one, t.Array) or not isinstance(other, t.Array):
            return False
        mine, theirs = one.element, other.element
    return False


def _types_compatible(local: Btf, mine: int, kernel: Btf, theirs: int, depth: int) -> bool:
    """``__bpf_core_types_are_compat``."""
    mine, theirs = local.strip(mine), kernel.strip(theirs)
    one, other = local[mine], kernel[theirs]
    kind = local.kind(mine)
    if not depth or not core.same_kind(kind, kernel.kind(theirs)):
        return False
    if kind in (t.KIND_VOID, *_ALWAYS):
        return True
    if isinstance(one, t.Int) and isinstance(other, t.Int):
        return not one.bit_offset and not other.bit_offset
    if isinstance(one, t.Pointer) and isinstance(other, t.Pointer):
        return _types_compatible(local, one.target, kernel, other.target, depth - 1)
    if isinstance(one, t.Array) and isinstance(other, t.Array):
        return _types_compatible(local, one.element, kernel, other.element, depth - 1)
    if isinstance(one, t.FunctionType) and isinstance(other, t.FunctionType):
        pairs = [(one.returns, other.returns)]
        pairs += [(a, b) for (_, a), (_, b) in zip(one.parameters, other.parameters, strict=False)]
        return len(one.parameters) == len(other.parameters) and all(
            _types_compatible(local, a, kernel, b, depth - 1) for a, b in pairs
        )
    return False


_WORDS = {
    t.KIND_STRUCT: "struct ",
    t.KIND_UNION: "union ",
    t.KIND_ENUM: "enum ",
    t.KIND_ENUM64: "enum ",
}


def describe(local: Btf, asked: core.Relocation) -> str:
    """Say what a relocation asks for, as C would."""
    text = _WORDS.get(local.kind(asked.type_id), "") + (_name(local, asked.type_id) or "{...}")
    found = local[local.strip(asked.type_id)]
    if asked.kind in core.ENUMERATORS and isinstance(found, t.Enum):
        return f"{text}.{found.values[asked.path[0]][0]}"
    if asked.kind in core.FIELDS:
        text += _way(local, asked.type_id, asked.path[1:])
    return text


def _way(local: Btf, type_id: int, path: Sequence[int]) -> str:
    text = ""
    for index in path:
        found = local[local.strip(type_id)]
        if isinstance(found, t.Array):
            text, type_id = f"{text}[{index}]", found.element
        elif isinstance(found, t.Struct) and index < len(found.members):
            member = found.members[index]
            text, type_id = f"{text}.{member.name}" if member.name else text, member.type
    return text
