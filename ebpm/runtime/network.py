"""Hooks of the network stack and of cgroups."""

from __future__ import annotations

import errno
import os

from ebpm.errors import HookNotFound, InterfaceNotFound, InvalidParameter
from ebpm.runtime.cgroup import open_cgroup
from ebpm.runtime.libbpf.binding import LibbpfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from ebpm.runtime.attach import Attachment
    from ebpm.runtime.libbpf.attachments import TcAttachment
    from ebpm.runtime.libbpf.binding import Map, Program
    from ebpm.runtime.plan import ProgramPlan

_BPF_XDP = 37  # enum bpf_attach_type
_TCX = {"tcx/ingress": 46, "tcx/egress": 47, "netkit/primary": 54, "netkit/peer": 55}
_STREAM_VERDICT = 5
_CGROUP_SKB = {"ingress": 0, "egress": 1}
_XDP_FLAGS = {"generic": 2, "native": 4, "offload": 8}  # XDP_FLAGS_*, uapi/linux/if_link.h
_TC_POINTS = {"ingress": 1, "egress": 2, "custom": 4}
_SOCKMAPS = (15, 18)  # BPF_MAP_TYPE_SOCKMAP, BPF_MAP_TYPE_SOCKHASH
_FAMILIES = {"ipv4": 2, "ipv6": 10}  # NFPROTO_*
_NETFILTER_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")  # NF_INET_*
_SO_ATTACH_BPF, _SO_DETACH_BPF = 50, 27  # include/uapi/asm-generic/socket.h
_SO_ATTACH_REUSEPORT, _SO_DETACH_REUSEPORT = 52, 68
_ETH_P_ALL = 3


def interface_index(text: str) -> int:
    """Find a network interface by name or index.

    Raises:
        InterfaceNotFound: there is none in this network namespace.
    """
    import socket

    try:
        if text.isdecimal():
            socket.if_indextoname(int(text))
            return int(text)
        return socket.if_nametoindex(text)
    except (OSError, OverflowError):
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise InterfaceNotFound(
            f"there is no network interface {text!r}", hint=f"there are {names}"
        ) from None


# --- interfaces ----------------------------------------------------------------------------------


def attach_to_xdp(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to an interface before the stack sees a packet."""
    ifindex = interface_index(str(one.options.get("dev", "1")))
    flags = int(one.options.get("flags", 0)) | _XDP_FLAGS.get(str(one.options.get("mode")), 0)
    try:
        return [program.attach_link(ifindex, _BPF_XDP, flags)]
    except LibbpfError as error:
        if error.errno != errno.EINVAL:
            raise
        from ebpm.runtime.libbpf.attachments import attach_xdp

        return [attach_xdp(program, ifindex, flags)]  # Linux < 5.9 has no XDP links


def attach_to_tc(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach as a filter of clsact."""
    from ebpm.runtime.libbpf.attachments import attach_tc

    attachment = attach_tc(
        program,
        ifindex=interface_index(str(one.options.get("dev", "1"))),
        point=_TC_POINTS[str(one.options.get("direction", "ingress"))],
        handle=int(one.options.get("handle", 1)),
        priority=int(one.options.get("priority", 1)),
        parent=int(one.options.get("parent", 0)),
    )
    return [Filter(attachment)]


class Filter:
    """A filter of clsact; which goes too if we made it and nobody else has a filter there."""

    def __init__(self, attachment: TcAttachment) -> None:
        self._attachment = attachment

    def close(self) -> None:
        """Detach. May be called twice."""
        one = self._attachment
        one.close()
        if one.created:
            from ebpm.runtime.tc import has_filters

            one.created = False
            if not has_filters(one.ifindex):
                one.remove_hook()


def attach_link(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to an interface by tcx (Linux 6.6) or netkit (6.7)."""
    ifindex = interface_index(str(one.options.get("dev", "1")))
    kind = _TCX.get(one.section.removeprefix("?"))
    if kind is None:
        known = ", ".join(_TCX)
        raise HookNotFound(f"there is no hook {one.section}", hint=f"there are {known}")
    return [program.attach_link(ifindex, kind, 0)]


def attach_to_netfilter(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to a hook of netfilter."""
    from ebpm.runtime.libbpf import attachments

    link = attachments.attach_netfilter(
        program,
        pf=_FAMILIES[str(one.options.get("pf", "ipv4"))],
        hook=_NETFILTER_HOOKS.index(str(one.options.get("hook", "prerouting"))),
        priority=int(one.options.get("priority", 0)),
        flags=int(one.options.get("flags", 0)),
    )
    return [link]


# --- cgroups and network namespaces --------------------------------------------------------------


def attach_cgroup(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to a cgroup and those below it."""
    path = str(one.options.get("cgroup", ""))
    if not path:
        raise InvalidParameter(
            f"program {one.name!r} at {one.section} attaches to a cgroup, and none is named",
            hint=f"--attach {one.name}=cgroup=PATH, a folder of cgroup2",
        )
    kind = program.attach_type
    if "direction" in one.options:
        kind = _CGROUP_SKB[str(one.options["direction"])]
    try:
        fd = open_cgroup(path)
    except ValueError as error:
        raise HookNotFound(str(error)) from None
    try:
        return [program.attach_link(fd, kind, 0)]
    finally:
        os.close(fd)


def attach_netns(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to a network namespace."""
    name = str(one.options.get("netns", "/proc/self/ns/net"))
    path = name if "/" in name else f"/run/netns/{name}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise HookNotFound(f"there is no network namespace {name}: {error.strerror}") from None
    try:
        return [program.attach_link(fd, program.attach_type, 0)]
    finally:
        os.close(fd)


# --- sockets -------------------------------------------------------------------------------------


def attach_sockmap(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Attach to a map of sockets."""
    from ebpm.runtime.libbpf.attachments import attach_to_map

    found = {each.name: each for each in program.owner.maps() if each.type in _SOCKMAPS}
    target = _sockmap(found, one)
    return [attach_to_map(program, target, program.attach_type or _STREAM_VERDICT)]


def _sockmap(found: dict[str, Map], one: ProgramPlan) -> Map:
    names = ", ".join(found) or "none"
    name = one.options.get("map")
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name is None:
        raise InvalidParameter(
            f"program {one.name!r} at {one.section} attaches to a map of sockets, and the object "
            f"has {names}",
            hint=f"--attach {one.name}=map=NAME",
        )
    if str(name) not in found:
        raise InvalidParameter(f"the object has no map of sockets {name!r}; it has {names}")
    return found[str(name)]


def attach_socket(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Filter what a socket receives: a packet socket of ours, or a socket of another process."""
    if "pid" in one.options or "fd" in one.options:
        other = _socket_of(one)
        return [SocketAttachment(other, program.fd, _SO_ATTACH_BPF, _SO_DETACH_BPF)]
    import socket

    dev = interface_index(str(one.options.get("dev", "1")))
    own = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        attachment = SocketAttachment(own, program.fd, _SO_ATTACH_BPF, _SO_DETACH_BPF)
        own.bind((socket.if_indextoname(dev), _ETH_P_ALL))
    except BaseException:
        own.close()
        raise
    return [attachment]


def attach_reuseport(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Choose among sockets that share a port: by any of them."""
    other = _socket_of(one)
    return [SocketAttachment(other, program.fd, _SO_ATTACH_REUSEPORT, _SO_DETACH_REUSEPORT)]


def _socket_of(one: ProgramPlan) -> socket:
    import socket

    from ebpm.runtime.libbpf.syscalls import take_descriptor

    if "pid" not in one.options or "fd" not in one.options:
        raise InvalidParameter(
            f"program {one.name!r} at {one.section} attaches to a socket of a process, and none "
            "is named",
            hint=f"--attach {one.name}=pid=PID,fd=NUMBER",
        )
    pid, fd = int(one.options["pid"]), int(one.options["fd"])
    try:
        return socket.socket(fileno=take_descriptor(pid, fd))
    except OSError as error:
        raise HookNotFound(
            f"process {pid} has no socket {fd}: {error.strerror}",
            hint=f"ls -l /proc/{pid}/fd lists its descriptors",
        ) from None


class SocketAttachment:
    """A program at a socket, which this holds open."""

    def __init__(self, other: socket, program_fd: int, attach: int, detach: int) -> None:
        other.setsockopt(1, attach, program_fd)  # SOL_SOCKET
        self._socket: socket | None = other
        self._detach = detach

    def close(self) -> None:
        """Detach. May be called twice."""
        if self._socket:
            try:
                self._socket.setsockopt(1, self._detach, 0)
            except OSError:
                pass  # somebody put another there, or none
            self._socket.close()
            self._socket = None


ATTACHERS = {
    "xdp": attach_to_xdp,
    "tc": attach_to_tc,
    "link": attach_link,
    "netfilter": attach_to_netfilter,
    "cgroup": attach_cgroup,
    "netns": attach_netns,
    "sockmap": attach_sockmap,
    "socket": attach_socket,
    "reuseport": attach_reuseport,
}
