"""What else is at an interface's clsact: asked before it is removed, over rtnetlink(7)."""

from __future__ import annotations

import struct

_NLM_F_REQUEST_DUMP = 0x1 | 0x300
_RTM_NEWTFILTER, _RTM_GETTFILTER = 44, 46
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_CLSACT_INGRESS, _CLSACT_EGRESS = 0xFFFFFFF2, 0xFFFFFFF3  # TC_H_CLSACT | TC_H_MIN_*
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_TCMSG = struct.Struct("=BBHiIII")  # struct tcmsg


def has_filters(ifindex: int) -> bool:
    """Whether an interface's clsact has filters, of anybody; True where that cannot be known."""
    return any(_has_filters(ifindex, parent) for parent in (_CLSACT_INGRESS, _CLSACT_EGRESS))


def _has_filters(ifindex: int, parent: int) -> bool:
    import socket

    body = _TCMSG.pack(0, 0, 0, ifindex, 0, parent, 0)
    request = _HEADER.pack(_HEADER.size + len(body), _RTM_GETTFILTER, _NLM_F_REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:  # NETLINK_ROUTE
        link.settimeout(2)
        try:
            link.send(request + body)
            while True:
                answer = link.recv(65536)
                at = 0
                while at + _HEADER.size <= len(answer):
                    length, kind, *_ = _HEADER.unpack_from(answer, at)
                    if kind == _RTM_NEWTFILTER:
                        return True
                    if kind in (_NLMSG_ERROR, _NLMSG_DONE) or length < _HEADER.size:
                        return False
                    at += (length + 3) & ~3
        except OSError:
            return True
