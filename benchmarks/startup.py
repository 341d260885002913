"""How fast a tool is there: process start to the line of its first event, beside C and bpftrace.

    benchmarks/startup.py [--short]

A process opens one file again and again; each tool is started on a terminal, and the clock stops
when that file's line comes. All run in turn, in one series. Ours is the wheel of this checkout, in
a virtual environment of its own. Needs root, two CPUs and Debian's libbpf-tools; bpftrace if there.
"""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import tty
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import figures
from benchmarks.figures import ROOT, Table, finish, machine, median, place

MARK = b"/nonexistent/ebpm"
OPENER = """
import os, time
while True:
    try:
        os.open("/nonexistent/ebpm", 0)
    except OSError:
        time.sleep(0.0001)
"""
C_TOOL = "/usr/sbin/opensnoop"  # of libbpf-tools


class Installed:
    """The wheel of this checkout, in a virtual environment; what it requires is lent by ours."""

    def __init__(self, folder: Path) -> None:
        def do(command: list[str | Path], **options: object) -> None:
            subprocess.run(command, check=True, capture_output=True, **options)

        wheels, venv = folder / "wheels", folder / "venv"
        hatch = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
        do([*hatch, "--directory", wheels], cwd=ROOT)
        do([sys.executable, "-m", "venv", "--without-pip", venv])
        (wheel,) = wheels.iterdir()
        pip = [sys.executable, "-m", "pip", "--python", venv / "bin/python", "install", "--quiet"]
        alone = ["--no-deps", "--no-index", "--disable-pip-version-check"]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        do([*pip, *alone, wheel], env=environment)
        (packages,) = (venv / "lib").glob("python3.*/site-packages")
        (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.python = venv / "bin/python"
        self.program = venv / "bin/ebpm"
        self.home = folder / "home"
        self.environment = {
            **environment,
            "EBPM_STORE": str(self.home / "store"),
            "EBPM_CACHE": str(self.home / "cache"),
            "EBPM_CONFIG": str(self.home / "none"),
        }
        source = ROOT / "index/tools/opensnoop"
        do(
            [self.program, "build", source, "-o", folder / "built", "-t", "opensnoop:latest"],
            env=self.environment,
        )

    def forget(self, kind: str) -> None:
        """Make the next run the first one, as far as a part of the cache goes."""
        shutil.rmtree(self.home / "cache" / kind, ignore_errors=True)


class Series:
    """Runs of one tool."""

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.command = command
        self.environment = environment
        self.before = before
        self.times: list[float] = []  # milliseconds
        self.sizes: list[float] = []  # megabytes, the most that it had

    def run(self) -> None:
        """Run once: from the fork to the line."""
        if self.before:
            self.before()
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        began = time.perf_counter()
        pid = os.posix_spawn(
            shutil.which(self.command[0]) or self.command[0],
            self.command,
            self.environment or os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs, 0),
                (os.POSIX_SPAWN_DUP2, theirs, 1),
                (os.POSIX_SPAWN_DUP2, theirs, 2),
            ],
        )
        os.close(theirs)
        seen = b""
        while MARK not in seen:
            part = os.read(ours, 1 << 16)
            if not part:
                raise SystemExit(f"{self.command} ended: {seen.decode()}")
            seen = seen[-200:] + part
        self.times.append((time.perf_counter() - began) * 1000)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self.sizes.append(int(line.split()[1]) / 1024)
        os.kill(pid, signal.SIGINT)
        os.close(ours)
        os.waitpid(pid, 0)


def plain(command: list[str], times: int, environment: dict[str, str]) -> float:
    """Time a command that ends by itself, in milliseconds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
        found.append((time.perf_counter() - began) * 1000)
    return median(found)


def first_events(installed: Installed, opener: int, times: int) -> dict[str, Series]:
    """Run all tools in turn."""
    pid = str(opener)
    run = [str(installed.program), "run", "opensnoop", "--pid_target", pid]
    ours = installed.environment
    series = {
        "ebpm": Series(run, ours),
        "first": Series(run, ours, lambda: installed.forget("types")),
        "whole": Series(run, {**ours, "EBPM_CACHE": "/proc/nowhere"}),
        "new": Series(run, ours, lambda: shutil.rmtree(installed.home / "cache")),
    }
    if Path(C_TOOL).exists():
        series["c"] = Series([C_TOOL, "-p", pid])
    if shutil.which("bpftrace"):
        probe = f"tracepoint:syscalls:sys_enter_openat /pid == {pid}/"
        script = probe + ' { printf("%d %s %s\\n", pid, comm, str(args->filename)); }'
        series["bpftrace"] = Series(["bpftrace", "-e", script])
    for number in range(times + 1):
        for name in ("ebpm", *series):  # what runs after one that forgot is no kept run
            if name != "ebpm" or not number:
                series[name].run()
        series["ebpm"].run()
    for one in series.values():
        one.times, one.sizes = one.times[1:], one.sizes[1:]
    return series


def rows(series: dict[str, Series], table: Table) -> None:
    """Make the rows."""
    middle = {name: median(one.times) for name, one in series.items()}
    size = {name: median(one.sizes) for name, one in series.items()}
    words = {
        "ebpm": "ebpm run opensnoop",
        "first": "the same, first run on this kernel",
        "whole": "the same, a cache that cannot be kept",
        "new": "the same, plan and types made anew",
        "c": "libbpf-tools' opensnoop",
        "bpftrace": "bpftrace one-liner",
    }
    for name, one in series.items():
        detail = f"min {min(one.times):.1f}, {len(one.times)} runs, {size[name]:.1f} MB"
        table.rows.append((words[name], f"{middle[name]:.1f} ms", "", detail))
    if "c" in series:
        table.at_most("ebpm to C", middle["ebpm"] / middle["c"], 2.0)
        table.at_most("most resident memory, ebpm to C", size["ebpm"] / size["c"], 2.0)
    if "bpftrace" in series:
        table.at_most("ebpm to bpftrace", middle["ebpm"] / middle["bpftrace"], 0.4)
    table.at_most("first run on a kernel, more", middle["first"] - middle["ebpm"], 60, "ms")


def main() -> int:
    """Run everything; exit with 1 if a bar was missed."""
    parser = figures.arguments(__doc__)
    parser.add_argument("--real-time", action="store_true", help="on a machine of one's own")
    given = figures.parse(parser)
    if len(os.sched_getaffinity(0)) < 2 or os.geteuid():
        raise SystemExit("this needs root and two CPUs")
    times = 5 if given.short else 25
    print(f"startup: {machine()}")
    tables = [Table("Process start to first event"), Table("Commands that end by themselves")]
    with tempfile.TemporaryDirectory() as folder:
        installed = Installed(Path(folder))
        opener = subprocess.Popen([sys.executable, "-Sc", OPENER], preexec_fn=lambda: place(0))
        place(1)
        try:
            rows(first_events(installed, opener.pid, times), tables[0])
        finally:
            opener.kill()
        python = plain([str(installed.python), "-c", "pass"], times, installed.environment)
        tables[1].note("python -c pass", f"{python:.1f} ms")
        for words, bar in (("--version", 40 / 8), ("--help", 100 / 8)):
            taken = plain([str(installed.program), words], times, installed.environment)
            tables[1].at_most(
                f"ebpm {words}, to python -c pass", taken / python, bar, "x", f"{taken:.1f} ms"
            )
    return finish(tables)


if __name__ == "__main__":
    sys.exit(main())
