"""What benchmarks share: the machine, tables of ratios, bars."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def machine() -> str:
    """Say in a line what this was measured on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU part")):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return (
        f"{len(os.sched_getaffinity(0))} CPUs ({model}), Linux {os.uname().release} "
        f"{os.uname().machine}, Python {platform.python_version()}, load {load:.1f} at the start"
    )


REAL_TIME: list[bool] = []
"""Not empty: measured processes go before all others. For a machine of one's own alone."""

LOOSE = [1.0]
"""How much easier bars are made to reach."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Give the options that the benchmarks have in common; parse them with ``parse``."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n", 1)[0])
    parser.add_argument("--short", action="store_true", help="fewer, shorter runs")
    parser.add_argument(
        "--loose",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="make bars so much easier to reach, to see losses alone on a busy machine",
    )
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; the bars are as loose as it says from here on."""
    given = parser.parse_args()
    LOOSE[:] = [given.loose]
    REAL_TIME[:] = [True] * getattr(given, "real_time", False)
    return given


def place(cpu: int, priority: int = 10) -> None:
    """Stay on a CPU; before the processes that are not real-time, if the user asked for that."""
    os.sched_setaffinity(0, {cpu})
    go_first(priority)


def go_first(priority: int) -> None:
    """Become a real-time process, if the user asked for that."""
    if REAL_TIME:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


class Table:
    """Rows with a figure each, and the bar that some have to reach."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.rows: list[tuple[str, str, str, str]] = []
        self.missed: list[str] = []

    def note(self, what: str, value: str) -> None:
        """Add a figure that has no bar."""
        self.rows.append((what, value, "", ""))

    def at_least(self, what: str, ratio: float, bar: float, detail: str = "") -> None:
        """Add a ratio that has to be so high."""
        bar /= LOOSE[0]
        self._bar(what, f"{ratio:.2f} x", f"≥ {bar:g} x", detail, reached=ratio >= bar)

    def at_most(
        self, what: str, value: float, bar: float, unit: str = "x", detail: str = ""
    ) -> None:
        """Add a figure that may be no higher."""
        bar *= LOOSE[0]
        shown = f"{value:.3g} {unit}"
        self._bar(what, shown, f"≤ {bar:g} {unit}", detail, reached=value <= bar)

    def _bar(self, what: str, value: str, bar: str, detail: str, *, reached: bool) -> None:
        self.rows.append((what, value, bar if reached else f"{bar}  MISSED", detail))
        if not reached:
            self.missed.append(what)

    def show(self) -> None:
        """Print it as Markdown."""
        print(f"\n### {self.title}\n")
        print("| what | measured | bar | |\n|---|---|---|---|")
        for row in self.rows:
            print(f"| {' | '.join(row)} |")


def finish(tables: Sequence[Table]) -> int:
    """Print the tables; give the exit status, 1 if a bar was missed."""
    missed = [f"{table.title}: {what}" for table in tables for what in table.missed]
    for table in tables:
        table.show()
    if missed:
        print("\nMissed:\n" + "\n".join(f"- {one}" for one in missed))
    sys.stdout.flush()
    return 1 if missed else 0


def median(values: Sequence[float]) -> float:
    """Give the median."""
    return statistics.median(values)
