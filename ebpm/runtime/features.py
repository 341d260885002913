"""Which kernel, and which libbpf, each kind of hook came with; asked only when one has failed.

Sources: the kernel's Documentation/bpf and git log of include/uapi/linux/bpf.h; libbpf's
``libbpf.map`` and release notes. What tests/kernel measures must agree (docs/compatibility.md).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Version = tuple[int, int]


class Feature:
    """A kind of hook: ``since`` is a version of Linux, ``option`` the kernel's build option."""

    __slots__ = ("arm64", "libbpf", "name", "option", "since")

    def __init__(
        self,
        name: str,
        since: Version,
        option: str = "",
        *,
        arm64: Version | None = None,
        libbpf: Version = (1, 0),
    ) -> None:
        self.name = name
        self.since = since
        self.option = option
        self.arm64 = arm64  # where it came later
        self.libbpf = libbpf

    def came_with(self, machine: str) -> Version:
        """Give the kernel that has it on a machine, by ``uname -m``."""
        return self.arm64 if self.arm64 and machine == "aarch64" else self.since


_KPROBES, _UPROBES = "CONFIG_KPROBE_EVENTS", "CONFIG_UPROBE_EVENTS"
_DIRECT = "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"  # what trampolines need
_XGRESS = "CONFIG_NET_XGRESS"
_TRAMPOLINE = (6, 4)  # arm64: the kernel had BPF's part in 6.0, ftrace's in 6.4
_LINK_OF_CGROUP = (5, 7)

FEATURES: Mapping[str, Feature] = {  # the longest that a section begins with
    "tracepoint": Feature("tracepoints", (4, 7), "CONFIG_BPF_EVENTS"),
    "tp": Feature("tracepoints", (4, 7), "CONFIG_BPF_EVENTS"),
    "raw_tracepoint": Feature("raw tracepoints", (4, 17)),
    "raw_tp": Feature("raw tracepoints", (4, 17)),
    "raw_tracepoint.w": Feature("writable raw tracepoints", (5, 2)),
    "raw_tp.w": Feature("writable raw tracepoints", (5, 2)),
    "tp_btf": Feature("tracepoints with BTF", (5, 5)),
    "fentry": Feature("fentry programs", (5, 5), _DIRECT, arm64=_TRAMPOLINE),
    "fexit": Feature("fexit programs", (5, 5), _DIRECT, arm64=_TRAMPOLINE),
    "fmod_ret": Feature("fmod_ret programs", (5, 7), _DIRECT, arm64=_TRAMPOLINE),
    "fentry.s": Feature("sleepable fentry programs", (5, 10), _DIRECT, arm64=_TRAMPOLINE),
    "fexit.s": Feature("sleepable fexit programs", (5, 10), _DIRECT, arm64=_TRAMPOLINE),
    "fmod_ret.s": Feature("sleepable fmod_ret programs", (5, 10), _DIRECT, arm64=_TRAMPOLINE),
    "freplace": Feature("replacing functions of programs", (5, 6), arm64=(6, 0)),
    "lsm": Feature("LSM programs", (5, 7), "CONFIG_BPF_LSM", arm64=_TRAMPOLINE),
    "lsm.s": Feature("sleepable LSM programs", (5, 11), "CONFIG_BPF_LSM", arm64=_TRAMPOLINE),
    "lsm_cgroup": Feature("LSM programs of a cgroup", (6, 0), "CONFIG_BPF_LSM", arm64=_TRAMPOLINE),
    "kprobe": Feature("kprobes", (4, 1), _KPROBES),
    "kretprobe": Feature("kretprobes", (4, 1), _KPROBES),
    "ksyscall": Feature("kprobes", (4, 1), _KPROBES),
    "kretsyscall": Feature("kretprobes", (4, 1), _KPROBES),
    "kprobe.multi": Feature("kprobe.multi links", (5, 18), "CONFIG_FPROBE", arm64=(6, 14)),
    "kretprobe.multi": Feature("kprobe.multi links", (5, 18), "CONFIG_FPROBE", arm64=(6, 14)),
    "kprobe.session": Feature(
        "kprobe.session links", (6, 10), "CONFIG_FPROBE", arm64=(6, 14), libbpf=(1, 5)
    ),
    "uprobe": Feature("uprobes", (4, 3), _UPROBES),
    "uretprobe": Feature("uretprobes", (4, 3), _UPROBES),
    "uprobe.s": Feature("sleepable uprobes", (6, 0), _UPROBES),
    "uretprobe.s": Feature("sleepable uretprobes", (6, 0), _UPROBES),
    "uprobe.multi": Feature("uprobe.multi links", (6, 6), _UPROBES, libbpf=(1, 3)),
    "uretprobe.multi": Feature("uprobe.multi links", (6, 6), _UPROBES, libbpf=(1, 3)),
    "uprobe.session": Feature("uprobe.session links", (6, 13), _UPROBES, libbpf=(1, 6)),
    "usdt": Feature("uprobes", (4, 3), _UPROBES),
    "perf_event": Feature("programs of perf events", (4, 9), "CONFIG_PERF_EVENTS"),
    "xdp": Feature("XDP", (4, 8)),
    "xdp.frags": Feature("XDP with packets in fragments", (5, 18)),
    "tc": Feature("BPF filters of clsact", (4, 5), "CONFIG_NET_CLS_BPF"),
    "classifier": Feature("BPF filters of clsact", (4, 5), "CONFIG_NET_CLS_BPF"),
    "action": Feature("BPF actions", (4, 1), "CONFIG_NET_ACT_BPF"),
    "tcx": Feature("tcx links", (6, 6), _XGRESS, libbpf=(1, 3)),
    "netkit": Feature("netkit links", (6, 7), "CONFIG_NETKIT", libbpf=(1, 3)),
    "cgroup": Feature("links to cgroups", _LINK_OF_CGROUP, "CONFIG_CGROUP_BPF"),
    "cgroup_skb": Feature("links to cgroups", _LINK_OF_CGROUP, "CONFIG_CGROUP_BPF"),
    "cgroup/connect_unix": Feature("cgroup hooks of unix sockets", (6, 7), libbpf=(1, 3)),
    "cgroup/sendmsg_unix": Feature("cgroup hooks of unix sockets", (6, 7), libbpf=(1, 3)),
    "cgroup/recvmsg_unix": Feature("cgroup hooks of unix sockets", (6, 7), libbpf=(1, 3)),
    "cgroup/getpeername_unix": Feature("cgroup hooks of unix sockets", (6, 7), libbpf=(1, 3)),
    "cgroup/getsockname_unix": Feature("cgroup hooks of unix sockets", (6, 7), libbpf=(1, 3)),
    "sockops": Feature("links to cgroups", _LINK_OF_CGROUP, "CONFIG_CGROUP_BPF"),
    "sk_skb": Feature("programs of sockmaps", (4, 14), "CONFIG_BPF_STREAM_PARSER"),
    "sk_skb/verdict": Feature("sk_skb/verdict programs", (5, 13), "CONFIG_BPF_STREAM_PARSER"),
    "sk_msg": Feature("sk_msg programs", (4, 17), "CONFIG_BPF_STREAM_PARSER"),
    "sk_lookup": Feature("sk_lookup programs", (5, 9)),
    "flow_dissector": Feature("links to flow dissectors", (5, 7)),
    "socket": Feature("BPF socket filters", (3, 19)),
    "sk_reuseport": Feature("sk_reuseport programs", (4, 19)),
    "sk_reuseport/migrate": Feature("sk_reuseport/migrate programs", (5, 14)),
    "lwt_in": Feature("programs of light-weight tunnels", (4, 10), "CONFIG_LWTUNNEL_BPF"),
    "lwt_out": Feature("programs of light-weight tunnels", (4, 10), "CONFIG_LWTUNNEL_BPF"),
    "lwt_xmit": Feature("programs of light-weight tunnels", (4, 10), "CONFIG_LWTUNNEL_BPF"),
    "iter": Feature("iterators", (5, 8)),
    "iter.s": Feature("sleepable iterators", (5, 19)),
    "struct_ops": Feature("struct_ops", (5, 6), "CONFIG_BPF_JIT", arm64=(6, 0)),
    "struct_ops.s": Feature("sleepable struct_ops programs", (6, 0), "CONFIG_BPF_JIT"),
    "netfilter": Feature(
        "netfilter links", (6, 4), "CONFIG_NETFILTER_BPF_LINK", libbpf=(1, 3)
    ),
    "syscall": Feature("syscall programs", (5, 14)),
}  # fmt: skip
STRUCT_OPS_LINK = Feature("struct_ops links", (6, 4), libbpf=(1, 2))
TASK_ITERATOR_OPTIONS = Feature("iterators over one process", (6, 1))


def feature_of(section: str) -> Feature | None:
    """Find what a section needs."""
    name = section.removeprefix("?").partition(",")[0]
    while name:
        if name in FEATURES:
            return FEATURES[name]
        cut = max(name.rfind("/"), name.rfind("."), name.rfind("_"), 0)
        name = name[:cut] if cut else ""
    return None


def running() -> Version:
    """Give the version of the kernel that runs."""
    release = os.uname().release
    major, _, rest = release.partition(".")
    minor = ""
    for letter in rest:
        if not letter.isdecimal():
            break
        minor += letter
    return int(major), int(minor or 0)


def lacking(feature: Feature) -> str | None:
    """Tell why this kernel lacks a feature, for a sentence; None if it should have it.

    Only the kernel itself knows: this is for explaining a failure, as distributions carry features
    over to older kernels.
    """
    machine = os.uname()
    since = feature.came_with(machine.machine)
    if running() < since:
        came = f"Linux {since[0]}.{since[1]}"
        where = f" on {machine.machine}" if since != feature.since else ""
        return f"{feature.name}, which came with {came}{where}; this is {machine.release}"
    if feature.option and (lines := _configuration()) and f"{feature.option}=" not in lines:
        return f"{feature.name}, and this kernel is built without {feature.option}"
    return None


def _configuration() -> str:
    """Read the options that the kernel was built with; empty where it does not tell."""
    release = os.uname().release
    for path in (f"/boot/config-{release}", f"/usr/lib/modules/{release}/config"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            pass
    try:
        import gzip

        with gzip.open("/proc/config.gz", "rt", errors="replace") as packed:
            return packed.read()
    except (OSError, EOFError):
        return ""
