"""One workload under two tools: one of ours, and its namesake in Debian's libbpf-tools.

Runs on this machine and in a guest of the kernel matrix alike: it needs Python alone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

WAITING = {
    "x86_64": {"7", "23", "35", "230", "232", "270", "271", "281", "441"},
    "aarch64": {"22", "72", "73", "101", "115", "441"},
}[os.uname().machine]
"""System calls in which a tool sleeps once all its programs are attached: those with poll, select,
epoll_wait and nanosleep in their names."""

Rows = list[dict[str, Any]]


class Workload:
    """A Python script that waits, so that tools can be told its process ID before it begins."""

    def __init__(self, script: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", f"import sys\nsys.stdin.readline()\n{script}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    def go(self) -> None:
        """Let it run to its end."""
        self._process.communicate(b"\n", timeout=60)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


class Both:
    """Runs both tools over one workload."""

    def __init__(
        self, folder: Path, target: Callable[[str], str], *, theirs: str = "/usr/sbin/{}"
    ) -> None:
        """Take a place for their output, what `ebpm run` is to run, and where theirs are."""
        self._folder = folder
        self._target = target
        self._theirs = theirs

    def run(
        self,
        tool: str,
        script: str,
        *,
        ours: Sequence[str] = ("-p", "{pid}"),
        theirs: Sequence[str] = ("-p", "{pid}"),
        settle: float = 0.15,
    ) -> tuple[Rows, str, int]:
        """Give what ours reports, what theirs prints, and the workload's process ID.

        Args:
            tool: the name of both.
            script: in Python, what goes on while both run.
            ours: options; ``{pid}`` is the workload's process.
            theirs: likewise.
            settle: seconds between the end of the workload and that of the tools.
        """
        mine = [sys.executable, "-m", "ebpm", "run", "--json", self._target(tool), *ours]
        other = [self._theirs.format(tool), *theirs]
        out = [self._folder / f"{tool}.ours", self._folder / f"{tool}.theirs"]
        running = []
        with ExitStack() as stack:
            load = Workload(script)
            stack.callback(load.kill)
            for words, path in zip((mine, other), out, strict=True):
                told = [word.replace("{pid}", str(load.pid)) for word in words]
                running.append(stack.enter_context(_tracing(told, path)))
            load.go()
            time.sleep(settle)
            for process in running:  # none sleeps as long as its buffers hold something
                _wait_until_asleep(process)
        lines = out[0].read_text(errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return found, out[1].read_text(errors="replace"), load.pid


@contextmanager
def _tracing(words: Sequence[str], out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a tool from when it is attached; interrupt it, and wait until it has written all."""
    errors = out.with_suffix(out.suffix + ".err")
    with out.open("wb") as file, errors.open("wb") as error:
        process = subprocess.Popen(words, stdout=file, stderr=error, stdin=subprocess.DEVNULL)
    try:
        _wait_until_asleep(process, errors)
        yield process
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        process.kill()
        process.wait()


def _wait_until_asleep(process: subprocess.Popen[bytes], errors: Path | None = None) -> None:
    """Wait until a tool waits for events."""
    for _ in range(1000):
        assert process.poll() is None, errors.read_text() if errors else process.args
        if Path(f"/proc/{process.pid}/syscall").read_text().split()[0] in WAITING:
            return
        time.sleep(0.02)
    raise AssertionError(f"{process.args!r} does not begin to wait")


def of(found: Rows, *columns: str) -> list[tuple[str, ...]]:
    """Take columns of our events, as text."""
    return [tuple(str(one[column]).partition("(")[0] for column in columns) for one in found]


def table(text: str, first: str) -> list[list[str]]:
    """Split the lines below the header that begins with a word into fields."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == [first])
    return [line.split() for line in lines[start + 1 :] if line.strip()]


def bars(text: str) -> Counter[int]:
    """Add up the printed histograms: a count for the lower bound of each slot that has one."""
    total: Counter[int] = Counter()
    for low, count in re.findall(r"^\s*(\d+) -> \d+\s*: (\d+)", text, flags=re.MULTILINE):
        total[int(low)] += int(count)
    return +total


def slots(found: Rows) -> Counter[int]:
    """Add up our histograms in the same way."""
    total: Counter[int] = Counter()
    for row in found:
        for slot, count in enumerate(row["value"]["slots"]):
            total[1 << slot if slot else 0] += count
    return +total
