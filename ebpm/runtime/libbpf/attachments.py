"""The rarer ways to attach: each raises LibbpfError, and gives something that can be closed.

Imported only where a program of such a kind is there.
"""

from __future__ import annotations

import ctypes
import errno
import os

from ebpm.runtime.libbpf.binding import LibbpfError, Link, LinkDescriptor
from ebpm.runtime.libbpf.structs import (
    IteratorOptions,
    LinkCreateOptions,
    NetfilterLinkOptions,
    TaskIteratorInfo,
    TcHook,
    TcOptions,
    TestRunOptions,
    UprobeMultiOptions,
    UprobeOptions,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.runtime.libbpf.binding import Libbpf, Map, Program

_BPF_NETFILTER = 45  # enum bpf_attach_type
_READ = 1 << 16


def attach_xdp(program: Program, ifindex: int, flags: int) -> XdpAttachment:
    """Attach to an interface by netlink, for kernels without XDP links."""
    program.library.check("bpf_xdp_attach", ifindex, program.fd, flags, None)
    return XdpAttachment(program.library, ifindex, flags)


def attach_tc(
    program: Program, *, ifindex: int, point: int, handle: int, priority: int, parent: int
) -> TcAttachment:
    """Attach as a filter of clsact, a queueing discipline that is made where it is absent."""
    hook = TcHook(ctypes.sizeof(TcHook), ifindex, point, parent)
    created = False
    try:
        program.library.check("bpf_tc_hook_create", ctypes.byref(hook))
        created = True
    except LibbpfError as error:
        if error.errno != errno.EEXIST:
            raise
    options = TcOptions(ctypes.sizeof(TcOptions), program.fd, 0, 0, handle, priority)
    program.library.check("bpf_tc_attach", ctypes.byref(hook), ctypes.byref(options))
    return TcAttachment(program.library, hook, options, created)


class XdpAttachment:
    """An XDP program set by netlink, which outlives the process unless it is closed."""

    def __init__(self, library: Libbpf, ifindex: int, flags: int) -> None:
        self._library, self._ifindex, self._flags = library, ifindex, flags

    def close(self) -> None:
        """Detach; an interface that is gone has detached it already. May be called twice."""
        if self._ifindex:
            self._library.function("bpf_xdp_detach")(self._ifindex, self._flags, None)
            self._ifindex = 0


class TcAttachment:
    """A filter of clsact, which outlives the process unless it is closed."""

    def __init__(self, library: Libbpf, hook: TcHook, options: TcOptions, created: bool) -> None:
        self._library, self._hook, self._options = library, hook, options
        self.ifindex: int = hook.ifindex
        self.created = created  # whether the queueing discipline is ours
        self._open = True

    def close(self) -> None:
        """Remove our filter and no other. May be called twice."""
        if self._open:
            self._open = False
            own = TcOptions(sz=ctypes.sizeof(TcOptions))
            own.handle, own.priority = self._options.handle, self._options.priority
            self._library.function("bpf_tc_detach")(ctypes.byref(self._hook), ctypes.byref(own))

    def remove_hook(self) -> None:
        """Remove the queueing discipline with whatever filters it has."""
        both = TcHook(ctypes.sizeof(TcHook), self.ifindex, 3, 0)
        self._library.function("bpf_tc_hook_destroy")(ctypes.byref(both))


def attach_uprobe(
    program: Program, *, binary: str, function: str, offset: int, pid: int, returns: bool
) -> Link:
    """Attach to a function of a binary, or to an offset if the name is empty; pid -1 means all."""
    options = UprobeOptions(sz=ctypes.sizeof(UprobeOptions), retprobe=returns)
    options.func_name = function.encode() or None
    return program.link(
        "bpf_program__attach_uprobe_opts", pid, os.fsencode(binary), offset, ctypes.byref(options)
    )


def attach_uprobes(program: Program, *, binary: str, pattern: str, pid: int, returns: bool) -> Link:
    """Attach to all functions of a binary whose names match a pattern with ``*`` and ``?``."""
    options = UprobeMultiOptions(sz=ctypes.sizeof(UprobeMultiOptions), retprobe=returns)
    return program.link(
        "bpf_program__attach_uprobe_multi",
        pid,
        os.fsencode(binary),
        pattern.encode(),
        ctypes.byref(options),
    )


def attach_usdt(program: Program, *, binary: str, provider: str, name: str, pid: int) -> Link:
    """Attach to a static probe of a binary."""
    names = (os.fsencode(binary), provider.encode(), name.encode())
    return program.link("bpf_program__attach_usdt", pid, *names, None)


def attach_perf_event(program: Program, fd: int) -> Link:
    """Attach to a perf event; the link owns the descriptor from then on."""
    return program.link("bpf_program__attach_perf_event", fd)


def attach_netfilter(
    program: Program, *, pf: int, hook: int, priority: int, flags: int
) -> LinkDescriptor:
    """Attach to a hook of netfilter (Linux 6.4)."""
    options = NetfilterLinkOptions(sz=ctypes.sizeof(NetfilterLinkOptions))
    options.pf, options.hook, options.priority = pf, hook, priority
    options.netfilter_flags = flags
    address = ctypes.cast(ctypes.byref(options), ctypes.POINTER(LinkCreateOptions))
    arguments = (program.fd, 0, _BPF_NETFILTER, address)
    return LinkDescriptor(program.library.check("bpf_link_create", *arguments))


def attach_struct_ops(one: Map) -> Link:
    """Register a map of ``.struct_ops``; without a link the kernel keeps it until it is closed."""
    return Link(one.library, one.library.pointer("bpf_map__attach_struct_ops", one.handle))


def attach_to_map(program: Program, one: Map, attach_type: int) -> MapAttachment:
    """Attach to a sockmap or sockhash."""
    library, program_fd, map_fd = program.library, program.fd, one.fd
    library.check("bpf_prog_attach", program_fd, map_fd, attach_type, 0)
    return MapAttachment(library, program_fd, map_fd, attach_type)


class MapAttachment:
    """A program that a sockmap runs."""

    def __init__(self, library: Libbpf, program_fd: int, map_fd: int, attach_type: int) -> None:
        self._library = library
        self._arguments: tuple[int, ...] | None = (program_fd, map_fd, attach_type)

    def close(self) -> None:
        """Detach. May be called twice."""
        if self._arguments:
            self._library.function("bpf_prog_detach2")(*self._arguments)
            self._arguments = None


def attach_iterator(program: Program, *, map_fd: int = 0, pid: int = 0) -> Iterator:
    """Make an iterator, over one map's entries or one process's tasks where one is named."""
    options = IteratorOptions(sz=ctypes.sizeof(IteratorOptions))
    info = TaskIteratorInfo(tid=map_fd, pid=pid)
    if map_fd or pid:
        options.link_info = ctypes.pointer(info)
        options.link_info_len = ctypes.sizeof(info)
    return Iterator(
        program.library, program.link("bpf_program__attach_iter", ctypes.byref(options))
    )


class Iterator:
    """An iterator: each :meth:`text` runs it once."""

    def __init__(self, library: Libbpf, link: Link) -> None:
        self._library, self._link = library, link

    def text(self) -> bytes:
        """Walk once; give what the program wrote.

        Raises:
            OSError: as read(2); the program may fail the walk.
        """
        fd = self._library.check("bpf_iter_create", self._link.fd)
        try:
            parts = []
            while part := os.read(fd, _READ):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Detach. May be called twice."""
        self._link.close()


def run_once(program: Program) -> int:
    """Run a ``syscall`` program (BPF_PROG_RUN, Linux 5.14); give its result, as an int of C."""
    options = TestRunOptions(sz=ctypes.sizeof(TestRunOptions))
    program.library.check("bpf_prog_test_run_opts", program.fd, ctypes.byref(options))
    return ctypes.c_int(options.retval).value


def program_descriptor(library: Libbpf, text: str) -> int:
    """Get at a loaded program by its ID, or by its path in bpffs."""
    if text.isdecimal():
        return library.check("bpf_prog_get_fd_by_id", int(text))
    return library.check("bpf_obj_get", os.fsencode(text))


def set_target(program: Program, fd: int, function: str) -> None:
    """Have a freplace program replace a function of another; before it is loaded."""
    program.set("bpf_program__set_attach_target", fd, function.encode())
