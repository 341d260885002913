"""What libbpf makes of an ELF section's name: the program's type, and what it will be given.

The table is libbpf's ``section_defs`` (1.6) with the numbers of include/uapi/linux/bpf.h. ebpm
needs it where a program goes elsewhere than its section says: libbpf reads the name once, when it
opens the object, and must be told the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from ebpm.errors import InvalidParameter

SLEEPABLE, XDP_FRAGS = 1 << 4, 1 << 5  # BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS
_Row: TypeAlias = tuple[int, int, str]  # enum bpf_prog_type, enum bpf_attach_type, what it is given


@dataclass(frozen=True, slots=True)
class Section:
    """A kind of section; see :func:`find_section`."""

    word: str  # "tracepoint", "tc/ingress": what stands before the target
    type: int  # enum bpf_prog_type
    attach_type: int  # enum bpf_attach_type; 0 where the kind has none
    flags: int  # SLEEPABLE, XDP_FRAGS
    context: str  # what the program is given, for people; programs that differ in it cannot swap
    by_btf: bool  # what stands behind the word is found in the kernel's BTF before the load
    target: str  # what stands behind the word, "" if nothing does


@dataclass(frozen=True, slots=True, kw_only=True)
class Retype:
    """What a program has to be told before the load, to go where its section does not say.

    ``type`` is None where the section's kind stays, so that libbpf goes on treating it by its kind.
    """

    type: int | None = None
    attach_type: int = 0
    flags: int = 0
    target: str | None = None  # of a kind whose targets are found by BTF


_TRACEPOINT = "the record of a tracepoint"
_RAW = "the raw arguments of a tracepoint"
_REGISTERS = "the registers of the CPU (struct pt_regs)"
_USDT = "the arguments of a USDT probe, which its section describes"
_FUNCTION = "the typed arguments of a kernel function"
_PACKET = "a packet (struct __sk_buff)"
_FRAME = "a packet before the stack (struct xdp_md)"
_ADDRESS = "an address of a socket (struct bpf_sock_addr)"
_SOCKET = "a socket of a cgroup (struct bpf_sock)"
_STREAM = "a socket's data (struct __sk_buff)"
_OPTION = "a socket's option (struct bpf_sockopt)"
_ITEM = "what the iterator visits"

_BY_BTF: dict[str, _Row] = {
    "tp_btf": (26, 23, "the typed arguments of a tracepoint"),
    "fentry": (26, 24, _FUNCTION),
    "fexit": (26, 25, _FUNCTION),
    "fmod_ret": (26, 26, _FUNCTION),
    "lsm": (29, 27, "the arguments of a security hook"),
    "lsm_cgroup": (29, 43, "the arguments of a security hook, for one cgroup"),
    "iter": (26, 28, _ITEM),
}
_WITH_TARGET: dict[str, _Row] = {
    "tracepoint": (5, 0, _TRACEPOINT),
    "tp": (5, 0, _TRACEPOINT),
    "raw_tracepoint": (17, 0, _RAW),
    "raw_tp": (17, 0, _RAW),
    "raw_tracepoint.w": (24, 0, f"{_RAW}, to write to"),
    "raw_tp.w": (24, 0, f"{_RAW}, to write to"),
    "kprobe": (2, 0, _REGISTERS),
    "kretprobe": (2, 0, _REGISTERS),
    "ksyscall": (2, 0, _REGISTERS),
    "kretsyscall": (2, 0, _REGISTERS),
    "uprobe": (2, 0, _REGISTERS),
    "uretprobe": (2, 0, _REGISTERS),
    "kprobe.multi": (2, 42, _REGISTERS),
    "kretprobe.multi": (2, 42, _REGISTERS),
    "kprobe.session": (2, 56, _REGISTERS),
    "uprobe.multi": (2, 48, _REGISTERS),
    "uretprobe.multi": (2, 48, _REGISTERS),
    "uprobe.session": (2, 57, _REGISTERS),
    "usdt": (2, 0, _USDT),
    "freplace": (28, 0, "what the function that it replaces is given"),  # another program's BTF
    "struct_ops": (27, 0, "what a function of its struct_ops is given"),
}
_WHOLE: dict[str, _Row] = {  # these have nothing behind them
    "socket": (1, 0, "a packet of a socket (struct __sk_buff)"),
    "sk_reuseport": (21, 39, "a connection to choose a socket for"),
    "sk_reuseport/migrate": (21, 40, "a connection to choose a socket for"),
    "tc": (3, 0, _PACKET),
    "tc/ingress": (3, 46, _PACKET),
    "tc/egress": (3, 47, _PACKET),
    "tcx/ingress": (3, 46, _PACKET),
    "tcx/egress": (3, 47, _PACKET),
    "classifier": (3, 0, _PACKET),
    "netkit/primary": (3, 54, _PACKET),
    "netkit/peer": (3, 55, _PACKET),
    "action": (4, 0, f"{_PACKET} as an action of tc"),
    "syscall": (31, 0, "what its caller gives it"),
    "xdp": (6, 37, _FRAME),
    "xdp/devmap": (6, 33, "a packet for a device map's entry (struct xdp_md)"),
    "xdp/cpumap": (6, 35, "a packet for a CPU map's entry (struct xdp_md)"),
    "perf_event": (7, 0, "a perf event's sample"),
    "lwt_in": (10, 0, "a packet of a tunnel, coming in"),
    "lwt_out": (11, 0, "a packet of a tunnel, going out"),
    "lwt_xmit": (12, 0, "a packet of a tunnel, to be sent"),
    "lwt_seg6local": (19, 0, "a packet of a segment route"),
    "sockops": (13, 3, "an event of a TCP connection (struct bpf_sock_ops)"),
    "sk_skb": (14, 0, _STREAM),
    "sk_skb/stream_parser": (14, 4, _STREAM),
    "sk_skb/stream_verdict": (14, 5, _STREAM),
    "sk_skb/verdict": (14, 38, _STREAM),
    "sk_msg": (16, 7, "a message (struct sk_msg_md)"),
    "sk_lookup": (30, 36, "a lookup of a socket (struct bpf_sk_lookup)"),
    "lirc_mode2": (20, 16, "a pulse of a remote control"),
    "flow_dissector": (22, 17, "a packet to dissect"),
    "netfilter": (32, 45, "a packet of netfilter (struct bpf_nf_ctx)"),
    "cgroup_skb/ingress": (8, 0, "a packet of a cgroup (struct __sk_buff)"),
    "cgroup_skb/egress": (8, 1, "a packet of a cgroup (struct __sk_buff)"),
    "cgroup/skb": (8, 0, "a packet of a cgroup (struct __sk_buff)"),
    "cgroup/sock": (9, 2, _SOCKET),
    "cgroup/sock_create": (9, 2, _SOCKET),
    "cgroup/sock_release": (9, 34, _SOCKET),
    "cgroup/post_bind4": (9, 12, _SOCKET),
    "cgroup/post_bind6": (9, 13, _SOCKET),
    "cgroup/bind4": (18, 8, _ADDRESS),
    "cgroup/bind6": (18, 9, _ADDRESS),
    "cgroup/connect4": (18, 10, _ADDRESS),
    "cgroup/connect6": (18, 11, _ADDRESS),
    "cgroup/connect_unix": (18, 49, _ADDRESS),
    "cgroup/sendmsg4": (18, 14, _ADDRESS),
    "cgroup/sendmsg6": (18, 15, _ADDRESS),
    "cgroup/sendmsg_unix": (18, 50, _ADDRESS),
    "cgroup/recvmsg4": (18, 19, _ADDRESS),
    "cgroup/recvmsg6": (18, 20, _ADDRESS),
    "cgroup/recvmsg_unix": (18, 51, _ADDRESS),
    "cgroup/getpeername4": (18, 29, _ADDRESS),
    "cgroup/getpeername6": (18, 30, _ADDRESS),
    "cgroup/getpeername_unix": (18, 52, _ADDRESS),
    "cgroup/getsockname4": (18, 31, _ADDRESS),
    "cgroup/getsockname6": (18, 32, _ADDRESS),
    "cgroup/getsockname_unix": (18, 53, _ADDRESS),
    "cgroup/sysctl": (23, 18, "an access to a sysctl"),
    "cgroup/getsockopt": (25, 21, _OPTION),
    "cgroup/setsockopt": (25, 22, _OPTION),
    "cgroup/dev": (15, 6, "an access to a device"),
}
_ROWS = _BY_BTF | _WITH_TARGET | _WHOLE


def find_section(name: str) -> Section | None:
    """Find a section's kind, as libbpf does; None where libbpf knows none of that name.

    Args:
        name: of an ELF section; a ``?`` before it, which means "load it only if asked to", does not
            matter here.
    """
    name = name.removeprefix("?")
    word, _, target = name.partition("/")
    if (found := _section(name, "", whole=True)) is not None:
        return found
    return _section(word, target, whole=False)


def _section(word: str, target: str, *, whole: bool) -> Section | None:
    plain, flags = word, 0
    if word.endswith(".s"):  # uprobe.s, fentry.s, uprobe.multi.s
        plain, flags = word.removesuffix(".s"), SLEEPABLE
    elif word == "syscall":
        flags = SLEEPABLE
    elif word.startswith("xdp.frags"):
        plain, flags = word.replace(".frags", "", 1), XDP_FRAGS
    row = (_WHOLE if whole else _BY_BTF | _WITH_TARGET).get(plain)
    if row is None:
        return None
    return Section(word, row[0], row[1], flags, row[2], plain in _BY_BTF, target)


def retype(origin: str, section: str) -> Retype | None:
    """Tell what it takes to attach a program elsewhere than its section in the object says.

    Args:
        origin: the program's section in the object.
        section: where it shall go.

    Returns:
        None where that is the same section.

    Raises:
        InvalidParameter: it cannot go there; the message says why.
    """
    if origin.removeprefix("?") == section.removeprefix("?"):
        return None
    old, new = find_section(origin), find_section(section)
    if new is None:
        word = section.removeprefix("?").partition("/")[0]
        near = get_close_matches(section, _ROWS, 1) or get_close_matches(word, _ROWS, 1)
        raise InvalidParameter(
            f"libbpf knows no section {section!r}",
            hint=f"did you mean {near[0]}?" if near else "docs/spec/hooks.md lists the hooks",
        )
    if old is not None and (old.type, old.context) != (new.type, new.context):
        raise InvalidParameter(
            f"a program of section {origin} cannot move to {section}: it is compiled for "
            f"{old.context}, and would be given {new.context}",
            hint=f"it can move to another hook of {old.word}, or be written anew",
        )
    target = new.target or None if new.by_btf else None
    if old is not None and old.word == new.word:
        return Retype(target=target)
    return Retype(type=new.type, attach_type=new.attach_type, flags=new.flags, target=target)
