"""libbpf's log, kept until somebody needs to know what went wrong."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT = 500  # lines
_VERIFIER_END = ("processed ", "verification time", "stack depth", "-- END", "max_states")


class Log:
    """The last lines of libbpf's log.

    Args:
        show: also told every line as it comes (``--verbose``).
    """

    def __init__(self, show: Callable[[str], None] | None = None) -> None:
        self.lines: list[str] = []
        self._show = show

    def __call__(self, level: int, text: str) -> None:
        """Take a line in, whatever its level."""
        if self._show:
            self._show(text)
        if level == 0:
            self.lines.append(text)
            del self.lines[:-_KEPT]

    def last(self) -> str | None:
        """Give the last warning that is neither a verifier's log nor an echo of the errno."""
        for line in reversed(self.lines):
            text = line.removeprefix("libbpf: ")
            if "LOAD LOG --" in text or text.startswith(("failed to load object", "load bpf")):
                continue
            return text
        return None

    def verifier(self) -> tuple[str, str] | None:
        """Give the program that the verifier refused, and the last line that says why, or ""."""
        for line in self.lines:
            if "BEGIN PROG LOAD LOG" not in line:
                continue
            name = line.partition("prog '")[2].partition("'")[0]
            reasons = [text.strip() for text in line.splitlines()[1:]]
            reasons = [text for text in reasons if text and not text.startswith(_VERIFIER_END)]
            return name, reasons[-1] if reasons else ""
        return None

    def program(self) -> str | None:
        """Give the program that the last line which names one is about."""
        for line in reversed(self.lines):
            name = line.partition("prog '")[2].partition("'")[0]
            if name:
                return name
        return None

    def note(self, text: str) -> None:
        """Show a line of our own."""
        if self._show:
            self._show(text)

    def says(self, *words: str) -> bool:
        """Whether any line holds any of the words."""
        return any(word in line for line in self.lines for word in words)
