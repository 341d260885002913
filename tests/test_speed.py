"""Loose bars against losses of speed: ratios of CPU time, taken side by side; see benchmarks/."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from ebpm.event import Batch, Source
from ebpm.output.jsonl import JsonLines
from ebpm.output.stream import Stream
from ebpm.output.table import Table
from tests.output.test_sinks import COMM, INT, U64, struct_of

LAYOUT = struct_of(("ts", U64), ("pid", INT), ("ret", INT), ("comm", COMM), ("seq", U64))
ROUNDS = 5


def least(work: Callable[[], object]) -> float:
    """Give the least CPU time of some rounds: others on the machine only ever add to it."""
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def test_a_busy_stream_is_printed_several_times_as_fast_as_record_by_record() -> None:
    records = [
        struct.pack("=Qii16sQ", 10**15 + n * 977, 4242, n % 3, b"generator", n) for n in range(4000)
    ]
    source = Source("events", LAYOUT)
    batch = Batch(source, b"".join(records), 0, LAYOUT.size, LAYOUT.size, len(records))
    stream = Stream(os.open(os.devnull, os.O_WRONLY))
    for busy in (Table(stream, pure=True), JsonLines(stream, named=False, pure=True)):
        busy.write(batch)
        generic = least(lambda: [source.read(record, 0) for record in batch.records()])
        assert least(lambda busy=busy: busy.write(batch)) < generic  # decoding alone is slower
    os.close(stream.fd)


@pytest.mark.needs("rows")
def test_c_prints_a_busy_stream_several_times_as_fast_as_python() -> None:
    records = [
        struct.pack("=Qii16sQ", 10**15 + n * 977, 4242, n % 3, b"generator", n) for n in range(4000)
    ]
    batch = Batch(Source("events", LAYOUT), b"".join(records), 0, *[LAYOUT.size] * 2, len(records))
    stream = Stream(os.open(os.devnull, os.O_WRONLY))
    for make in (Table, lambda *to, pure: JsonLines(*to, named=False, pure=pure)):
        pure, native = make(stream, pure=True), make(stream, pure=False)
        times = []
        for sink in (pure, native):
            sink.write(batch)
            times.append(least(lambda sink=sink: sink.write(batch)))  # type: ignore[misc]
        assert times[1] * 2 < times[0]  # measured: five to seven times
    os.close(stream.fd)


def child(*command: str) -> float:
    """Give the least CPU time of a command in some rounds."""
    taken = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def test_the_program_starts_in_a_few_times_the_interpreters_own_time() -> None:
    bare = child(sys.executable, "-c", "pass")
    for words, bar in ((["--version"], 4), (["--help"], 15)):
        child(sys.executable, "-m", "ebpm", *words)  # writes the bytecode, if it may
        assert child(sys.executable, "-m", "ebpm", *words) < bar * max(bare, 0.005)
