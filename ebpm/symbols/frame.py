"""One address of a stack, and what is known of it."""

from __future__ import annotations


class Frame:
    """An address and its place.

    Args:
        address: as the processor had it.
        symbol: the function, demangled; None if nobody knows.
        offset: bytes into the function.
        module: where its code is: a path as the process sees it, ``[kernel]``, a kernel module in
            brackets, ``[vdso]``, or a perf map; None if the process is gone or nothing is there.
        module_offset: bytes into the file; of kernel and JIT code, None.
        build_id: of the file, in hex.
    """

    __slots__ = ("address", "build_id", "module", "module_offset", "offset", "symbol")

    def __init__(
        self,
        address: int,
        symbol: str | None = None,
        offset: int | None = None,
        module: str | None = None,
        module_offset: int | None = None,
        build_id: str | None = None,
    ) -> None:
        self.address = address
        self.symbol = symbol
        self.offset = offset
        self.module = module
        self.module_offset = module_offset
        self.build_id = build_id

    def __repr__(self) -> str:
        """Show what is known."""
        known = {slot: getattr(self, slot) for slot in self.__slots__}
        return f"Frame({', '.join(f'{k}={v!r}' for k, v in known.items() if v is not None)})"
