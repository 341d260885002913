"""Which hooks this kernel has; asked only when one was not found, to name the nearest."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

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


def candidates(section: str, options: Mapping[str, object]) -> tuple[str, list[str]]:
    """Tell the name that a hook has, and the names that it could have."""
    kind, _, name = section.removeprefix("?").partition("/")
    kind = kind.removesuffix(".s")
    if kind in ("tp", "tracepoint"):
        return name, tracepoints()
    if kind in ("raw_tp", "raw_tracepoint", "raw_tp.w", "raw_tracepoint.w", "tp_btf"):
        return name, [one.partition("/")[2] for one in tracepoints()]
    if kind in ("kprobe", "kretprobe"):
        return name.partition("+")[0], kernel_functions()
    if kind in ("fentry", "fexit", "fmod_ret"):
        return name, kernel_functions()
    if kind in ("lsm", "lsm_cgroup"):
        begin = "bpf_lsm_"
        hooks = [one for one in kernel_functions() if one.startswith(begin)]
        return name, [one.removeprefix(begin) for one in hooks]
    if kind in ("uprobe", "uretprobe"):
        binary, function = binary_and_function(name, options)
        return function, functions_of(binary)
    return name, []


def binary_and_function(name: str, options: Mapping[str, object]) -> tuple[str, str]:
    """Tell the binary and the function of a uprobe: the options' or the section's."""
    binary, _, function = name.rpartition(":") if ":" in name else (name, "", "")
    binary, function = str(options.get("binary", binary)), str(options.get("function", function))
    return binary, function.partition("+")[0]


def functions_of(binary: str) -> list[str]:
    """List the functions in a binary's symbol tables; none where it cannot be read."""
    from ebpm.symbols.elf import function_names

    return function_names(binary)


def target_of(section: str, options: Mapping[str, object]) -> str:
    """Say what is absent, for a sentence: the kernel's hook, the binary, or its function."""
    word, _, name = section.removeprefix("?").partition("/")
    if word.startswith(("uprobe", "uretprobe")):
        binary, function = binary_and_function(name, options)
        if "/" in binary and not os.path.exists(binary):
            return f"there is no file {binary}"
        return f"{binary} has no function {function}"
    if word.startswith("usdt"):
        parts = dict(zip(("binary", "provider", "name"), name.rsplit(":", 2), strict=False))
        parts |= {key: str(value) for key, value in options.items()}
        if "/" in parts["binary"] and not os.path.exists(parts["binary"]):
            return f"there is no file {parts['binary']}"
        probe = f"{parts.get('provider')}:{parts.get('name')}"
        return f"{parts['binary']} has no probe {probe}"
    return f"this kernel has no {section}"


def nearest(section: str, options: Mapping[str, object] | None = None, count: int = 3) -> list[str]:
    """Name the hooks most like the one that is named; best first."""
    from difflib import get_close_matches

    name, known = candidates(section, options or {})
    # A kernel has 150,000 functions: only those are compared that begin alike.
    spread = 2 + len(name) // 4
    alike = {one for one in known if one[:1] == name[:1] and abs(len(one) - len(name)) <= spread}
    return get_close_matches(name, sorted(alike), count, 0.6)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
