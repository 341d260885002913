"""perf_event_open(2) and ioctl(2), which Python's library does not have or imports too much for."""

from __future__ import annotations

import ctypes
import os

from ebpm.runtime.libbpf.structs import PerfEventAttr

_PERF_EVENT_OPEN = {"x86_64": 298, "s390x": 331, "ppc64le": 319, "ppc64": 319}
_PERF_EVENT_OPEN_GENERIC = 241  # include/uapi/asm-generic/unistd.h: arm64, riscv64, loongarch64
_PERF_FLAG_FD_CLOEXEC = 8
_PERF_EVENT_IOC_ENABLE, _PERF_EVENT_IOC_SET_OUTPUT = 0x2400, 0x2405
_PERF_TYPE_SOFTWARE, _PERF_COUNT_SW_BPF_OUTPUT, _PERF_SAMPLE_RAW = 1, 10, 1 << 10
_FREQUENCY, _WATERMARK = 1 << 10, 1 << 14
_PIDFD_GETFD = 438  # the same on every architecture


def open_bpf_output(cpu: int, watermark: int = 0) -> int:
    """Open the perf event that carries bpf_perf_event_output() of one CPU.

    Args:
        cpu: its number.
        watermark: bytes in the ring that wake the reader; 0: every record wakes it.

    Returns:
        a file descriptor, close-on-exec, enabled.

    Raises:
        OSError: as perf_event_open(2); ENODEV for a CPU that is offline.
    """
    attr = PerfEventAttr(
        type=_PERF_TYPE_SOFTWARE,
        size=ctypes.sizeof(PerfEventAttr),
        config=_PERF_COUNT_SW_BPF_OUTPUT,
        sample_period=1,
        sample_type=_PERF_SAMPLE_RAW,
        flags=_WATERMARK if watermark else 0,
        wakeup=watermark or 1,
    )
    fd = perf_event_open(attr, -1, cpu)
    try:
        _ioctl(fd, _PERF_EVENT_IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def write_into(fd: int, other: int) -> None:
    """Have a perf event write into the ring of another, which must be mapped.

    Raises:
        OSError: they are of different CPUs or clocks.
    """
    _ioctl(fd, _PERF_EVENT_IOC_SET_OUTPUT, other)


def _ioctl(fd: int, request: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ioctl(fd, ctypes.c_ulong(request), argument) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def perf_event_open(attr: PerfEventAttr, pid: int, cpu: int) -> int:
    """Open a perf event by itself, outside of any group."""
    machine = os.uname().machine
    number = _PERF_EVENT_OPEN.get(machine, _PERF_EVENT_OPEN_GENERIC)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    fd = libc.syscall(
        ctypes.c_long(number),
        ctypes.byref(attr),
        pid,
        cpu,
        -1,
        ctypes.c_ulong(_PERF_FLAG_FD_CLOEXEC),
    )
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(fd)


def perf_event(
    kind: int, config: int, *, sample: int, is_frequency: bool, pid: int, cpu: int
) -> int:
    """Open a perf event that samples, for a BPF program to be attached to.

    Args:
        kind: PERF_TYPE_*.
        config: the event, by the kind's numbers.
        sample: a frequency (per second), or else a period (in events).
        is_frequency: which of the two.
        pid: a process; -1 for all.
        cpu: its number; -1 for all.

    Raises:
        OSError: as perf_event_open(2); ENOENT or EOPNOTSUPP where the machine has no such event.
    """
    attr = PerfEventAttr(
        type=kind,
        size=ctypes.sizeof(PerfEventAttr),
        config=config,
        sample_period=sample,
        flags=_FREQUENCY if is_frequency else 0,
    )
    return perf_event_open(attr, pid, cpu)


def take_descriptor(pid: int, fd: int) -> int:
    """Duplicate a descriptor of another process (pidfd_getfd(2), Linux 5.6).

    Raises:
        OSError: ESRCH or EBADF where there is no such process or descriptor, or EPERM.
    """
    process = os.pidfd_open(pid)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    try:
        found = libc.syscall(ctypes.c_long(_PIDFD_GETFD), process, fd, 0)
    finally:
        os.close(process)
    if found < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(found)
