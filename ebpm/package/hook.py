"""Hooks as text: an ELF section's name and options after it.

The grammar is written down in docs/spec/hooks.md: ``SECTION[,KEY=VALUE]…``, as in
``tracepoint/syscalls/sys_enter_kill``, ``xdp,dev=eth0,mode=generic``, ``tc/egress,dev=eth0``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpm.errors import InvalidPackage, InvalidParameter
from ebpm.package.model import ProgramSpec

if TYPE_CHECKING:
    from ebpm.plainjson import Json

AUTO, TC, XDP = "auto", "tc", "xdp"
UPROBE, USDT, PERF_EVENT, LSM = "uprobe", "usdt", "perf_event", "lsm"
LINK, CGROUP, SOCKMAP, NETNS, SOCKET = "link", "cgroup", "sockmap", "netns", "socket"
REUSEPORT, LWT, NETFILTER, FREPLACE = "reuseport", "lwt", "netfilter", "freplace"
ITERATOR, SYSCALL, STRUCT_OPS, ENTRY = "iter", "syscall", "struct_ops", "entry"

XDP_MODES = ("generic", "native", "offload")
_TC_POINTS = {"BPF_TC_INGRESS": "ingress", "BPF_TC_EGRESS": "egress", "BPF_TC_CUSTOM": "custom"}
_NUMBERS_END = 1 << 32


# --- the values of options -----------------------------------------------------------------------


def _number(low: int = 0, high: int = _NUMBERS_END - 1) -> Callable[[str, str], int]:
    def read(key: str, text: str) -> int:
        try:
            number = int(text, 0)
        except ValueError:
            raise InvalidParameter(f"{key}={text!r} is not an integer") from None
        if not low <= number <= high:
            raise InvalidParameter(f"{key}={number} is out of range: {low} to {high}")
        return number

    return read


def _one_of(what: str, *words: str) -> Callable[[str, str], str]:
    def read(_key: str, text: str) -> str:
        if text not in words:
            raise InvalidParameter(f"{text!r} is no {what}", hint=f"write {', '.join(words)}")
        return text

    return read


def _word_or_number(_key: str, text: str) -> str | int:
    try:
        return int(text, 0)
    except ValueError:
        return text


def _text(_key: str, text: str) -> str:
    return text


_PID, _NUMBER = _number(1, (1 << 31) - 1), _number()
_Options = dict[str, Callable[[str, str], Any]]
_OPTIONS: dict[str, _Options] = {  # kind: option: what reads it
    TC: {
        "dev": _text,
        "direction": _one_of("direction", *_TC_POINTS.values()),
        "handle": _NUMBER,
        "priority": _NUMBER,
        "parent": _NUMBER,
    },
    XDP: {"dev": _text, "mode": _one_of("XDP mode", *XDP_MODES), "flags": _NUMBER},
    UPROBE: {"binary": _text, "function": _text, "pid": _PID},
    USDT: {"binary": _text, "provider": _text, "name": _text, "pid": _PID},
    PERF_EVENT: {
        "type": _word_or_number,
        "config": _word_or_number,
        "frequency": _number(1),
        "period": _number(1, (1 << 64) - 1),
        "cpu": _NUMBER,
        "pid": _PID,
    },
    LINK: {"dev": _text},
    CGROUP: {"cgroup": _text, "direction": _one_of("direction", "ingress", "egress")},
    SOCKMAP: {"map": _text},
    NETNS: {"netns": _text},
    SOCKET: {"dev": _text, "pid": _PID, "fd": _NUMBER},
    REUSEPORT: {"pid": _PID, "fd": _NUMBER},
    LWT: {"route": _text, "dev": _text, "via": _text},
    NETFILTER: {
        "pf": _one_of("protocol family", "ipv4", "ipv6"),
        "hook": _one_of("hook", "prerouting", "input", "forward", "output", "postrouting"),
        "priority": _number(-(1 << 31), (1 << 31) - 1),
        "flags": _NUMBER,
    },
    FREPLACE: {"prog": _text},
    ITERATOR: {"map": _text, "pid": _PID},
}
OPTION_NAMES = frozenset(name for options in _OPTIONS.values() for name in options)
_OPTION = re.compile(r",([a-z]+)=([^,]*)$")

_KINDS = {  # the first word of a section
    **dict.fromkeys(("tc", "classifier", "action"), TC),
    **dict.fromkeys(("tcx", "netkit"), LINK),
    **dict.fromkeys(("uprobe", "uretprobe"), UPROBE),
    **dict.fromkeys(("cgroup", "cgroup_skb", "sockops", "lsm_cgroup"), CGROUP),
    **dict.fromkeys(("sk_skb", "sk_msg"), SOCKMAP),
    **dict.fromkeys(("sk_lookup", "flow_dissector"), NETNS),
    **dict.fromkeys(("lwt_in", "lwt_out", "lwt_xmit"), LWT),
    "xdp": XDP,
    "usdt": USDT,
    "perf_event": PERF_EVENT,
    "socket": SOCKET,
    "sk_reuseport": REUSEPORT,
    "netfilter": NETFILTER,
    "freplace": FREPLACE,
    "iter": ITERATOR,
    "syscall": SYSCALL,
    "struct_ops": STRUCT_OPS,
    "lsm": LSM,
}
# What a word may go on with: libbpf before 1.0 compared beginnings.
_WORD = re.compile(
    "(" + "|".join(sorted(map(re.escape, _KINDS), key=len, reverse=True)) + r")(?![A-Za-z])"
)
_ENTRIES = re.compile(r"xdp(\.frags)?[_/](devmap|cpumap)")


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a program attaches: the section says how, the options say to what."""

    section: str
    options: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Who attaches it: AUTO is libbpf, the others are this module's constants."""
        return kind_of(self.section)


def kind_of(section: str) -> str:
    """Tell a section's kind by its first word; libbpf before 1.0 let digits and more follow."""
    section = section.removeprefix("?")
    if _ENTRIES.match(section):
        return ENTRY  # of a map: it attaches to nothing
    match = _WORD.match(section)
    return _KINDS[match[1]] if match else AUTO


def parse_hook(text: str, section: str) -> Hook:
    """Read a hook; where it names no section, the program's own stays.

    Args:
        text: ``SECTION``, ``SECTION,KEY=VALUE…`` or just ``KEY=VALUE…``.
        section: the program's section in the object.

    Raises:
        InvalidParameter: an option that this kind of hook does not have, or a bad value.
    """
    rest = text if not re.match(r"[a-z]+=", text) else f",{text}"
    found: dict[str, str] = {}
    while match := _OPTION.search(rest):
        if match[1] in found:
            raise InvalidParameter(f"hook {text!r} has the option {match[1]!r} twice")
        found[match[1]] = match[2]
        rest = rest[: match.start()]
    hook_section = rest or section
    known = _OPTIONS.get(kind_of(hook_section), {})
    options: dict[str, Any] = {}
    for key, value in found.items():
        if key not in known:
            takes = ", ".join(known) or "no options"
            raise InvalidParameter(
                f"hook {text!r} has the option {key!r}", hint=f"{hook_section} takes {takes}"
            )
        options[key] = known[key](key, value)
    if rest and "direction" in known and (direction := _direction(rest)):
        options.setdefault("direction", direction)
    return Hook(hook_section, options)


def suits(text: str, section: str) -> bool:
    """Whether a hook that names no program may speak to one: its kind, or its options, fit.

    A kind that takes no options is none that could be meant.
    """
    kind = kind_of(section)
    if kind not in _OPTIONS:
        return False
    if not re.match(r"[a-z]+=", text):
        return kind_of(text.partition(",")[0]) == kind
    return set(re.findall(r"(?:^|,)([a-z]+)=", text)) <= set(_OPTIONS[kind])


def hook_of(program: ProgramSpec) -> Hook:
    """Read a program's hook from its section and from eunomia-bpf's keys beside it.

    Raises:
        InvalidPackage: the metadata gives an option that the hook does not have, or a bad value.
    """
    try:
        hook = parse_hook(program.attach, program.attach)
    except InvalidParameter as error:
        raise InvalidPackage(f"program {program.name}: {error.message}", hint=error.hint) from None
    options = dict(hook.options)
    extra = program.extra
    if hook.kind == TC:
        place, how = _mapping(extra.get("tchook")), _mapping(extra.get("tcopts"))
        options = {
            "dev": str(place.get("ifindex", 1)),
            "direction": _TC_POINTS.get(str(place.get("attach_point")), "ingress"),
            "handle": _field(program, how, "handle", 1),
            "priority": _field(program, how, "priority", 1),
        } | options
    elif hook.kind == XDP:
        flags = _field(program, extra, "flags", 0)
        options = {"dev": str(extra.get("ifindex", 1)), "flags": flags} | options
    elif hook.kind == LINK:
        options = {"dev": str(extra.get("ifindex", 1))} | options
    return Hook(hook.section, options)


def alternative_of(program: ProgramSpec) -> tuple[str, int] | tuple[str, int, str] | None:
    """Read the group that a program is an alternative in, and its rank there; 1 is tried first.

    A third, "optional", says that the tool does without where the kernel takes none of the group.

    Raises:
        InvalidPackage: ``alternative`` is neither ``"GROUP RANK [optional]"`` nor a mapping.
    """
    value = program.extra.get("alternative")
    if value is None:
        return None
    if isinstance(value, Mapping):
        group, rank = value.get("group"), value.get("rank")
        optional = "optional" if value.get("optional") is True else None
    else:
        match = re.fullmatch(r"(\S+)\s+(\d+)(\s+optional)?\s*", str(value), re.ASCII)
        group, rank, optional = match.groups() if match else (None, None, None)
        rank = int(rank) if rank else None
    if not isinstance(group, str) or not group or isinstance(rank, bool) or type(rank) is not int:
        raise InvalidPackage(
            f"program {program.name}: alternative {value!r} is no group and rank",
            hint="write it as @alternative GROUP RANK, such as @alternative open 1",
        )
    return (group, rank, "optional") if optional else (group, rank)


def when_of(what: str, said: Json, variables: Collection[str]) -> list[str]:
    """Read which variables a program or a map waits for (``@when``): one of them must not be zero.

    Args:
        what: "program NAME" or "map NAME", for errors.
        said: the key's value, names with spaces between them; None where it is absent.
        variables: those there are.

    Raises:
        InvalidPackage: there is no such variable.
    """
    names = [] if said is None else str(said).split() or [""]
    for name in names:
        if name not in variables:
            from difflib import get_close_matches

            near = get_close_matches(name, variables, 1)
            raise InvalidPackage(
                f"{what}: when {said!r}, and there is no such variable",
                hint=f"did you mean {near[0]}?" if near else "write it as @when VARIABLE",
            )
    return names


def _field(program: ProgramSpec, fields: Mapping[str, Any], key: str, default: int) -> int:
    value = fields.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _NUMBERS_END:
        raise InvalidPackage(f"program {program.name}: {key} is not a number: {value!r}")
    return value


def _direction(section: str) -> str | None:
    """Tell the direction that a section of tc names: it is there for people to edit."""
    word = section.partition("/")[2]
    return word if kind_of(section) == TC and word in ("ingress", "egress") else None


def _mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401  # JSON
    return value if isinstance(value, Mapping) else {}
