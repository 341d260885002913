"""What else is at an interface's clsact: asked before it is removed."""

from __future__ import annotations

import struct

_RTM_NEWTFILTER, _RTM_GETTFILTER = 44, 46
_CLSACT_INGRESS, _CLSACT_EGRESS = 0xFFFFFFF2, 0xFFFFFFF3  # TC_H_CLSACT | TC_H_MIN_*
_TCMSG = struct.Struct("=BBHiIII")  # struct tcmsg


def has_filters(ifindex: int) -> bool:
    """Whether an interface's clsact has filters, of anybody; True where that cannot be known."""
    return any(_has_filters(ifindex, parent) for parent in (_CLSACT_INGRESS, _CLSACT_EGRESS))


def _has_filters(ifindex: int, parent: int) -> bool:
    from ebpm.runtime.netlink import DUMP, request

    body = _TCMSG.pack(0, 0, 0, ifindex, 0, parent, 0)
    try:
        return any(kind == _RTM_NEWTFILTER for kind, _ in request(_RTM_GETTFILTER, DUMP, body))
    except OSError:
        return True
