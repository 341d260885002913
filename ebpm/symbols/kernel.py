"""The kernel's symbols, from /proc/kallsyms."""

from __future__ import annotations

from ebpm.symbols.frame import Frame
from ebpm.symbols.names import Names

_CODE = frozenset("tTwWiI")
KERNEL = "[kernel]"


class KernelSymbols:
    """What /proc/kallsyms says, read when first asked.

    Where the addresses are hidden (kernel.kptr_restrict, a missing CAP_SYSLOG), nothing has a name.
    """

    def __init__(self, path: str = "/proc/kallsyms") -> None:
        self._path = path
        self._names: Names | None = None
        self._modules: dict[str, str] = {}  # of the symbols that are a module's

    @property
    def hidden(self) -> bool:
        """Whether there are symbols and their addresses are not told."""
        return not len(self._load())

    def frame(self, address: int, *, returns: bool) -> Frame:
        """Name an address; ``returns`` says that the code before it made a call."""
        found = self._load().find(address - returns)
        if found is None:
            return Frame(address, module=KERNEL)
        name, start = found
        return Frame(address, name, address - start, self._modules.get(name, KERNEL))

    def _load(self) -> Names:
        if self._names is None:
            self._names = Names(self._read())
        return self._names

    def _read(self) -> list[tuple[int, int, str]]:
        entries = []
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    address, kind, name, *module = line.split()
                    if kind in _CODE and (start := int(address, 16)):
                        entries.append((start, 0, name))
                        if module:
                            self._modules[name] = module[0]
        except (OSError, ValueError):
            return []
        return entries
