"""Capabilities in a few plain lines, for people who decide what to run; and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ebpm.package.capabilities import Capabilities, MapCapability, Need, ProgramCapability
from ebpm.package.kernels import Version
from ebpm.package.sections import find_section

SOME = 3  # names in a line before "and N more"
_NOUNS = {  # of the word of a section: one of it, many
    **dict.fromkeys(
        ("tracepoint", "tp", "raw_tracepoint", "raw_tp", "tp_btf"), ("tracepoint", "tracepoints")
    ),
    **dict.fromkeys(
        ("kprobe", "kretprobe", "fentry", "fexit", "fmod_ret", "kprobe.session"),
        ("kernel function", "kernel functions"),
    ),
    **dict.fromkeys(("ksyscall", "kretsyscall"), ("system call", "system calls")),
    **dict.fromkeys(("uprobe", "uretprobe"), ("user function", "user functions")),
    "usdt": ("USDT probe", "USDT probes"),
    "perf_event": ("performance event", "performance events"),
    "xdp": ("network device (XDP)", "network devices (XDP)"),
    **dict.fromkeys(
        ("tc", "tcx", "classifier", "netkit"), ("network device (tc)", "network devices (tc)")
    ),
    "lsm": ("security hook", "security hooks"),
    "iter": ("iterator", "iterators"),
    **dict.fromkeys(
        ("cgroup", "cgroup_skb", "lsm_cgroup"), ("hook of a cgroup", "hooks of a cgroup")
    ),
    "socket": ("socket", "sockets"),
}


def version_text(version: Version) -> str:
    """Write a kernel's version."""
    return f"{version[0]}.{version[1]}"


def hooks_text(capabilities: Capabilities) -> str:
    """Count what a package attaches to: "4 tracepoints, 1 kernel function"."""
    hooks: dict[tuple[str, str], set[str]] = {}
    for one in capabilities.programs:
        noun = _noun(one.kind)
        hooks.setdefault(noun, set()).add(one.target or one.name)
    parts = [f"{len(found)} {noun[len(found) > 1]}" for noun, found in hooks.items()]
    return ", ".join(parts) or "nothing"


def _noun(kind: str) -> tuple[str, str]:
    word = kind.removesuffix(".s").removesuffix(".w").removesuffix(".multi")
    known = _NOUNS.get(word) or _NOUNS.get(word.partition("/")[0].partition(".")[0])
    return known or (f"hook {kind or 'that libbpf does not know'}", f"hooks {kind}")


def lines(capabilities: Capabilities, cpus: int) -> list[str]:
    """Say what a package does, one thing a line.

    Args:
        capabilities: the package's.
        cpus: how many processors there are, on which the memory of some maps depends.
    """
    writes = ", ".join(capabilities.writes) or "nothing"
    if not capabilities.complete:
        writes += " that could be seen: a program is too long to be followed to its end"
    found = [
        f"attaches to {hooks_text(capabilities)}",
        f"reads {_reads(capabilities)}",
        f"writes {writes}",
    ]
    if capabilities.decides:
        found.append(f"may stop, change or redirect {', '.join(capabilities.decides)}")
    if capabilities.kernel_functions:
        found.append(f"calls {some(f'{one}()' for one in capabilities.kernel_functions)}")
    found.append(f"{memory_text(capabilities.memory(cpus))} of maps")
    if capabilities.since:
        newest = [one.what for one in capabilities.needs if one.since == capabilities.since]
        found.append(f"runs from kernel {version_text(capabilities.since)}: {some(newest)}")
    return found


def _reads(capabilities: Capabilities) -> str:
    """Name what is read: kinds of memory, and the kernel's structs."""
    kinds = [
        one for one in capabilities.reads if one != "kernel memory" or not capabilities.structs
    ]
    structs = [f"struct {one}" for one in capabilities.structs]
    return ", ".join([*kinds, *([some(structs)] if structs else [])]) or "what its hooks are given"


def from_json(data: Mapping[str, Any]) -> Capabilities:
    """Read capabilities out of an index; what is missing or malformed there is empty here."""

    def texts(value: object) -> tuple[str, ...]:
        return tuple(str(one) for one in value) if isinstance(value, list | tuple) else ()

    def items(key: str) -> list[dict[str, Any]]:
        value = data.get(key)
        return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

    programs = []
    for one in items("programs"):
        section = str(one.get("section"))
        kind = find_section(section)
        programs.append(
            ProgramCapability(
                name=str(one.get("name")),
                section=section,
                kind=kind.word if kind else "",
                target=kind.target if kind else "",
                helpers=texts(one.get("helpers")),
                kernel_functions=texts(one.get("kernelFunctions")),
            )
        )
    return Capabilities(
        programs=tuple(programs),
        maps=tuple(
            MapCapability(
                name=str(one.get("name")),
                type=str(one.get("type")),
                max_entries=_number(one.get("maxEntries")),
                memory=_number(one.get("bytes")),
                per_cpu=_number(one.get("bytesPerCpu")),
            )
            for one in items("maps")
        ),
        structs=texts(data.get("structs")),
        reads=texts(data.get("reads")),
        writes=texts(data.get("writes")),
        decides=texts(data.get("decides")),
        needs=tuple(
            Need(since=_version(str(one.get("kernel"))), what=str(one.get("what")))
            for one in items("needs")
        ),
        complete=data.get("complete") is not False,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


def some(names: Iterable[str]) -> str:
    """Name the first few."""
    listed = list(names)
    more = len(listed) - SOME
    tail = f" and {more} more" if more > 0 else ""
    return ", ".join(listed[:SOME]) + tail


def memory_text(size: int) -> str:
    """Write bytes for people, as multiples of 1000."""
    return f"{size / 1e6:.1f} MB" if size >= 50_000 else f"{size / 1e3:.0f} kB"


def to_json(capabilities: Capabilities) -> dict[str, Any]:
    """Write capabilities as they stand in an index and in ``ebpm info --json``."""
    return {
        "programs": [
            {
                "name": one.name,
                "section": one.section,
                "helpers": list(one.helpers),
                "kernelFunctions": list(one.kernel_functions),
            }
            for one in capabilities.programs
        ],
        "maps": [
            {
                "name": one.name,
                "type": one.type,
                "maxEntries": one.max_entries,
                "bytes": one.memory,
                "bytesPerCpu": one.per_cpu,
            }
            for one in capabilities.maps
        ],
        "structs": list(capabilities.structs),
        "reads": list(capabilities.reads),
        "writes": list(capabilities.writes),
        "decides": list(capabilities.decides),
        "needs": [
            {"kernel": version_text(one.since), "what": one.what} for one in capabilities.needs
        ],
        "complete": capabilities.complete,
    }
