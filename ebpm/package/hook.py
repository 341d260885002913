"""Hooks as text: an ELF section's name and options after it.

The grammar is written down in docs/spec/hooks.md: ``SECTION[,KEY=VALUE]…``, as in
``tracepoint/syscalls/sys_enter_kill``, ``xdp,dev=eth0,mode=generic``, ``tc/egress,dev=eth0``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ebpm.errors import InvalidPackage, InvalidParameter
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
_NUMBERS_END = 1 << 32
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
    section = section.removeprefix("?")
    word = re.split(r"[/.]", section, maxsplit=1)[0]
    if word in ("tc", "classifier", "action"):
        return TC
    # Programs for device and CPU maps are entries of those maps, and attach to nothing.
    entry = section.endswith(("/devmap", "/cpumap"))
    return XDP if word == "xdp" and not entry else AUTO


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
        known = ", ".join(_TC_POINTS.values())
        raise InvalidParameter(f"{text!r} is no direction", hint=f"write {known}")
    if kind is not int:
        return text
    try:
        number = int(text, 0)
    except ValueError:
        raise InvalidParameter(f"{key}={text!r} is not an integer") from None
    if not 0 <= number < _NUMBERS_END:
        raise InvalidParameter(f"{key}={number} is out of range: 0 to {_NUMBERS_END - 1}")
    return number


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
            "direction": _TC_POINTS.get(str(place.get("attach_point")), _direction(hook.section)),
            "handle": _number(program, how, "handle", 1),
            "priority": _number(program, how, "priority", 1),
        } | options
    elif hook.kind == XDP:
        flags = _number(program, extra, "flags", 0)
        options = {"dev": str(extra.get("ifindex", 1)), "flags": flags} | options
    return Hook(hook.section, options)


def _number(program: ProgramSpec, fields: Mapping[str, Any], key: str, default: int) -> int:
    value = fields.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _NUMBERS_END:
        raise InvalidPackage(f"program {program.name}: {key} is not a number: {value!r}")
    return value


def _direction(section: str) -> str:
    return "egress" if section.rsplit("/", maxsplit=1)[-1] == "egress" else "ingress"


def _mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401  # JSON
    return value if isinstance(value, Mapping) else {}
