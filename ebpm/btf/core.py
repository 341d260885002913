"""CO-RE: what an object asks of the kernel's types, and where the answers stand.

Source: libbpf's relo_core.c, ``enum bpf_core_relo_kind`` in include/uapi/linux/bpf.h.
"""

from __future__ import annotations

from itertools import accumulate

from ebpm.btf import types as t
from ebpm.btf.canonical import Extension
from ebpm.btf.elf import read_elf
from ebpm.btf.parse import Btf
from ebpm.btf.value import Value
from ebpm.errors import InvalidBtf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

FIELDS = range(6)  # offset, size, existence, sign and the shifts of a bitfield
TYPE_ID_LOCAL, TYPE_ID_TARGET, TYPE_EXISTS, TYPE_SIZE = 6, 7, 8, 9
ENUMERATORS = (10, 11)  # existence, value
TYPE_MATCHES = 12
_PATH_LIMIT = 64  # BPF_CORE_SPEC_MAX_LEN
_FEW = 8  # names that are searched for one by one
_ENUMS = (t.KIND_ENUM, t.KIND_ENUM64)

Step = tuple[int, int]
"""A struct of the kernel and the index of a member in it."""


class Relocation(Value):
    """A question: its kind, a type of the object, and the way from there to a member."""

    __slots__ = ("kind", "path", "type_id")

    def __init__(self, kind: int, type_id: int, path: tuple[int, ...]) -> None:
        self.kind = kind
        self.type_id = type_id
        self.path = path  # indexes: the first into the type itself, as of an array


class Question(Value):
    """A relocation, and the instruction that it is for."""

    __slots__ = ("asked", "offset", "section")

    def __init__(self, section: str, offset: int, asked: Relocation) -> None:
        self.section = section
        self.offset = offset  # bytes into the section
        self.asked = asked


def questions(data: bytes) -> tuple[Btf | None, list[Question]]:
    """Read an object's CO-RE relocations with their places; and its BTF, if it has any.

    Raises:
        InvalidObject, InvalidBtf: it is damaged.
    """
    elf = read_elf(data)
    types, ext = elf.section(".BTF"), elf.section(".BTF.ext")
    if types is None or not types.data:
        return None, []
    btf = Btf(types.data)
    if ext is None or not ext.data:
        return btf, []
    extension = Extension(btf.order, ext.data)
    found = []
    for name, at in extension.relocations:
        offset, type_id, path, kind = (extension.word(at + step) for step in (0, 4, 8, 12))
        asked = Relocation(kind, type_id, _indexes(btf.string(path)))
        found.append(Question(btf.name(extension.word(name)), offset, asked))
    return btf, found


def relocations(data: bytes) -> tuple[Btf | None, list[Relocation]]:
    """Read an object's CO-RE relocations, each once, in their order; and its BTF, if it has any.

    Raises:
        InvalidObject, InvalidBtf: it is damaged.
    """
    btf, found = questions(data)
    return btf, list(dict.fromkeys(one.asked for one in found))


def _indexes(text: str) -> tuple[int, ...]:
    parts = text.split(":", _PATH_LIMIT)
    if len(parts) > _PATH_LIMIT or not all(part.isdecimal() and len(part) < 11 for part in parts):
        raise InvalidBtf(f"{text[:80]!r} is no way to a member")
    return tuple(int(part) for part in parts)


def essential(name: str) -> str:
    """Take the flavour off a name: ``task_struct___old`` asks for ``task_struct``."""
    for at in range(len(name) - 5, -1, -1):
        if name[at + 1 : at + 4] == "___" and name[at] != "_" and name[at + 4] != "_":
            return name[: at + 1]
    return name


def candidates(kernel: Btf, names: Collection[str]) -> dict[str, list[int]]:
    """Find the kernel's types by their names without flavours.

    No name begins inside another string: neither compilers nor pahole write such BTF.
    """
    wanted = {name.encode(): name for name in names}
    places = _places if len(names) <= _FEW else _places_in_one_pass
    known = {place: wanted[name] for name, place in places(kernel.strings, wanted)}
    found: dict[str, list[int]] = {}
    for type_id, place in kernel.named(known):
        found.setdefault(known[place], []).append(type_id)
    return found


def _places(strings: bytes, names: Collection[bytes]) -> Iterator[tuple[bytes, int]]:
    """Find where names stand, alone or with a flavour; each by a search."""
    for name in names:
        begin = b"\0" + name
        at = strings.find(begin)
        while at >= 0:
            text = strings[at + 1 : strings.find(b"\0", at + 1)]
            if text == name or (b"___" in text and _plain(text) == name):
                yield name, at + 1
            at = strings.find(begin, at + 1)


def _places_in_one_pass(strings: bytes, names: Collection[bytes]) -> Iterator[tuple[bytes, int]]:
    """Find the same."""
    texts = strings.split(b"\0")
    starts = accumulate(map((1).__add__, map(len, texts)), initial=0)
    for text, at in zip(texts, starts, strict=False):
        if text in names:
            yield text, at
        elif b"___" in text and _plain(text) in names:
            yield _plain(text), at


def _plain(text: bytes) -> bytes:
    return essential(text.decode("utf-8", "replace")).encode()


def same_kind(one: int, other: int) -> bool:
    """Whether two kinds may stand for one another: enums of either width may."""
    return one == other or (one in _ENUMS and other in _ENUMS)


def find_field(
    local: Btf,
    asked: Relocation,
    kernel: Btf,
    candidate: int,
    fits: Callable[[int, int], bool] | None = None,
) -> Sequence[Step] | None:
    """Follow a relocation's way by the names of the members: as ``bpf_core_spec_match``.

    Args:
        local: the object's types.
        asked: for a field.
        kernel: the types to search.
        candidate: where to begin among them.
        fits: whether the kernel's type of a member may stand for the object's (their ids, the
            object's first); if None, that is left to libbpf.

    Returns:
        the members on the way; None where the kernel lacks one.
    """
    steps: list[Step] = []
    mine, theirs = asked.type_id, candidate
    for index in asked.path[1:]:
        mine, theirs = local.strip(mine), kernel.strip(theirs)
        one, other = local[mine], kernel[theirs]
        if isinstance(one, t.Array):
            if not isinstance(other, t.Array) or 0 < other.count <= index:  # 0: a flexible one
                return None
            mine, theirs = one.element, other.element
            continue
        if not isinstance(one, t.Struct) or index >= len(one.members):
            raise InvalidBtf("a CO-RE relocation asks for a member that the object does not know")
        member = one.members[index]
        mine = member.type
        if not member.name:
            continue  # the kernel may have it elsewhere: the next name is searched from here
        way = _find_member(kernel, theirs, member.name)
        if not way:
            return None
        steps += way
        struct, at = way[-1]
        found = kernel[struct]
        assert isinstance(found, t.Struct)
        theirs = found.members[at].type
        if fits and not fits(mine, theirs):
            return None
    return steps


def _find_member(kernel: Btf, type_id: int, name: str) -> list[Step]:
    """Find a member in a struct and the anonymous ones in it; empty if it is not there."""
    seen = set()
    waiting: list[tuple[int, tuple[Step, ...]]] = [(type_id, ())]
    while waiting:
        type_id, way = waiting.pop()
        type_id = kernel.strip(type_id)
        found = kernel[type_id]
        if type_id in seen or not isinstance(found, t.Struct):
            continue
        seen.add(type_id)
        inner = []
        for at, member in enumerate(found.members):
            if member.name == name:
                return [*way, (type_id, at)]
            if not member.name:
                inner.append((member.type, (*way, (type_id, at))))
        waiting += reversed(inner)
    return []
