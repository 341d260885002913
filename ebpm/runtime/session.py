"""A tool that runs: its object loaded, its programs attached, its buffers read."""

from __future__ import annotations

import os
import select
import time

from ebpm.errors import EbpmError
from ebpm.event import Source
from ebpm.runtime.attach import attach, detach
from ebpm.runtime.kernel import TypesFile
from ebpm.runtime.libbpf.binding import Libbpf
from ebpm.runtime.log import Log
from ebpm.runtime.object import (
    fill_maps,
    load,
    move_programs,
    open_object,
    set_variables,
    size_maps,
)
from ebpm.runtime.pace import Pace
from ebpm.runtime.perfbuf import PerfBuffer
from ebpm.runtime.plan import RINGBUF, SAMPLED
from ebpm.runtime.prepare import Choice, Preparation
from ebpm.runtime.ringbuf import RingBuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import Any

    from ebpm.event import Batch, Event, StackFields
    from ebpm.plainjson import Json
    from ebpm.runtime.attach import Attachment
    from ebpm.runtime.libbpf.binding import BpfObject, Map
    from ebpm.runtime.look import Look
    from ebpm.runtime.plan import Plan, SourcePlan
    from ebpm.runtime.printk import PrintkReader
    from ebpm.runtime.sampler import Sampler

_ENOUGH = 0.125  # of a ring: who lags behind does not wait for more
_PERF_INTERVAL = 0.01  # seconds: how often to look into perf buffers that wake nobody
_PERF_PATIENCE = 0.1  # seconds that a busy stream is quiet before it is taken for a quiet one


class Session:
    """One running tool. Use it as a context manager: leaving it detaches everything.

    Args:
        plan: from :func:`ebpm.runtime.planner.make_plan`.
        data: the object that the plan was made from.
        values: of variables, by name.
        libbpf: path of the library; None for the system's.
        pin: let maps that ask for it be pinned below /sys/fs/bpf, and stay there.
        show_log: told every line of libbpf's log as it comes.
        interval: seconds between two readings of the sampled maps; None for the tool's own.
        per_cpu: whether per-CPU maps are reported for each CPU rather than added up.
        sort: columns that the sampled tables are sorted by (:mod:`ebpm.runtime.order`); None for
            the tool's own.
        rows: how many rows of each reading are reported, 0 for all; None for the tool's own.
        look: told now and then the processes whose stacks wait in sampled maps to be named.
        types: those of the running kernel that the object needs; if they do not do, all are taken.
        btf: path of types to relocate against, instead of the running kernel's.

    Raises:
        EbpmError: it cannot be loaded or attached; nothing is left behind then.
    """

    def __init__(
        self,
        plan: Plan,
        data: bytes,
        values: Mapping[str, Json] | None = None,
        *,
        libbpf: str | None = None,
        pin: bool = False,
        show_log: Callable[[str], None] | None = None,
        interval: float | None = None,
        per_cpu: bool = False,
        sort: str | None = None,
        rows: int | None = None,
        look: Callable[[Collection[int]], None] | None = None,
        types: bytes | None = None,
        btf: str | None = None,
    ) -> None:
        self.plan = plan
        self._reported = plan.sources_for(values or {})
        self.sources: list[Source] = []
        self.log = Log(show_log)
        self._readers: list[RingBuffer | PerfBuffer] = []
        self._samplers: list[Sampler] = []
        self._attachments: list[Attachment] = []
        self._pace = Pace()
        self._stopped = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.epoll()
        self._poll.register(self._wake, select.EPOLLIN)
        self._watched: set[int] = set()
        self._perf: list[PerfBuffer] = []
        self._perf_busy_until = 0.0  # they wake nobody before their watermark until then
        self._readings: dict[str, Any] = {"interval": interval, "per_cpu": per_cpu, "rows": rows}
        self._told = look
        self._looks: list[Look] = []
        self._sorts: dict[str, str] = {}
        if sort is not None or rows is not None:
            from ebpm.runtime.order import chosen_sort

            self._sorts = chosen_sort(plan, sort, rows, per_cpu=per_cpu)
        self._types = TypesFile(types) if types else None
        self._btf = btf
        self._object: BpfObject | None = None
        self._printk: PrintkReader | None = None
        self.printk_trouble: str | None = None  # what is wrong with how that is read
        try:
            self._open_printk()
            self._start(Libbpf(libbpf), data, values or {}, pin=pin, verbose=show_log is not None)
        except BaseException:
            self.close()
            raise
        finally:
            self._forget_types()

    def _forget_types(self) -> None:
        if self._types is not None:
            self._types.close()
            self._types = None

    def _start(
        self, library: Libbpf, data: bytes, values: Mapping[str, Json], *, pin: bool, verbose: bool
    ) -> None:
        """Load and attach; where the kernel refuses an alternative, again with the next."""
        choice = Choice(self.plan)
        while True:
            btf = self._types.path if self._types else self._btf
            self._object = open_object(
                library, self.plan, data, self.log, verbose=verbose, pin=pin, btf=btf
            )
            set_variables(self._object, self.plan, values)
            choice.look(self._object)
            size_maps(self._object, self.plan)
            prepared = None
            try:
                move_programs(self._object, self.plan, choice.programs, self.log)
                prepared = Preparation(self._object, self.plan, choice)
                load(self._object, self.plan, self.log)
                fill_maps(self._object, self.plan, values)
                self._open_readers()
                self._open_samplers()
                self._attachments = attach(self._object, self.plan, self.log, choice.programs)
                break
            except EbpmError as error:
                if self._types is not None:  # whatever it was, it is not for want of types
                    self._forget_types()
                elif not choice.next(error):
                    raise
                else:
                    self.log.note(f"ebpm: not taken: {error}")
                self.log.lines.clear()
                self._unload()
            finally:
                if prepared is not None:
                    prepared.close()
        for group, program, section in choice.taken:
            self.log.note(f"ebpm: of {group!r} is taken: {program} ({section})")

    def _open_readers(self) -> None:
        for one in self._reported:
            if one.kind == SAMPLED:
                continue
            buffer = self._map(one.map)
            source = Source(one.name, one.layout, stack=self._stack(one))
            self.sources.append(source)
            if one.kind == RINGBUF:
                ring = RingBuffer(buffer.fd, buffer.max_entries, source)
                self._readers.append(ring)
                self._poll.register(ring.fd, select.EPOLLIN)
            else:
                perf = PerfBuffer(buffer, self.plan.perf_pages, source)
                self._readers.append(perf)
                self._perf.append(perf)
                for fd in perf.fds:
                    self._poll.register(fd, select.EPOLLIN)

    def _open_samplers(self) -> None:
        now = time.monotonic()
        for one in self._reported:
            if one.kind == SAMPLED:
                from ebpm.runtime.sampler import Sampler

                stack, sort = self._stack(one), self._sorts.get(one.name)
                place = self._map(one.map)
                sampler = Sampler(place, one, now, stack=stack, sort=sort, **self._readings)
                self._samplers.append(sampler)
                self.sources.append(sampler.source)
        named = [one for one in self._samplers if one.source.stack]
        if self._told is not None and named:
            from ebpm.runtime.look import Look

            self._looks = [Look(named, self._told, now)]

    def _open_printk(self) -> None:
        """Open the only output of a tool that reports by bpf_printk alone."""
        if self.plan.printk is False:
            return
        from ebpm.runtime.printk import PrintkReader

        formats = self.plan.printk if isinstance(self.plan.printk, list) else None
        try:
            self._printk = PrintkReader(formats)
        except (OSError, ValueError) as error:
            self.printk_trouble = f"what it prints with bpf_printk cannot be read: {error}"
            return
        if self._printk.consuming:
            self.printk_trouble = (
                "its lines are taken from the common trace_pipe: nobody else sees them"
            )
        self.sources.append(self._printk.source)
        self._poll.register(self._printk.fd, select.EPOLLIN)

    def _map(self, name: str) -> Map:
        assert self._object is not None
        found = self._object.map(name)
        assert found is not None, f"the planner found map {name}"
        return found

    def _stack(self, one: SourcePlan) -> StackFields | None:
        """Say where a source's records hold stack traces, and how ids become addresses."""
        plan = one.stack
        if plan is None:
            return None
        from ebpm.event import StackFields
        from ebpm.runtime.libbpf.contents import stack_addresses

        table = self._map(plan.table) if plan.table else None
        return StackFields(
            plan.names,
            symbols=plan.symbols,
            frames=(lambda number: stack_addresses(table, number)) if table else None,
            adds=one.sample.clear if one.sample else True,
        )

    def watch(self, fd: int) -> None:
        """Have :meth:`batches` return as well when a descriptor becomes readable."""
        self._poll.register(fd, select.EPOLLIN)
        self._watched.add(fd)

    def batches(self, timeout: float | None = None) -> Iterator[Batch]:
        """Wait for records once, and walk what came; nothing came if the timeout passed first.

        Args:
            timeout: seconds; None waits until there is something, or until :meth:`stop`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        left = timeout
        while not self._stopped:
            ready = self._poll.poll(self._gather(left))
            came = False
            for reader in self._readers:
                for batch in reader.read():
                    came = True
                    yield batch
                    self._pace.took(batch.count, batch.count * batch.stride / reader.size)
            for batch in self._due():
                came = True
                yield batch
            if came or any(fd in self._watched for fd, _ in ready):
                return
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return

    def _due(self) -> Iterator[Batch]:
        """Read the sampled maps whose time has come, and what was printed."""
        if self._printk is not None:
            yield from self._printk.read()
        for look in self._looks:
            look.due(time.monotonic())
        for sampler in self._samplers:
            if sampler.due(time.monotonic()):
                yield from sampler.read()

    def _gather(self, left: float | None) -> float | None:
        """If much comes, let more come, and look; else tell how long to wait to be woken."""
        now = time.monotonic()
        pause = self._pace.pause(now)
        waits = [] if left is None else [left]
        if self._perf:
            if pause:
                self._perf_busy_until = now + _PERF_PATIENCE
            busy = now < self._perf_busy_until
            for perf in self._perf:
                perf.expect(busy=busy)
            if now < self._perf_busy_until + _PERF_PATIENCE:
                waits.append(_PERF_INTERVAL)
        if pause and all(reader.waiting < _ENOUGH for reader in self._readers):
            time.sleep(pause)
        waits += [one.wait(now) for one in self._samplers]
        waits += [one.wait(now) for one in self._looks]
        return 0.0 if pause else min(waits, default=None)

    def __iter__(self) -> Iterator[Event]:
        """Walk the events as they come, until :meth:`stop`."""
        while not self._stopped:
            for batch in self.batches():
                yield from batch.events()

    def remaining(self) -> Iterator[Batch]:
        """Detach, so that nothing new comes, and walk what the buffers and sampled maps hold."""
        detach(self._attachments)
        printed = [self._printk] if self._printk is not None else []
        for reader in (*self._readers, *self._samplers, *printed):
            yield from reader.read()

    def stop(self) -> None:
        """Make whoever waits for events return. May be called from a signal handler or thread."""
        self._stopped = True
        if self._wake >= 0:  # else a signal came when all was over
            os.eventfd_write(self._wake, 1)

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    @property
    def lost(self) -> int:
        """Events that are known to be lost: counted by the kernel, or by the program itself."""
        counted = sum(reader.lost for reader in self._readers if isinstance(reader, PerfBuffer))
        counted += self._printk.lost if self._printk is not None else 0
        return counted + sum(self._counters())

    def _counters(self) -> Iterator[int]:
        from ebpm.btf.decode import reader

        for counter in self.plan.lost:
            section = self._object.map(counter.section) if self._object else None
            if section is not None:
                value = reader(counter.layout)(section.lookup(bytes(4)), counter.offset)
                yield from value if isinstance(value, list) else [value]

    @property
    def overflowed(self) -> list[str]:
        """The ring buffers that were seen full: what was lost there, only the program knows."""
        rings = [reader for reader in self._readers if isinstance(reader, RingBuffer)]
        return [ring.source.name for ring in rings if ring.full]

    def texts(self) -> list[tuple[str, str]]:
        """Run the iterators among the programs once; give each one's name and what it wrote."""
        if all(one.kind != "iter" for one in self.plan.programs):
            return []
        from ebpm.runtime.passive import Reading

        return [(one.name, one.text()) for one in self._attachments if isinstance(one, Reading)]

    def results(self) -> list[tuple[str, int]]:
        """Give the ``syscall`` programs, which ran when the session began, and their results."""
        if all(one.kind != "syscall" for one in self.plan.programs):
            return []
        from ebpm.runtime.passive import Result

        return [(one.name, one.value) for one in self._attachments if isinstance(one, Result)]

    @property
    def waits(self) -> bool:
        """Whether anything can still come: programs that only run once send nothing later."""
        return any(one.kind not in ("iter", "syscall", "entry") for one in self.plan.programs)

    def _unload(self) -> None:
        detach(self._attachments)
        for reader in self._readers:
            for fd in reader.fds if isinstance(reader, PerfBuffer) else [reader.fd]:
                self._poll.unregister(fd)
            reader.close()
        self._readers, self._samplers = [], []
        self.sources = [] if self._printk is None else [self._printk.source]
        if self._object is not None:
            self._object.close()
            self._object = None

    def close(self) -> None:
        """Detach and unload everything. May be called twice."""
        self._unload()
        if self._printk is not None:
            self._printk.close()
            self._printk = None
        wake, self._wake = self._wake, -1  # first: nobody writes to a number that is another's
        if wake >= 0:
            self._poll.close()
            os.close(wake)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
