"""Runs the catalogue's tools in a guest, over what makes them report, and prints a line for each.

A tool works if it reports what stands in EXPECTED, of what its trigger does.

workloads.py FOLDER [TOOL...]
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pty
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from ebpm.errors import EbpmError
from ebpm.runtime.plan import Plan
from ebpm.runtime.session import Session
from tests.kernel import guest

SECONDS = 60  # for one tool; the emulated processor is slow
PATIENCE = 20  # seconds until a tool that reports nothing is given up
LIBC = guest.LIBC
DISK = "/tmp/disk"


def run_program() -> None:
    """Start a program that ends with an error."""
    words = [sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"]
    os.waitpid(os.posix_spawn(sys.executable, words, os.environ), 0)


def use_files() -> None:
    """Make, write, sync, read, look for and delete a file."""
    fd = os.open("/tmp/file", os.O_RDWR | os.O_CREAT)  # the guest's own
    os.write(fd, bytes(100))
    os.fsync(fd)
    os.pread(fd, 10, 0)
    os.close(fd)
    os.stat("/tmp/file")
    os.unlink("/tmp/file")
    os.path.exists("/nowhere")


def use_disk() -> None:
    """Write to a disk, past the cache."""
    fd = os.open(f"{DISK}/file", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    with mmap.mmap(-1, 65536) as page:
        os.pwrite(fd, page, 0)
    os.close(fd)


def use_console() -> None:
    """Write to the console, which interrupts when it has been sent."""
    os.write(1, b"\n" * 50)


def exhaust() -> None:
    """Take more memory than a cgroup may have."""
    with guest.own_cgroup() as path:
        with open(f"{path}/memory.max", "w", encoding="ascii") as file:
            file.write("20M")
        child = os.fork()
        if not child:
            bytearray(40 << 20)
            os._exit(0)
        os.waitpid(child, 0)


def type_to_bash() -> None:
    """Type a line into an interactive bash."""
    child, terminal = pty.fork()
    if not child:
        os.execl("/bin/bash", "bash", "--norc", "-i")
    os.write(terminal, b"true one two\nexit\n")
    try:
        while os.read(terminal, 1000):
            pass
    except OSError:  # its end is gone
        pass
    os.waitpid(child, 0)
    os.close(terminal)


def mount() -> None:
    """Mount and unmount."""
    LIBC.mount(b"none", b"/root", b"tmpfs", 0, None)
    LIBC.umount2(b"/root", 0)


def sleep() -> None:
    """Leave the processor, and take it again."""
    for _ in range(5):
        time.sleep(0.005)
    guest.burn()


def send_signals() -> None:
    """Send signal 0, and change owners, which asks for a capability."""
    os.kill(os.getpid(), 0)
    os.chown("/root", 1, 1)


def allocate() -> None:
    """Ask for memory and keep it; touch fresh pages."""
    LIBC.malloc.restype = ctypes.c_void_p
    for _ in range(10):
        LIBC.malloc(1000)
    bytearray(1 << 20)


def resolve() -> None:
    """Ask the C library for a host."""
    socket.getaddrinfo("127.0.0.1", 80)


def talk() -> None:
    """Use TCP and UDP on loopback."""
    guest.connect()
    guest.send_datagrams()


def lose() -> None:
    """Send over TCP when nothing arrives any more, and wait until it is sent again."""
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    other, _ = server.accept()
    index = socket.if_nametoindex("lo")
    guest.netlink.ask(16, 0, guest.struct.pack("=BxHiII", 0, 0, index, 0, 1))
    client.send(b"x")
    time.sleep(1.5)
    guest.set_up("lo")
    for one in (client, other, server):
        one.close()


def load_program() -> None:
    """Load a BPF program of two instructions."""
    from ebpm.runtime.libbpf.syscalls import open_bpf_output

    try:
        os.close(open_bpf_output(0, 1))
    except OSError:
        pass
    body = b"\xb7\0\0\0\0\0\0\0\x95\0\0\0\0\0\0\0"
    text = ctypes.create_string_buffer(body)
    name = ctypes.create_string_buffer(b"GPL")
    attributes = guest.struct.pack("=IIQQ", 1, 2, ctypes.addressof(text), ctypes.addressof(name))
    number = 280 if os.uname().machine == "aarch64" else 321
    fd = LIBC.syscall(number, 5, attributes, len(attributes))
    if fd >= 0:
        os.close(fd)


def reload_modules() -> None:
    """Unload the kernel's modules that can be spared, and load one again."""
    unload, load = (106, 273) if os.uname().machine == "aarch64" else (176, 313)
    folder = f"/modules/{os.uname().release}"
    for name in sorted(os.listdir(folder)):
        module = name.partition(".")[0].replace("-", "_")
        if LIBC.syscall(unload, module.encode(), os.O_NONBLOCK) == 0:
            fd = os.open(f"{folder}/{name}", os.O_RDONLY)
            LIBC.syscall(load, fd, b"", 0)
            os.close(fd)


TRIGGERS: dict[str, Callable[[], None]] = {
    **dict.fromkeys(("bootstrap", "execsnoop", "exitsnoop"), run_program),
    **dict.fromkeys(("opensnoop", "statsnoop", "filetop", "fsslower", "filelife"), use_files),
    **dict.fromkeys(("lsmopen", "errsnoop", "syscount"), use_files),
    **dict.fromkeys(("runqlat", "cpudist", "runqslower", "runqlen", "softirqs"), sleep),
    **dict.fromkeys(("profile", "offcputime"), sleep),
    **dict.fromkeys(("tcpconnect", "tcpaccept", "tcplife", "tcpstates", "tcprtt"), talk),
    **dict.fromkeys(("tcptop", "sockstat", "tc", "tcbytes", "xdpcount"), talk),
    **dict.fromkeys(("sigsnoop", "capable"), send_signals),
    **dict.fromkeys(("memleak", "pagefaults"), allocate),
    **dict.fromkeys(("biolatency", "biosnoop", "bitesize"), use_disk),
    "bashreadline": type_to_bash,
    "hardirqs": use_console,
    "mountsnoop": mount,
    "oomkill": exhaust,
    "gethostlatency": resolve,
    "tcpretrans": lose,
    "bpfload": load_program,
    "modload": reload_modules,
}
_PYTHON = os.path.basename(os.path.realpath(sys.executable))[:15]
EXPECTED: dict[str, dict[str, object]] = {  # the members of one event, or of an entry of a map
    "bashreadline": {"line": "true one two"},
    "biolatency": {},
    "biosnoop": {"disk": "loop0", "op": "BLOCK_WRITE", "comm": _PYTHON},
    "bitesize": {"comm": _PYTHON},
    "bootstrap": {"comm": _PYTHON, "exit_code": 3},
    "bpfload": {"insns": 2, "comm": _PYTHON},
    "capable": {"cap": "C_CHOWN", "ret": 0},
    "cpudist": {},
    "errsnoop": {"ret": -2, "comm": _PYTHON},
    "execsnoop": {"comm": _PYTHON, "ppid": "own"},
    "exitsnoop": {"status": 3, "ppid": "own"},
    "filelife": {"file": "file", "pid": "own"},
    "filetop": {"file": "file", "pid": "own"},
    "fsslower": {"file": "file", "op": "SLOW_WRITE", "bytes": 100},
    "gethostlatency": {"host": "127.0.0.1", "pid": "own"},
    "hardirqs": {},
    "lsmopen": {"file": "file", "pid": "own"},
    "memleak": {},
    "modload": {"what": "LOADED", "pid": "own"},
    "mountsnoop": {"target": "/root", "type": "tmpfs", "ret": 0},
    "offcputime": {},
    "oomkill": {"fcomm": _PYTHON},
    "opensnoop": {"fname": "/tmp/file", "pid": "own"},
    "pagefaults": {"comm": _PYTHON},
    "profile": {},
    "runqlat": {},
    "runqlen": {},
    "runqslower": {},
    "sigsnoop": {"sig": 0, "ret": 0, "tpid": "own"},
    "softirqs": {},
    "statsnoop": {"path": "/nowhere", "ret": -2},
    "syscount": {},
    "tc": {},
    "tcbytes": {"addr": "127.0.0.1"},
    "tcpaccept": {"raddr": "127.0.0.1", "pid": "own"},
    "tcpconnect": {"daddr": "127.0.0.1", "pid": "own"},
    "tcplife": {"laddr": "127.0.0.1", "pid": "own"},
    "tcpretrans": {"laddr": "127.0.0.1", "state": "ESTABLISHED"},
    "tcprtt": {},
    "tcpstates": {"laddr": "127.0.0.1", "newstate": "ESTABLISHED"},
    "tcptop": {"laddr": "127.0.0.1", "tx_bytes": 100},
    "xdpcount": {"ethertype": "IPV4", "protocol": 17},
}
VALUES = {
    "runqslower": {"min_us": 0},
    "fsslower": {"min_ms": 0},
    "execsnoop": {"failed": True, "line": "-S", "max_args": 8},
    "biolatency": {"queued": True, "per_flags": True},
    "biosnoop": {"queued": True},
    "capable": {"kernel_stack": True, "user_stack": True, "unique": "pid"},
}
_GROUPED = ("runqlat", "runqslower", "cpudist", "syscount")
"""Asked with a cgroup of the trigger's: the verifier sees all of them."""


def reports(session: Session, trigger: Callable[[], None], expected: dict[str, object]) -> str:
    """Trigger until the tool reports what is expected: "works"; else tell what it did."""
    outcome = "no events"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        trigger()
        for batch in session.batches(0.1):
            for event in batch.events():
                outcome = "other events"
                if not expected or fits(event.fields, expected):
                    return "works"
    return outcome


def fits(fields: dict[str, Any], expected: dict[str, object]) -> bool:
    """Tell whether an event, or an entry of a map, has the values expected."""
    if "key" in fields:
        fields = {**fields["key"], **fields["value"]}
    wanted = {name: os.getpid() if one == "own" else one for name, one in expected.items()}
    told = {name: str(fields.get(name)).partition("(")[0] for name in wanted}
    return told == {name: str(one) for name, one in wanted.items()}


def ask(folder: str, name: str) -> dict[str, object]:
    """Try a tool; ``outcome`` is as :func:`reports` has it, "wrong", or an error's code."""
    result: dict[str, object] = {"tool": name}
    try:
        guest.own_network()
        server = socket.create_server(("127.0.0.1", 0))  # there is a socket to be listed
        port = server.getsockname()[1]
        with open(f"{folder}/{name}.plan", "rb") as file:
            plan = Plan.load(file.read())
        with open(f"{folder}/{name}.o", "rb") as file:
            data = file.read()
        assert plan is not None
        for program in plan.programs:
            if program.kind == "xdp":
                program.options |= {"mode": "generic"}
        interval = 0.3 if any(one.sample for one in plan.sources) else None
        values: dict[str, Any] = {**VALUES.get(name, {})}
        with ExitStack() as stack:
            if name in _GROUPED:
                values["cgroup"] = stack.enter_context(guest.own_cgroup())
            session = stack.enter_context(Session(plan, data, values, interval=interval))
            if not session.waits:  # an iterator
                listed = any(f":{port} " in text for _, text in session.texts())
                result["outcome"] = "works" if listed else "wrong"
            else:
                result["outcome"] = reports(session, TRIGGERS[name], EXPECTED[name])
    except EbpmError as error:
        result |= {"outcome": error.code, "message": f"{error.message} ({error.hint})"}
    except Exception as error:  # noqa: BLE001  # of the test itself: told like the others
        result |= {"outcome": "wrong", "message": f"{type(error).__name__}: {error}"}
    else:
        server.close()
    return result


def main() -> None:
    """Ask about all tools in the folder, or those named."""
    folder, *names = sys.argv[1:]
    guest.make_disk(DISK)
    with open("/sys/fs/cgroup/cgroup.subtree_control", "w", encoding="ascii") as file:
        file.write("+memory")
    known = sorted(one.removesuffix(".plan") for one in os.listdir(folder) if one.endswith(".plan"))
    for name in names or known:
        child = os.fork()
        if not child:
            signal.alarm(SECONDS)
            guest.tell(ask(folder, name))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            guest.tell({"tool": name, "outcome": "wrong", "message": f"ended with {status:#x}"})


if __name__ == "__main__":
    main()
