"""What sampled maps cost as they grow, histograms, and names of addresses.

    python benchmarks/sampling.py

As root: it loads tools of its own. Figures are CPU time of this process alone.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import figures
from benchmarks.figures import Table, finish, machine
from ebpm.build.pack import build
from ebpm.build.toolchain import find_compiler
from ebpm.output.jsonl import JsonLines
from ebpm.output.stream import Stream
from ebpm.output.text import Text
from ebpm.package.model import Package
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from ebpm.symbols.symbolizer import Symbolizer

LINEAR_BAR = 1.5  # an entry among 100,000 to an entry among 1,000
SOURCE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct counts {{ __u64 count; __u64 bytes; }};
struct hist {{ __u32 slots[26]; }};

/// @sample {{"interval": 1{type}}}
struct {{
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 100000);
	__type(key, __u32);
	__type(value, struct {value});
}} table SEC(".maps");

SEC("tp/syscalls/sys_enter_getpgid")
int run(void *ctx) {{ __u32 key = 0; return bpf_map_lookup_elem(&table, &key) != 0; }}
char LICENSE[] SEC("license") = "GPL";
"""


def package_of(folder: Path, value: str, form: str) -> Package:
    """Build the tool whose map holds values of a kind."""
    source = folder / f"{value}.bpf.c"
    source.write_text(SOURCE.format(value=value, type=form))
    return build(source, compiler=find_compiler(), architectures=("amd64",)).package


def reading(package: Package, data: list[object], sink: Callable[[Stream], object]) -> float:
    """Give the CPU seconds of reading all entries once and writing them, the best of five."""
    maps = tuple(replace(one, data=tuple(data)) for one in package.maps)
    plan = make_plan(replace(package, maps=maps), package.objects[0])
    best = 1e9
    with (
        Path(os.devnull).open("wb") as null,
        Session(plan, package.objects[0].data, interval=0.01) as session,
    ):
        out = sink(Stream(null.fileno()))
        for _ in range(5):
            time.sleep(0.02)
            began = time.process_time()
            for batch in session.batches(1):
                out.write(batch)  # type: ignore[attr-defined]
            best = min(best, time.process_time() - began)
    return best


def entries(folder: Path, most: int) -> Table:
    """Tables and JSON of 1 to so many entries."""
    table = Table("Entries of a sampled map")
    package = package_of(folder, "counts", "")
    sinks: dict[str, Callable[[Stream], object]] = {
        "table": Text,
        "JSON": lambda stream: JsonLines(stream, named=False),
    }
    for name, sink in sinks.items():
        each = {}
        for count in (1, 1000, most):
            data: list[object] = [
                {"key": one, "value": {"count": one, "bytes": one * 7}} for one in range(count)
            ]
            each[count] = reading(package, data, sink) / count * 1e6
            table.note(f"{name}, {count:,} entries", f"{each[count]:.1f} µs an entry")
        table.at_most(
            f"{name}: an entry among {most:,} to one among 1,000",
            each[most] / each[1000],
            LINEAR_BAR,
        )
    return table


def histograms(folder: Path) -> Table:
    """Histograms drawn."""
    table = Table("Histograms")
    package = package_of(folder, "hist", ', "type": "log2_hist"')
    data: list[object] = [
        {"key": one, "value": {"slots": [one % (slot + 2) for slot in range(26)]}}
        for one in range(1, 1001)
    ]
    table.note("one of 26 slots", f"{reading(package, data, Text) / 1000 * 1e6:.0f} µs")
    return table


def symbols() -> Table:
    """Names of addresses, of the kernel and of this process."""
    table = Table("Names of addresses")
    maps = Path("/proc/self/maps").read_text().splitlines()
    ranges = [
        (int(start, 16), int(end, 16))
        for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r-x", "\n".join(maps), re.MULTILINE)
    ]
    user = [start + at * 97 % (end - start) for start, end in ranges for at in range(2000)]
    kernel = [
        int(line.split()[0], 16) + 4
        for line in Path("/proc/kallsyms").read_text().splitlines()[:20_000]
        if line.split()[1] in "tT"
    ]
    symbolizer = Symbolizer()
    looks: dict[str, Callable[[list[int]], object]] = {
        "of the kernel": symbolizer.kernel,
        "of a process": lambda found: symbolizer.user(os.getpid(), found),
    }
    for (name, look), addresses in zip(looks.items(), (kernel, user), strict=True):
        began = time.process_time()
        look(addresses[:1])
        first = time.process_time() - began
        began = time.process_time()
        look(addresses)
        rest = (time.process_time() - began) / len(addresses)
        table.note(f"{name}: the first", f"{first * 1e3:.0f} ms")
        table.note(f"{name}: each of {len(addresses):,} others", f"{rest * 1e6:.1f} µs")
    return table


def main() -> int:
    """Run all."""
    short = figures.parse(figures.arguments(__doc__)).short
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        return finish(
            [entries(Path(name), 10_000 if short else 100_000), histograms(Path(name)), symbols()]
        )


if __name__ == "__main__":
    sys.exit(main())
