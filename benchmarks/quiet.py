"""The rows of throughput.py that are no rates: latency, an idle tool, memory, many tools."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Table, place

if TYPE_CHECKING:
    from benchmarks.throughput import Bench

LATENCY_RATE = 1000  # events a second
LATENCY_BARS = {"ring": 2.0, "perf": 20.0}  # milliseconds, 99th percentile
IDLE_BAR = 0.1  # percent of a CPU
GROWTH_BAR = 1.1  # of memory, between a tenth of the texts and all of them


def latency(bench: Bench, generator: Path, table: Table, seconds: float) -> None:
    """Time from bpf_ktime_get_ns() in the program to the line in the reader of a pipe."""
    from benchmarks.throughput import wait_for_links

    made = start_generator(generator, LATENCY_RATE, seconds)
    command = bench.command("ebpm", made.pid)
    consumer = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=lambda: place(1))
    assert consumer.stdout is not None
    found: list[float] = []
    try:
        wait_for_links(consumer)
        os.sched_setaffinity(0, {0})
        assert made.stdin is not None
        made.stdin.write("\n")
        made.stdin.flush()
        fd = consumer.stdout.fileno()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            lines = os.read(fd, 1 << 16).splitlines()
            now = time.monotonic_ns()
            found += [now - int(line.split()[1]) for line in lines if not line.startswith(b"TIME")]
    finally:
        consumer.send_signal(signal.SIGINT)
        consumer.communicate(timeout=30)
        made.kill()
        made.communicate()
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    found.sort()
    high = found[len(found) * 99 // 100] / 1e6
    middle = found[len(found) // 2] / 1e6
    table.at_most(
        f"{bench.kind}: an event's way to a reader, 99th of 100, at {LATENCY_RATE} a second",
        *(high, LATENCY_BARS[bench.kind], "ms", f"median {middle:.2f} ms, {len(found)} events"),
    )


def start_generator(generator: Path, rate: float, seconds: float) -> subprocess.Popen[str]:
    """Start a generator that waits for a line."""
    return subprocess.Popen(
        [generator, str(rate), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: place(0),
    )


def idle(bench: Bench, table: Table, seconds: float) -> None:
    """The CPU of a tool that nothing happens to."""
    from benchmarks.throughput import cpu_time, wait_for_links

    with subprocess.Popen(
        bench.command("ebpm", os.getpid()),
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: place(1),
    ) as consumer:
        wait_for_links(consumer)
        time.sleep(0.5)
        before = cpu_time(consumer.pid)
        time.sleep(seconds)
        used = (cpu_time(consumer.pid) - before) / seconds / 1e7
        consumer.send_signal(signal.SIGINT)
    table.at_most(f"{bench.kind}: an idle tool", used, IDLE_BAR, "% of a CPU")


def memory(bench: Bench, generator: Path, table: Table, who: str, texts: int) -> None:
    """Memory over so many events that each carry a text of their own."""
    from benchmarks.throughput import wait_for_links

    rate = 250_000
    made = start_generator(generator, rate, texts / rate)
    consumer = subprocess.Popen(
        bench.command(who, made.pid),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: place(1),
    )
    sizes: list[int] = []
    try:
        wait_for_links(consumer)
        assert made.stdin is not None
        made.stdin.write("\n")
        made.stdin.flush()
        while made.poll() is None:
            time.sleep(texts / rate / 20)
            sizes.append(resident(consumer.pid))
    finally:
        consumer.send_signal(signal.SIGINT)
        consumer.communicate(timeout=30)
        made.kill()
        out, _ = made.communicate()
    calls = int(out.split()[0])
    early, late = sizes[len(sizes) // 10], max(sizes)
    table.at_most(
        f"memory over {round(calls / 1e6, 1):g} M distinct texts, {who}, to a tenth of them",
        *(late / early, GROWTH_BAR, "x", f"{early / 1e6:.1f} to {late / 1e6:.1f} MB"),
    )


def resident(pid: int) -> int:
    """Tell a process's anonymous memory in bytes: the ring itself is no cache."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


MANY = """
import os, resource, sys, time
from ebpm.api import Workspace
from ebpm.runtime.session import Session
from ebpm.target import parse_target
plan, data, *_ = Workspace().prepare(parse_target(sys.argv[1]))
sessions = []
cpu = time.process_time()
for _ in range(int(sys.argv[2])):
    sessions.append(Session(plan, data, {"target": 1}))
print((time.process_time() - cpu) / len(sessions) * 1000)
for line in open("/proc/self/status"):
    if line.startswith("RssAnon"):
        print(int(line.split()[1]))
"""


def many(bench: Bench, table: Table, counts: list[int]) -> None:
    """The cost of a tool where several run in one process."""
    package = str(bench.folder / "package.json")
    for count in counts:
        command = [sys.executable, "-c", MANY, package, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        each, resident_kib = done.stdout.split()
        table.note(
            f"{count} tools in one process",
            f"{float(each):.1f} ms CPU to start each, {int(resident_kib) / 1024:.1f} MB together",
        )
