"""Programs of light-weight tunnels: a route of the run's own, whose packets they see.

Source: include/uapi/linux/{rtnetlink,lwtunnel}.h.
"""

from __future__ import annotations

import socket
import struct

from ebpm.errors import InvalidParameter
from ebpm.runtime import netlink
from ebpm.runtime.network import interface_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpm.runtime.attach import Attachment
    from ebpm.runtime.libbpf.binding import Program
    from ebpm.runtime.plan import ProgramPlan

_RTM_NEWROUTE, _RTM_DELROUTE = 24, 25
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_ENCAP_TYPE, _RTA_ENCAP = 1, 4, 5, 21, 22
_ENCAP_BPF = 6  # LWTUNNEL_ENCAP_BPF
_PLACES = {"lwt_in": 1, "lwt_out": 2, "lwt_xmit": 3}  # LWT_BPF_IN, …
_PROG_FD, _PROG_NAME = 1, 2  # LWT_BPF_PROG_*
_RTMSG = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_MAIN, _STATIC, _UNICAST, _UNIVERSE = 254, 4, 1, 0  # RT_TABLE_*, RTPROT_*, RTN_*, RT_SCOPE_*
_LINK = 253  # RT_SCOPE_LINK


def attach(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Make a route whose packets the program sees; it must not be there yet."""
    destination, length, family = _route(one)
    place = {"dev": one.options.get("dev"), "via": one.options.get("via")}
    if not any(place.values()):
        raise InvalidParameter(
            f"the route of program {one.name!r} leads nowhere",
            hint=f"--attach {one.name}=dev=INTERFACE, or via=ADDRESS",
        )
    scope = _UNIVERSE if place["via"] or family == socket.AF_INET6 else _LINK
    head = _RTMSG.pack(family, length, 0, 0, _MAIN, _STATIC, scope, _UNICAST, 0)
    body = head + netlink.attribute(_RTA_DST, destination)
    if place["dev"]:
        body += netlink.number(_RTA_OIF, interface_index(str(place["dev"])))
    if place["via"]:
        body += netlink.attribute(_RTA_GATEWAY, _address(str(place["via"]), family))
    word = one.section.removeprefix("?")[: len("lwt_xmit")].rstrip("/_0123456789")
    own = netlink.number(_PROG_FD, program.fd) + netlink.text(_PROG_NAME, one.name)
    own = netlink.attribute(_PLACES[word] | netlink.NESTED, own)
    tunnel = netlink.attribute(_RTA_ENCAP_TYPE, struct.pack("=H", _ENCAP_BPF))
    tunnel += netlink.attribute(_RTA_ENCAP | netlink.NESTED, own)
    netlink.ask(_RTM_NEWROUTE, netlink.CREATE | netlink.EXCL, body + tunnel)
    return [Route(body)]


class Route:
    """A route that was made for a run."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def close(self) -> None:
        """Delete it; the interface may be gone and the route with it. May be called twice."""
        if self._body:
            try:
                netlink.ask(_RTM_DELROUTE, 0, self._body)
            except OSError:
                pass
            self._body = b""


def _route(one: ProgramPlan) -> tuple[bytes, int, int]:
    """Read ``ADDRESS/LENGTH``: the address, the length in bits, the family."""
    text = str(one.options.get("route", ""))
    address, slash, bits = text.partition("/")
    if not text:
        raise InvalidParameter(
            f"program {one.name!r} at {one.section} attaches to a route, and none is named",
            hint=f"--attach {one.name}=route=10.8.0.0/16,dev=INTERFACE",
        )
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = _address(address, family)
    length = int(bits) if bits.isdecimal() else len(packed) * 8
    if length > len(packed) * 8 or (slash and not bits.isdecimal()):
        raise InvalidParameter(f"{text!r} is no route: its length is not in 0 to {len(packed) * 8}")
    return packed, length, family


def _address(text: str, family: int) -> bytes:
    try:
        return socket.inet_pton(family, text)
    except OSError:
        raise InvalidParameter(f"{text!r} is no IP address of this route") from None
