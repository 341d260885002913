"""Tables that fit a terminal: narrower columns, and lines that are cut rather than wrapped.

On the path of ``ebpm run``, imported for terminals alone: what goes into a pipe is whole.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = "…"  # stands where something was cut off
_BOTH_ENDS = 12  # columns that both ends of a text need at least


def fitted(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Make columns narrower until they have room: the widest first, none below its least.

    Args:
        widths: of the columns, in characters, with the gaps behind them.
        least: below which a column is not made narrower.
        room: characters that all have together. The last column takes what is left: only its
            least counts.
    """
    found = [*widths[:-1], *least[-1:]]
    excess = sum(found) - room
    while excess > 0:
        width, at = max(
            ((one, -at) for at, one in enumerate(found) if one > least[at]), default=(0, 0)
        )
        if not width:
            break
        found[-at] -= 1
        excess -= 1
    return found


def cut(text: str, room: int) -> str:
    """Cut text that takes more than some columns of a terminal; a mark takes the last one then."""
    if len(text) <= room and text.isascii():
        return text
    if text.isascii():
        return text[: max(room - 1, 0)] + _MARK
    from unicodedata import combining, east_asian_width

    used, whole = 0, 0  # columns; characters that still leave one column for the mark
    for at, one in enumerate(text):
        used += 0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1
        if used < room:
            whole = at + 1
        elif used > room:
            return text[:whole] + _MARK
    return text


def cut_middle(text: str, room: int) -> str:
    """Cut text that takes more than some columns, of which both ends tell something: a path."""
    if len(text) <= room and text.isascii():
        return text
    if not text.isascii() or room < _BOTH_ENDS:
        return cut(text, max(room, 0))
    end = (room - 1) * 2 // 3  # the end of a path says more than its beginning
    return text[: room - 1 - end] + _MARK + text[len(text) - end :]
