"""Names by address: sorted once, found by halving."""

from __future__ import annotations

from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Names:
    """Names that begin at addresses and reach so far.

    Args:
        entries: start, size, name, and what else there is; in any order. Of several at one place
            the first is kept. A size of 0 reaches to the next name.
    """

    def __init__(self, entries: Sequence[tuple[int, int, str] | tuple[int, int, str, int]]) -> None:
        first = {entry[0]: entry for entry in reversed(entries)}
        self._starts = sorted(first)
        self._sizes = [first[start][1] for start in self._starts]
        self._names = [first[start][2] for start in self._starts]

    def __len__(self) -> int:
        return len(self._starts)

    def entries(self) -> list[tuple[int, int, str]]:
        """List starts, sizes and names, in the order of their places."""
        return list(zip(self._starts, self._sizes, self._names, strict=True))

    def merged(self, others: Names) -> Names:
        """Put the names of two together; where both have one, the first's counts."""
        entries = [*self.entries(), *others.entries()]
        return Names(entries)

    def find(self, address: int) -> tuple[str, int] | None:
        """Give the name at an address, and where that begins; None where there is none."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        start, size = self._starts[at], self._sizes[at]
        if size and address >= start + size:
            return None
        return self._names[at], start
