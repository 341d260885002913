"""Stacks of addresses to stacks of names."""

from __future__ import annotations

from ebpm.symbols.demangle import Demangler
from ebpm.symbols.frame import Frame
from ebpm.symbols.kernel import KernelSymbols
from ebpm.symbols.process import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Symbolizer:
    """Names addresses of the kernel and of processes.

    All but the first address of a stack are those that calls return to.
    """

    def __init__(self) -> None:
        self._kernel = KernelSymbols()
        self._processes = Processes()
        self._demangler = Demangler()
        self._asked_kernel = False

    def kernel(self, addresses: Sequence[int]) -> list[Frame]:
        """Name a stack of the kernel, innermost first."""
        self._asked_kernel = self._asked_kernel or bool(addresses)
        frames = [self._kernel.frame(one, returns=at > 0) for at, one in enumerate(addresses)]
        return self._demangled(frames)

    def user(self, pid: int, addresses: Sequence[int]) -> list[Frame]:
        """Name a stack of a process, innermost first."""
        return self._demangled(self._processes.frames(pid, addresses))

    def look(self, pids: Collection[int]) -> None:
        """Learn where the code of processes lies, whose stacks are read later."""
        for pid in pids:
            self._processes.learn(pid)

    @property
    def kernel_hidden(self) -> bool:
        """Whether the kernel, when asked, did not tell where its functions are."""
        return self._asked_kernel and self._kernel.hidden

    def _demangled(self, frames: list[Frame]) -> list[Frame]:
        named = [frame for frame in frames if frame.symbol]
        names = self._demangler.names([frame.symbol or "" for frame in named])
        for frame, name in zip(named, names, strict=True):
            frame.symbol = name
        return frames
