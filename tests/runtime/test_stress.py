"""Several producers, more than the buffers hold: each event is seen once, or counted as lost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ebpm.btf.decode import reader
from ebpm.event import Batch
from ebpm.output.jsonl import JsonLines
from ebpm.package.describe import describe
from ebpm.package.model import Package
from ebpm.runtime.session import Session
from tests.output.test_generated import Memory
from tests.runtime.test_session import start, trigger

pytestmark = pytest.mark.needs("compiler", "bpf")
PRODUCERS, CALLS = 3, 20_000
MAGIC = 0x6562706D


def produce(argument: int, calls: int) -> int:
    """Start a process that makes events; give its pid."""
    pid = os.fork()
    if not pid:
        try:
            trigger(argument, calls)
        finally:
            os._exit(0)
    return pid


def running(pids: list[int]) -> bool:
    for pid in list(pids):
        if os.waitpid(pid, os.WNOHANG)[0]:
            pids.remove(pid)
    return bool(pids)


def batches(session: Session, argument: int, pids: list[int]) -> Iterator[Batch]:
    """Read while there are producers, now and then late, and then what is left."""
    at = time.monotonic()
    while running(pids):
        if time.monotonic() - at > 0.05:
            time.sleep(0.03)  # the buffers run over meanwhile
            at = time.monotonic()
        yield from session.batches(0.01)
    yield from session.batches(0.05)
    announce_losses(argument)
    yield from session.remaining()


def decoded(coming: Iterator[Batch]) -> Iterator[dict[str, Any]]:
    for batch in coming:
        for event in batch.events():
            yield event.fields


def printed(coming: Iterator[Batch]) -> Iterator[dict[str, Any]]:
    """Write each batch as JSON, in C once there are many, and read it again later."""
    stream = Memory()
    sink = JsonLines(stream, named=False)
    for batch in coming:
        sink.write(batch)
    (writer,) = sink._writers.values()
    assert writer is not None
    assert writer._rows is not None
    yield from map(json.loads, filter(None, stream.lines()))


def announce_losses(argument: int) -> None:
    """Make one more event on each CPU: the kernel says with it what it lost before."""
    before = os.sched_getaffinity(0)
    for cpu in before:
        os.sched_setaffinity(0, {cpu})
        trigger(argument)
    os.sched_setaffinity(0, before)


def produced(session: Session, data: bytes) -> int:
    """Read the program's own count."""
    facts = describe(data)
    fact = next(one for one in facts.variables if one.name == "produced")
    assert session._object is not None
    section = session._object.map(".bss")
    assert section is not None
    return int(reader(facts.layout(fact.type_id))(section.lookup(bytes(4)), fact.offset))


@pytest.mark.parametrize("take", [decoded, pytest.param(printed, marks=pytest.mark.needs("rows"))])
@pytest.mark.parametrize(("kind", "argument"), [("ring", MAGIC), ("perf", MAGIC + 1)])
def test_what_is_consumed_and_what_is_lost_is_what_was_produced(
    program: Callable[[str], Package],
    kind: str,
    argument: int,
    take: Callable[[Iterator[Batch]], Iterator[dict[str, Any]]],
) -> None:
    package = program("stress")
    with start(package, {"magic": MAGIC}) as session:
        trigger(argument, CALLS)  # nobody reads yet, so that more comes than there is room for
        pids = [produce(argument, CALLS) for _ in range(PRODUCERS)]
        seen, bad = set(), 0
        for fields in take(batches(session, argument, pids)):
            number = fields["seq"]
            bad += fields["inverse"] != ~number & (1 << 64) - 1 or number in seen
            bad += fields["text"] != chr(ord("a") + number % 16) * 19
            seen.add(number)
        made = produced(session, package.objects[0].data)
        assert made == (1 + PRODUCERS) * CALLS + len(os.sched_getaffinity(0))
        assert bad == 0
        assert session.lost > 0, "the buffers never ran over: the test shows too little"
        assert len(seen) + session.lost == made
