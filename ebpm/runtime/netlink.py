"""rtnetlink(7), as far as hooks need it: one request, and what the kernel answers."""

from __future__ import annotations

import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST, ACK, EXCL, CREATE, DUMP = 0x1, 0x4, 0x200, 0x400, 0x300  # NLM_F_*
NESTED = 1 << 15  # NLA_F_NESTED
_ERROR, _DONE = 2, 3  # NLMSG_*
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_TIMEOUT = 5  # seconds; the kernel answers at once


def attribute(kind: int, data: bytes) -> bytes:
    """Write a ``struct nlattr`` with its padding."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def number(kind: int, value: int) -> bytes:
    """Write an attribute of 32 bits."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """Write an attribute that is a string of C."""
    return attribute(kind, value.encode() + b"\0")


def request(kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Send a request (RTM_*) and walk the answers: type and content.

    Raises:
        OSError: the kernel refused, with its errno.
    """
    head = _HEADER.pack(_HEADER.size + len(body), kind, REQUEST | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as link:
        link.settimeout(_TIMEOUT)
        link.send(head + body)
        while True:
            answer, at = link.recv(1 << 16), 0
            while at + _HEADER.size <= len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                content = answer[at + _HEADER.size : at + length]
                if kind == _ERROR:
                    code = struct.unpack_from("=i", content)[0]
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return
                if kind == _DONE or length < _HEADER.size:
                    return
                yield kind, content
                at += (length + 3) & ~3


def ask(kind: int, flags: int, body: bytes) -> None:
    """Send a request that is answered by nothing but success.

    Raises:
        OSError: the kernel refused, with its errno.
    """
    for _ in request(kind, flags | ACK, body):
        pass
