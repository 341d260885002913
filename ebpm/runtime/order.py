"""Which rows of a sampled table come first, and how many are shown.

On the path of ``ebpm run``, imported for tables that are sorted or limited.
"""

from __future__ import annotations

import heapq
import struct

from ebpm.btf import layout as kinds
from ebpm.btf.decode import reader
from ebpm.btf.layout import Layout, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ebpm.btf.decode import Buffer
    from ebpm.runtime.plan import Plan

    Key = Callable[[Buffer], Any]

_NUMBERS = (*kinds.INTEGERS, kinds.BOOL, kinds.FLOAT, kinds.POINTER, kinds.ENUM)
_FORMS = {1: "b", 2: "h", 4: "i", 8: "q"}


class Order:
    """An order of records, and how many of them are kept.

    Args:
        layout: of the records: entries of a map, whose parts have the columns.
        sort: columns with commas between them, in letters of either case; the first decides, the
            next where it leaves a tie. Numbers decrease and text increases, but where ``-``
            (decreasing) or ``+`` (increasing) stands before; ``A+B`` is the sum of two numbers.
            "" takes the first number of the value, if only some rows are kept.
        limit: rows of a reading that are kept; 0 keeps all.

    Raises:
        ValueError: there is no such column, or it is no number or text; what is near is said.
    """

    def __init__(self, layout: Layout, sort: str, limit: int) -> None:
        self._limit = limit
        columns = dict(_columns(layout))
        if not sort and limit:
            sort = _first_number(layout)
        self._keys = [_key(columns, one.strip()) for one in sort.split(",") if one.strip()]

    def best(self, records: Iterable[Buffer]) -> list[bytes]:
        """Put the records of one reading into their order; equal ones by their bytes."""
        keys = self._keys
        if len(keys) == 1:
            only = keys[0]
            ranked: Iterator[tuple[Any, ...]] = ((only(one), bytes(one)) for one in records)
        else:
            ranked = ((*[key(one) for key in keys], bytes(one)) for one in records)
        if not keys:
            return [bytes(one) for one in records]
        if self._limit:
            return [one[-1] for one in heapq.nsmallest(self._limit, ranked)]
        return [one[-1] for one in sorted(ranked)]


def _columns(layout: Layout, base: int = 0) -> Iterator[tuple[str, tuple[int, Member]]]:
    """Walk the columns of an entry by their names in small letters, each with its bit base.

    The last of two of one name is the one that is found: the value's.
    """
    for member in layout.members:
        at = base + member.bit_offset
        if member.layout.kind == kinds.STRUCT and (not base or not member.name):
            yield from _columns(member.layout, at)
        elif member.name:
            yield member.name.lower(), (base, member)


def _first_number(layout: Layout) -> str:
    """Name the first number of the value, else of the whole entry; "" where there is none."""
    value = [one for one in layout.members if one.name == "value"]
    for one in (*[part.layout for part in value], layout):
        for name, (_, member) in _columns(one):
            if member.layout.kind in _NUMBERS:
                return name
    return ""


def _key(columns: dict[str, tuple[int, Member]], text: str) -> Key:
    """Make the function that gives what a record is ranked by: the smallest comes first."""
    sign = text[0] if text[0] in "+-" else ""
    found = [_column(columns, one.strip()) for one in text[len(sign) :].split("+")]
    if len(found) == 1 and found[0][1].layout.kind in (kinds.STRING, kinds.ADDRESS):
        return _text_key(*found[0], decreasing=sign == "-")
    for _, member in found:
        if member.layout.kind not in _NUMBERS:
            what = "text, which has no sum" if len(found) > 1 else "neither a number nor text"
            raise ValueError(f"column {member.name.upper()} is {what}")
    reads = [_number_reader(base, member) for base, member in found]
    if len(reads) == 1:
        read = reads[0]
        return read if sign == "+" else lambda record: -read(record)
    if sign == "+":
        return lambda record: sum([one(record) for one in reads])
    return lambda record: -sum([one(record) for one in reads])


def _column(columns: dict[str, tuple[int, Member]], name: str) -> tuple[int, Member]:
    found = columns.get(name.lower())
    if found is not None:
        return found
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), columns, 1)
    tail = f"did you mean {near[0].upper()}?" if near else f"there are {_listed(columns)}"
    raise ValueError(f"there is no column {name!r}; {tail}")


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(name.upper() for name in columns)


def _number_reader(base: int, member: Member) -> Callable[[Buffer], Any]:
    layout, at = member.layout, (base + member.bit_offset) // 8
    if layout.kind in kinds.INTEGERS and not member.bits and layout.size in _FORMS:
        code = _FORMS[layout.size] if layout.signed else _FORMS[layout.size].upper()
        unpack = struct.Struct(f"={code}").unpack_from
        return lambda record: unpack(record, at)[0]
    moved = Member("one", base + member.bit_offset, member.bits, layout)
    read = reader(Layout(kinds.STRUCT, "", 0, members=(moved,)))

    def number(record: Buffer) -> Any:  # noqa: ANN401  # an int or a float
        value = read(record, 0)["one"]
        return value if value == value and value is not None else float("-inf")  # NaN is least

    return number


def _text_key(base: int, member: Member, *, decreasing: bool) -> Key:
    start = (base + member.bit_offset) // 8
    end = start + member.layout.size
    if member.layout.kind == kinds.ADDRESS:

        def raw(record: Buffer) -> bytes:
            return bytes(record[start:end])
    else:

        def raw(record: Buffer) -> bytes:
            return bytes(record[start:end]).split(b"\0", 1)[0]

    if not decreasing:
        return raw
    # The longer of two that begin alike comes first then: no byte of a text turns into 255.
    turned = bytes(range(255, -1, -1))
    return lambda record: raw(record).translate(turned) + b"\xff"


def chosen_sort(
    plan: Plan, sort: str | None, rows: int | None, *, per_cpu: bool = False
) -> dict[str, str]:
    """Say by what each sampled map of a tool is sorted where the user says so, by its name.

    A map that does not have the columns keeps its own order, if another has them.

    Raises:
        InvalidParameter: the tool has no sampled map, or none has the columns.
    """
    from ebpm.errors import InvalidParameter
    from ebpm.runtime.sampler import with_cpu

    sampled = [one for one in plan.sources if one.sample is not None and one.layout is not None]
    if not sampled and (sort or rows is not None):
        raise InvalidParameter(
            f"{plan.name} has no table that is read at intervals, so that none can be sorted",
            hint="events are printed as they come; `sort` sorts what has ended",
        )
    if sort is None:
        return {}
    found: dict[str, str] = {}
    trouble = ""
    for one in sampled:
        assert one.layout is not None
        try:
            Order(with_cpu(one.layout) if per_cpu else one.layout, sort, 0)
        except ValueError as error:
            trouble = trouble or str(error)
            continue
        found[one.name] = sort
    if not found:
        what, _, hint = trouble.partition("; ")
        raise InvalidParameter(f"{plan.name} cannot be sorted: {what}", hint=hint or None)
    return found
