"""C++ and Rust names as people write them, through ``c++filt`` where it is installed."""

from __future__ import annotations

import shutil
import subprocess

_PREFIXES = ("_Z", "_R", "__Z")
_CACHE = 65536
_PATIENCE = 5.0  # seconds


class Demangler:
    """Demangles names, several at a time; a bounded number of answers is kept."""

    def __init__(self) -> None:
        self._program: str | None = None
        self._looked = False
        self._known: dict[str, str] = {}

    def names(self, mangled: list[str]) -> list[str]:
        """Demangle names; those that are not mangled, or not understood, stay as they are."""
        unknown = [name for name in dict.fromkeys(mangled) if self._asks(name)]
        if unknown:
            self._ask(unknown)
        return [self._known.get(name, name) for name in mangled]

    def _asks(self, name: str) -> bool:
        return name.startswith(_PREFIXES) and name not in self._known and "\n" not in name

    def _ask(self, names: list[str]) -> None:
        if not self._looked:
            self._looked = True
            self._program = shutil.which("c++filt")
        if self._program is None:
            return
        if len(self._known) > _CACHE:
            self._known.clear()
        try:
            done = subprocess.run(
                [self._program],
                input="\n".join(names),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_PATIENCE,
                start_new_session=True,  # Ctrl-C is for us
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            self._program = None  # not again
            return
        answers = done.stdout.rstrip("\n").split("\n")
        if len(answers) == len(names):
            self._known.update(zip(names, answers, strict=True))
