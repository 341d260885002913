"""Which hooks this kernel has; asked only when one was not found, to name the nearest."""

from __future__ import annotations

import os

_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def tracefs() -> str | None:
    """Find the folder where tracefs is mounted."""
    for folder in _TRACEFS:
        if os.path.exists(f"{folder}/events"):
            return folder
    return None


def tracepoints() -> list[str]:
    """List the tracepoints as ``category/name``."""
    folder = tracefs()
    if folder is None:
        return []
    return [line.replace(":", "/", 1) for line in _lines(f"{folder}/available_events")]


def kernel_functions() -> list[str]:
    """List the kernel's functions, from kallsyms."""
    fields = (line.split() for line in _lines("/proc/kallsyms"))
    return [parts[2] for parts in fields if len(parts) >= 3 and parts[1] in "tT"]


def candidates(section: str) -> tuple[str, list[str]]:
    """Tell the name that a section hooks, and the names that it could hook."""
    kind, _, name = section.removeprefix("?").partition("/")
    if kind in ("tp", "tracepoint"):
        return name, tracepoints()
    if kind in ("raw_tp", "raw_tracepoint", "raw_tp.w", "raw_tracepoint.w", "tp_btf"):
        return name, [one.partition("/")[2] for one in tracepoints()]
    if kind in ("kprobe", "kretprobe"):
        return name.partition("+")[0], kernel_functions()
    if kind.removesuffix(".s") in ("fentry", "fexit", "fmod_ret"):
        return name, kernel_functions()
    return name, []


def nearest(section: str, count: int = 3) -> list[str]:
    """Name the hooks most like the one that a section names; best first."""
    from difflib import get_close_matches

    name, known = candidates(section)
    return get_close_matches(name, known, count, 0.6)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
