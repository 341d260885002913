"""What the lines of one source look like, said once for those who write them by the batch.

On the path of ``ebpm run``, imported when a tool has become busy.
"""

from __future__ import annotations

from ebpm.btf.layout import Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ebpm.btf.layout import Layout


class Style:
    """How a line is put together from the texts of its cells.

    Args:
        members: the cells, in their order in a line; each with its offset in the record.
        text: writes the value of a member.
        gaps: gives what stands before each cell and after the last one, one more than there are
            cells; it is told how long the cells' texts are.
        places: where each cell begins if what stands before leaves room, counted from behind what
            begins each line: ``gaps`` depends on the lengths. None where it does not; texts stand
            in quotation marks there, as in JSON.
    """

    __slots__ = ("aligned", "gaps", "members", "places", "text")

    def __init__(
        self,
        members: list[Member],
        text: Callable[[Layout, Any], str],
        gaps: Callable[[list[int]], list[str]],
        places: list[int] | None = None,
    ) -> None:
        self.members = members
        self.text = text
        self.gaps = gaps
        self.places = places
        self.aligned = places is not None


def bits_of(member: Member) -> int:
    """Tell how many bits a member has; 0 for one such as a flexible array."""
    return member.bits or member.layout.size * 8


def flat_members(layout: Layout, base: int = 0) -> list[Member] | None:
    """List a struct's members with those of anonymous members in their place.

    None where two have the same name, or where there is nothing to read.
    """
    found = _flat(layout, base)
    names = {member.name for member in found}
    return found if any(map(bits_of, found)) and len(names) == len(found) else None


def _flat(layout: Layout, base: int) -> list[Member]:
    found: list[Member] = []
    for one in layout.members:
        if one.name:
            found.append(Member(one.name, base + one.bit_offset, one.bits, one.layout))
        else:
            found += _flat(one.layout, base + one.bit_offset)
    return found
