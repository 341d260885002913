"""Errors and notes to people, on standard error. On the path of ``ebpm run``."""

from __future__ import annotations

import os
import sys

from ebpm.errors import EbpmError, Interrupted, SystemRefused
from ebpm.output.escape import escape

_RED, _YELLOW, _CYAN, _PLAIN = "\x1b[1;31m", "\x1b[1;33m", "\x1b[36m", "\x1b[0m"


def report(error: EbpmError) -> int:
    """Print an error with its hint; give the exit status."""
    lines = [f"{_paint(_RED, f'error[{error.code}]')}: {_safe(error.message)}"]
    if error.detail:
        lines.append(_safe(error.detail))
    lines.append(f"{_paint(_CYAN, 'hint')}: {_safe(error.hint)}")
    write("\n".join(lines))
    return error.status


def refused(error: OSError) -> int:
    """Print what the system refused; give the exit status."""
    place = f"{error.filename}: " if error.filename else ""
    return report(SystemRefused(f"{place}{error.strerror or error}"))


def interrupted() -> int:
    """Say that Ctrl-C ended the command; give the exit status."""
    write("interrupted")
    return Interrupted.status


def warn(text: str) -> None:
    """Print a warning."""
    write(f"{_paint(_YELLOW, 'warning')}: {_safe(text)}")


def tell(text: str) -> None:
    """Print lines of somebody else: of a compiler, of libbpf, of a client's request."""
    write(_safe(text))


def note(text: str) -> None:
    """Print something that only a person at a terminal wants to know."""
    if _terminal():
        write(_safe(text))


def write(text: str) -> None:
    """Print lines to standard error, which may be closed."""
    try:
        os.write(2, f"{text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


def _safe(text: str) -> str:
    """Keep line ends and tabs, and escape what could play with the terminal."""
    return "\n".join("\t".join(map(escape, line.split("\t"))) for line in text.split("\n"))


def _paint(colour: str, text: str) -> str:
    if not _terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"{colour}{text}{_PLAIN}"


def _terminal() -> bool:
    try:
        return sys.stderr is not None and os.isatty(2)
    except OSError:
        return False
