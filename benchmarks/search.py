"""Search in an index of ten thousand tools, beside what it takes to start the command at all.

The index is made up: names, summaries, keywords and hooks of words out of syllables. Each query is
timed in a process that has the index in its store, from the call to the hits; a start is that of
``ebpm search --help``. Prints milliseconds and the ratio to a start.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable

from ebpm.index.document import ToolIndex, pack_index
from ebpm.index.entry import IndexEntry
from ebpm.oci.digest import Digest

TOOLS, ROUNDS = 10_000, 7
SYLLABLES = [first + second for first in "bklmnprst" for second in "aeo"]
QUERIES = ("opensnoop", "opensnop", "trace", "open files", "sys_enter", "file opne", "zzzzqqqq")


def entries() -> list[IndexEntry]:
    """Make the tools of the index."""
    chance = random.Random(1)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(2, 4))) for _ in range(4000)]
    words += ["open", "files", "process", "tcp", "latency", "block"]
    found = []
    for number in range(TOOLS - 1):
        name = f"{chance.choice(words)}{chance.choice(words)}{number}"
        found.append(
            IndexEntry(
                name=name,
                summary=f"Trace {' '.join(chance.choices(words, k=9))}",
                digest=Digest.of(name.encode()),
                size=1,
                groups=(chance.choice(("files", "network", "cpu")),),
                keywords=tuple(chance.choices(words, k=4)),
                hooks=(f"tracepoint/syscalls/sys_enter_{chance.choice(words)}",),
            )
        )
    last = IndexEntry(
        name="opensnoop",
        summary="Files that processes open",
        digest=Digest.of(b"opensnoop"),
        size=1,
        groups=("files",),
    )
    return [*found, last]


def best(act: Callable[[], object]) -> float:
    """Time something, the fastest of some rounds, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return min(times) * 1000


def main() -> None:
    """Measure and print."""
    index = ToolIndex(*pack_index(entries()))
    command = [sys.executable, "-m", "ebpm", "search", "--help"]
    start = best(lambda: subprocess.run(command, capture_output=True, check=True))
    print(f"{'start':<12} {start:7.1f} ms")
    for query in QUERIES:
        words = query.split()
        hits = index.text().search(words)
        taken = best(lambda words=words: index.text().search(words))
        print(f"{query:<12} {taken:7.1f} ms  {taken / start:5.2f} of a start  {len(hits)} hits")


if __name__ == "__main__":
    main()
