"""Pairs of namesakes that are run in a guest of the kernel matrix, each over its workload.

For those that this machine's kernel refuses. Prints a line of JSON for each; what must be equal in
them is in test_pairs.py.

    pairs.py PEERS TOOL,...
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.guest import make_disk, set_up
from tests.kernel.namesakes import Both
from tests.kernel.workloads import DISK


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A workload for two tools of one name, and the kernels on which theirs can be run."""

    script: str
    ours: tuple[str, ...] = ("-p", "{pid}")
    theirs: tuple[str, ...] = ("-p", "{pid}")
    since: tuple[int, int] = (5, 10)
    before: tuple[int, int] = (99, 0)
    refused: str = ""  # what the other kernels refuse it

    def runs_on(self, release: str) -> bool:
        """Tell whether theirs can be run on a kernel of a release."""
        major, minor = release.replace("-", ".").split(".")[:2]
        return self.since <= (int(major), int(minor)) < self.before


TALK = """
import socket
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    server = socket.create_server((address, 0), family=family)
    client = socket.create_connection(server.getsockname()[:2])
    other, _ = server.accept()
    for sender, receiver, size in ((client, other, 5120), (other, client, 2048)):
        sender.sendall(bytes(size))
        while size:
            size -= len(receiver.recv(size))
    client.close()
    other.recv(1)
    other.close()
    server.close()
    try:
        client = socket.socket(family)
        client.connect((address, 1))  # nobody listens
    except OSError:
        pass
"""
PAIRS = {
    "biosnoop": Pair(
        script=(
            "import mmap, os\n"
            f"fd = os.open('{DISK}/zeros', os.O_RDWR | os.O_CREAT | os.O_DIRECT)\n"
            "page = mmap.mmap(-1, 65536)\n"
            "for at in range(3): os.pwrite(fd, page, at * 65536)\n"
            "os.preadv(fd, [page], 0)\n"
        ),
        ours=(),
        theirs=(),
        since=(5, 11),
        refused="an argument of block_rq_issue that updates have taken from it",
    ),
    "capable": Pair(
        script=(
            "import os\n"
            f"os.chown('{DISK}', 1, 1); os.chown('{DISK}', 0, 0)\n"
            "os.setuid(65534)\n"
            "for _ in range(2):\n"
            "    try: os.chroot('/')\n"
            "    except PermissionError: pass\n"
        )
    ),
    "filelife": Pair(
        script=(
            "import os\n"
            "for name in ('one', 'other'):\n"
            f"    path = '{DISK}/' + name\n"
            "    open(path, 'w').close()\n"
            "    os.unlink(path)\n"
            f"os.unlink('{DISK}/old')\n"
        ),
        before=(6, 14),
    ),
    "filetop": Pair(
        script=(
            "import os\n"
            f"fd = os.open('{DISK}/numbers', os.O_RDWR | os.O_CREAT)\n"
            "for _ in range(5): os.write(fd, bytes(1024))\n"
            "os.pread(fd, 3072, 0); os.readv(fd, [bytearray(10)]); os.pread(fd, 4096, 5120)\n"
        ),
        theirs=("-C", "-p", "{pid}", "100"),
    ),
    "fsslower": Pair(
        script=(
            "import os\n"
            f"fd = os.open('{DISK}/slow', os.O_RDWR | os.O_CREAT)\n"
            "os.write(fd, bytes(100)); os.fsync(fd); os.pread(fd, 10, 0)\n"
            "os.write(fd, bytes(200)); os.fdatasync(fd); os.pread(fd, 1000, 50)\n"
        ),
        ours=("-p", "{pid}", "-m", "0"),
        theirs=("-t", "ext4", "-p", "{pid}", "-m", "0"),
    ),
    "memleak": Pair(
        script=(
            "import ctypes, time\n"
            "malloc = ctypes.CDLL(None).malloc\n"
            "malloc.restype = ctypes.c_void_p\n"
            "for _ in range(7): malloc(12345)\n"
            "time.sleep(2.5)\n"
        ),
        ours=("-p", "{pid}", "-z", "10000", "-T", "0"),
        theirs=("-p", "{pid}", "-z", "10000", "-o", "0", "-T", "50", "1"),
    ),
    "oomkill": Pair(
        script=(
            "import os, pathlib, time\n"
            "group = pathlib.Path('/sys/fs/cgroup/eaters')\n"
            "group.mkdir()\n"
            "(group / 'memory.max').write_text('40M')\n"
            "def eat(megabytes):\n"
            "    if pid := os.fork(): return pid\n"
            "    (group / 'cgroup.procs').write_text('0')\n"
            "    kept = bytearray(megabytes << 20)\n"
            "    os.write(ready, b'x')\n"
            "    time.sleep(60 if megabytes > 20 else 0)\n"
            "    os._exit(0)\n"
            "done, ready = os.pipe()\n"
            "large = eat(30)\n"
            "os.read(done, 1)\n"
            "small = eat(15)\n"
            "os.waitpid(large, 0); os.waitpid(small, 0)\n"
            "group.rmdir()\n"
        ),
        ours=(),
        theirs=(),
    ),
    "profile": Pair(
        script=("import time\nend = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass\n"),
        theirs=("-p", "{pid}", "-f"),
    ),
    "runqlen": Pair(
        script=(
            "import os, time\n"
            "for _ in range(3):\n"
            "    if not os.fork():\n"
            "        end = time.monotonic() + 1\n"
            "        while time.monotonic() < end: pass\n"
            "        os._exit(0)\n"
            "for _ in range(3): os.wait()\n"
        ),
        ours=(),
        theirs=(),
        before=(6, 14),
        refused="cfs_rq.nr_running, which has another name there",
    ),
    "statsnoop": Pair(
        script=(
            "import os\n"
            f"os.stat('{DISK}'); os.lstat('{DISK}'); os.statvfs('{DISK}')\n"
            f"os.path.exists('{DISK}/absent')\n"
        )
    ),
    "tcpconnect": Pair(script=TALK),
    "tcprtt": Pair(script=TALK, ours=(), theirs=()),
    "tcptop": Pair(script=TALK, theirs=("-C", "-p", "{pid}", "100")),
}


def assign(kernels: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Share the pairs out among kernels on which theirs can be run: those run at the same time.

    Args:
        kernels: names and releases.
    """
    given: dict[str, list[str]] = {name: [] for name, _ in kernels}
    can = {
        tool: [name for name, release in kernels if pair.runs_on(release)]
        for tool, pair in PAIRS.items()
    }
    for tool, names in sorted(can.items(), key=lambda one: len(one[1])):
        if names:
            given[min(names, key=lambda name: len(given[name]))].append(tool)
    return given


def main() -> None:
    """Run the pairs named."""
    peers, names = sys.argv[1:]
    os.environ["LD_LIBRARY_PATH"] = peers
    set_up("lo")
    make_disk(DISK)
    Path(DISK, "old").touch()
    Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+memory")
    both = Both(Path("/tmp"), str, theirs=f"{peers}/{{}}-libbpf")
    for name in names.split(","):
        pair, began = PAIRS[name], time.monotonic()
        said: dict[str, object] = {"pair": name, "kernel": os.uname().release}
        try:
            rows, text, pid = both.run(name, pair.script, ours=pair.ours, theirs=pair.theirs)
            said |= {"ours": rows, "theirs": text, "pid": pid}
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            said["error"] = f"{type(error).__name__}: {error}"
            said["ours"] = Path(f"/tmp/{name}.ours.err").read_text()[-2000:].splitlines()
        said["seconds"] = round(time.monotonic() - began, 2)
        sys.stdout.write(f"@ {json.dumps(said)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
