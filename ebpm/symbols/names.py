"""Names by address: sorted once, found by halving."""

from __future__ import annotations

from bisect import bisect_right


class Names:
    """Names that begin at addresses and reach so far.

    Args:
        entries: (start, size, name); of several at one place the first is kept. A size of 0 reaches
            to the next name.
    """

    def __init__(self, entries: list[tuple[int, int, str]]) -> None:
        self._starts: list[int] = []
        self._sizes: list[int] = []
        self._names: list[str] = []
        for start, size, name in sorted(entries, key=lambda entry: entry[0]):  # keeps their order
            if not self._starts or start != self._starts[-1]:
                self._starts.append(start)
                self._sizes.append(size)
                self._names.append(name)

    def __len__(self) -> int:
        return len(self._starts)

    def find(self, address: int) -> tuple[str, int] | None:
        """Give the name at an address, and where that begins; None where there is none."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        start, size = self._starts[at], self._sizes[at]
        if size and address >= start + size:
            return None
        return self._names[at], start
