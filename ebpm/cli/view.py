"""How results look: tables that fit, JSON with a version, progress of what takes its time."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from ebpm.output.escape import escape, escape_json
from ebpm.output.template import Template

JSON_VERSION = 1
"""Of all documents that ``--json`` prints; docs/spec/json.md describes them."""

_PATIENCE = 1.0  # seconds before progress is shown
_INTERVAL = 0.1
_BAR = 30


def show_json(kind: str, **fields: Any) -> None:  # noqa: ANN401  # JSON
    """Print a document: its kind, its schema version, and what it says."""
    document = {"kind": kind, "schemaVersion": JSON_VERSION, **fields}
    click.echo(escape_json(json.dumps(document, ensure_ascii=False, indent=2)))


Show = Callable[..., None]


def with_format(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json`` and ``--format``: it is called with ``show`` in their place.

    ``show(kind, text, **fields)`` prints the fields as the user wants them, or else the text.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
    @click.option(
        "--format",
        "template",
        metavar="json|TEMPLATE",
        help="Print as JSON, or fill in a template: '{{.digest}}'.",
    )
    @functools.wraps(command)
    def wrapped(*, as_json: bool, template: str | None, **options: Any) -> Any:  # noqa: ANN401
        filled = None if as_json or template in (None, "json") else Template(str(template))

        def show(kind: str, text: str, **fields: Any) -> None:  # noqa: ANN401
            if filled:
                document = {"kind": kind, "schemaVersion": JSON_VERSION, **fields}
                click.echo(escape_lines(filled.render(document)), nl=False)
            elif as_json or template:
                show_json(kind, **fields)
            elif text:
                click.echo(text)

        return command(show=show, **options)

    return wrapped


def escape_lines(text: str) -> str:
    """Escape what could play with the terminal, but keep lines and tabs."""
    pieces = re.split(r"([\n\t])", text)
    return "".join(one if one in ("\n", "\t") else escape(one) for one in pieces)


def show_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below headers; on a terminal the last column is cut to fit."""
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [headers, *cells]) for at in range(len(headers))]
    room = _terminal_width()
    for number, row in enumerate([list(headers), *cells]):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line = line.rstrip()
        if room and len(line) > room:
            line = line[: room - 1] + "…"
        click.echo(click.style(line, bold=True) if not number else line)


def _terminal_width() -> int:
    try:
        return os.get_terminal_size(1).columns if os.isatty(1) else 0
    except OSError:
        return 0


def size_text(size: int) -> str:
    """Write bytes for people."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


class ProgressBar:
    """A bar on standard error, shown on a terminal only, and only after a second."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._total = self._done = 0
        self._started = time.monotonic()
        self._drawn = 0.0
        self._lock = threading.Lock()
        self._active = sys.stderr is not None and sys.stderr.isatty()

    def start(self, total: int) -> None:
        """Learn how many bytes there will be."""
        self._total += total

    def advance(self, count: int) -> None:
        """Learn that bytes have come; called from several threads."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if self._active and now - self._started > _PATIENCE and now - self._drawn > _INTERVAL:
                self._drawn = now
                self._draw()

    def _draw(self) -> None:
        part = min(1.0, self._done / self._total) if self._total else 1.0
        bar = "#" * int(part * _BAR)
        text = f"{size_text(self._done)} of {size_text(self._total)}"
        click.echo(f"\r{self._what} [{bar:<{_BAR}}] {text}\x1b[K", nl=False, err=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._drawn:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._drawn = 0.0
