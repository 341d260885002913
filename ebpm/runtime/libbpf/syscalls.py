"""perf_event_open(2) and ioctl(2), which Python's library does not have or imports too much for."""

from __future__ import annotations

import ctypes
import os

from ebpm.runtime.libbpf.structs import PerfEventAttr

_PERF_EVENT_OPEN = {"x86_64": 298, "s390x": 331, "ppc64le": 319, "ppc64": 319}
_PERF_EVENT_OPEN_GENERIC = 241  # include/uapi/asm-generic/unistd.h: arm64, riscv64, loongarch64
_PERF_FLAG_FD_CLOEXEC = 8
_PERF_EVENT_IOC_ENABLE = 0x2400
_PERF_TYPE_SOFTWARE, _PERF_COUNT_SW_BPF_OUTPUT, _PERF_SAMPLE_RAW = 1, 10, 1 << 10
_WATERMARK = 1 << 14


def open_bpf_output(cpu: int, watermark: int) -> int:
    """Open the perf event that carries bpf_perf_event_output() of one CPU.

    Args:
        cpu: its number.
        watermark: bytes in the ring that wake the reader.

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
        flags=_WATERMARK,
        wakeup=watermark,
    )
    fd = perf_event_open(attr, -1, cpu)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ioctl(fd, ctypes.c_ulong(_PERF_EVENT_IOC_ENABLE), 0) < 0:
        number = ctypes.get_errno()
        os.close(fd)
        raise OSError(number, os.strerror(number))
    return fd


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
