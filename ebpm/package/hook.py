"""Hooks as text: an ELF section's name and options after it.

The grammar is written down in docs/spec/hooks.md: ``SECTION[,KEY=VALUE]…``, as in
``tracepoint/syscalls/sys_enter_kill``, ``xdp,dev=eth0,mode=generic``, ``tc/egress,dev=eth0``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ebpm.errors import InvalidParameter
from ebpm.package.model import ProgramSpec

AUTO, TC, XDP = "auto", "tc", "xdp"
XDP_MODES = {"generic": 2, "native": 4, "offload": 8}  # XDP_FLAGS_*, include/uapi/linux/if_link.h
_OPTIONS = {  # kind: option: what it takes
    TC: {"dev": str, "direction": str, "handle": int, "priority": int, "parent": int},
    XDP: {"dev": str, "mode": str, "flags": int},
    AUTO: {},
}
OPTION_NAMES = frozenset(name for options in _OPTIONS.values() for name in options)
_OPTION = re.compile(r",([a-z]+)=([^,]*)$")
_TC_POINTS = {"BPF_TC_INGRESS": "ingress", "BPF_TC_EGRESS": "egress", "BPF_TC_CUSTOM": "custom"}


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
    """Tell a section's kind by its first word, as libbpf's table of sections does."""
    word = re.split(r"[/.]", section.removeprefix("?"), maxsplit=1)[0]
    if word in ("tc", "classifier", "action"):
        return TC
    # xdp_devmap and xdp_cpumap programs are entries of maps and attach to nothing.
    return XDP if word == "xdp" else AUTO


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
        found[match[1]] = match[2]
        rest = rest[: match.start()]
    hook_section = rest or section
    known = _OPTIONS[kind_of(hook_section)]
    options: dict[str, Any] = {}
    for key, value in found.items():
        if key not in known:
            takes = ", ".join(known) or "no options"
            raise InvalidParameter(
                f"hook {text!r} has the option {key!r}", hint=f"{hook_section} takes {takes}"
            )
        options[key] = _value(key, value, known[key])
    return Hook(hook_section, options)


def _value(key: str, text: str, kind: type) -> Any:  # noqa: ANN401  # text or number
    if key == "mode" and text not in XDP_MODES:
        raise InvalidParameter(f"{text!r} is no XDP mode", hint=f"write {', '.join(XDP_MODES)}")
    if key == "direction" and text not in _TC_POINTS.values():
        raise InvalidParameter(f"{text!r} is no direction", hint="write ingress or egress")
    if kind is not int:
        return text
    try:
        return int(text, 0)
    except ValueError:
        raise InvalidParameter(f"{key}={text!r} is not an integer") from None


def hook_of(program: ProgramSpec) -> Hook:
    """Read a program's hook from its section and from eunomia-bpf's keys beside it."""
    hook = parse_hook(program.attach, program.attach)
    options = dict(hook.options)
    extra = program.extra
    if hook.kind == TC:
        place, how = _mapping(extra.get("tchook")), _mapping(extra.get("tcopts"))
        options = {
            "dev": str(place.get("ifindex", 1)),
            "direction": _TC_POINTS.get(str(place.get("attach_point")), _direction(hook.section)),
            "handle": how.get("handle", 1),
            "priority": how.get("priority", 1),
        } | options
    elif hook.kind == XDP:
        options = {"dev": str(extra.get("ifindex", 1)), "flags": extra.get("flags", 0)} | options
    return Hook(hook.section, options)


def _direction(section: str) -> str:
    return "egress" if section.rsplit("/", maxsplit=1)[-1] == "egress" else "ingress"


def _mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401  # JSON
    return value if isinstance(value, Mapping) else {}
