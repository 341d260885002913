"""Every tool of the catalogue that this kernel can run, over a workload of the test's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ebpm

pytestmark = pytest.mark.needs("compiler", "bpf")
Tools = Callable[[str], Path]
Rows = list[dict[str, Any]]

TALK = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
other, _ = server.accept()
client.sendall(bytes(500))
assert len(other.recv(1000, socket.MSG_WAITALL) if False else other.recv(500)) == 500
other.sendall(bytes(10))
assert len(client.recv(10)) == 10
client.close()
other.recv(1)
other.close()
print(server.getsockname()[1])
server = socket.create_server(("::1", 0), family=socket.AF_INET6)
client = socket.create_connection(server.getsockname()[:2])
server.accept()[0].close()
client.close()
"""


class Catalogue:
    """Runs built tools of the catalogue."""

    def __init__(self, ebpm: Ebpm, tools: Tools) -> None:
        self._ebpm = ebpm
        self._tools = tools

    def path(self, tool: str) -> Path:
        return self._tools(tool) / "package.json"

    def trace(
        self, tool: str, *command: object, options: Sequence[str] = (), status: int = 0
    ) -> Rows:
        """Run a tool over a command; give what it reports of that process."""
        words = ["run", "--json", self.path(tool), *options, "--", *command]
        return rows(self._ebpm.run(*words, check=status).stdout)

    def python(self, tool: str, script: str, *options: str, status: int = 0) -> Rows:
        """Run a tool over a Python script."""
        command = (sys.executable, "-I", "-S", "-c", script)
        return self.trace(tool, *command, options=options, status=status)

    def watch(
        self,
        tool: str,
        seconds: float,
        *options: str,
        words: Sequence[str] = (),
        meanwhile: Sequence[str] = ("true",),
    ) -> Rows:
        """Run a tool for a time, and a command beside it; give what it reports of everybody."""
        path = self.path(tool)  # building it takes longer than what goes on meanwhile
        with beside(*meanwhile):
            done = self._ebpm.run("run", "--json", "-d", f"{seconds}s", *words, path, *options)
        return rows(done.stdout)


def rows(text: str) -> Rows:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def added(found: Rows) -> dict[str, int]:
    """Add up the numbers of all entries of a sampled map."""
    total: dict[str, int] = {}
    for row in found:
        for name, value in row["value"].items():
            if isinstance(value, int):
                total[name] = total.get(name, 0) + value
    return total


def slots(found: Rows) -> list[int]:
    """Add up the histograms of all entries."""
    return [sum(column) for column in zip(*(row["value"]["slots"] for row in found), strict=True)]


@pytest.fixture
def run(ebpm: Ebpm, tools: Tools) -> Catalogue:
    return Catalogue(ebpm, tools)


@contextmanager
def beside(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command while something else goes on."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def later(script: str, seconds: float = 0.7) -> tuple[str, ...]:
    return ("sh", "-c", f"sleep {seconds}; {script}")


# --- processes -----------------------------------------------------------------------------------


def test_bootstrap_tells_starts_and_ends(run: Catalogue) -> None:
    start, other, end = run.trace("bootstrap", "sh", "-c", "exec sleep 0.05")
    assert (start["filename"].endswith("/sh"), start["exit_event"]) == (True, 0)
    assert (other["filename"].endswith("/sleep"), other["comm"]) == (True, "sleep")
    assert (end["exit_event"], end["exit_code"], end["filename"]) == (1, 0, "")
    assert 50_000_000 < end["duration_ns"] < 5_000_000_000
    assert {start["pid"]} == {other["pid"], end["pid"]}


def test_bootstrap_leaves_short_lives_out(run: Catalogue) -> None:
    command = ("sh", "-c", "exec sleep 0.05")
    (end,) = run.trace("bootstrap", *command, options=["--min_duration_ns", "10000000"])
    assert end["exit_event"] == 1
    assert run.trace("bootstrap", *command, options=["-d", "60000000000"]) == []


def test_exitsnoop_tells_status_and_signal(run: Catalogue) -> None:
    (end,) = run.trace("exitsnoop", "sh", "-c", "exit 3", status=3)
    assert (end["status"], end["signal"], end["core"]) == (3, 0, False)
    (end,) = run.python("exitsnoop", "import os; os.kill(os.getpid(), 9)", status=137)
    assert (end["status"], end["signal"]) == (0, int(signal.SIGKILL))
    assert run.trace("exitsnoop", "true", options=["-x"]) == []
    threads = "import threading; t = threading.Thread(target=print); t.start(); t.join()"
    assert len(run.python("exitsnoop", threads, "-T")) == 2


@pytest.mark.needs("memory-cgroup")
def test_oomkill_tells_who_asked_and_who_is_killed(run: Catalogue, tmp_path: Path) -> None:
    group = Path("/sys/fs/cgroup/memory") / f"ebpm-test-{os.getpid()}"
    group.mkdir()
    eat = tmp_path / "eat.py"
    eat.write_text(
        "import os, pathlib\n"
        f"pathlib.Path('{group}/cgroup.procs').write_text(str(os.getpid()))\n"
        "bytearray(200 << 20)\n"
    )
    try:
        (group / "memory.limit_in_bytes").write_text("20M")
        found = run.watch(
            "oomkill", 8, words=("-c", "1"), meanwhile=later(f"{sys.executable} {eat}", 1.5)
        )
    finally:
        time.sleep(0.2)
        group.rmdir()
    assert [(one["fpid"] == one["tpid"], one["fcomm"]) for one in found] == [
        (True, Path(sys.executable).name[:15])
    ]


# --- files ---------------------------------------------------------------------------------------


def test_statsnoop_tells_paths_and_results(run: Catalogue, tmp_path: Path) -> None:
    script = f"import os\nos.stat({str(tmp_path)!r})\nos.path.exists({str(tmp_path / 'no')!r})"
    found = {one["path"]: one["ret"] for one in run.python("statsnoop", script)}
    assert (found[str(tmp_path)], found[str(tmp_path / "no")]) == (0, -2)
    assert {one["ret"] < 0 for one in run.python("statsnoop", script, "--failed")} == {True}


def test_mountsnoop_tells_mounts_and_unmounts(run: Catalogue, tmp_path: Path) -> None:
    script = (
        "import ctypes\nlibc = ctypes.CDLL(None)\n"
        "libc.unshare(0x20000)\n"  # a mount namespace of its own
        "libc.mount(b'none', b'/', None, 0x44000, None)\n"
        f"libc.mount(b'here', {os.fsencode(tmp_path)!r}, b'tmpfs', 2, None)\n"
        f"libc.umount2({os.fsencode(tmp_path)!r}, 2)\n"
    )
    _, mount, umount = run.python("mountsnoop", script)
    place = str(tmp_path)[:127]
    assert (mount["op"], mount["ret"], mount["flags"]) == ("MOUNT(0)", 0, 2)
    assert (mount["source"], mount["target"], mount["type"]) == ("here", place, "tmpfs")
    assert (umount["op"], umount["ret"], umount["target"]) == ("UNMOUNT(1)", 0, place)


def test_filetop_counts_what_goes_to_a_file(run: Catalogue, tmp_path: Path) -> None:
    script = (
        f"import os\nfd = os.open({str(tmp_path / 'numbers')!r}, os.O_RDWR | os.O_CREAT)\n"
        "for _ in range(5): os.write(fd, bytes(100))\n"
        "os.pread(fd, 300, 0); os.readv(fd, [bytearray(10)])"
    )
    found = [one for one in run.python("filetop", script) if one["key"]["file"] == "numbers"]
    assert added(found) == {"reads": 2, "writes": 5, "r_bytes": 300, "w_bytes": 500}
    pipe = "import os\nr, w = os.pipe()\nos.write(w, b'12345')"
    written = [one for one in run.python("filetop", pipe, "-a") if one["value"]["w_bytes"] == 5]
    assert len(written) == 1
    assert not [one for one in run.python("filetop", pipe) if one["value"]["w_bytes"]]


def test_fsslower_tells_operations(run: Catalogue, tmp_path: Path) -> None:
    script = (
        f"import os\nfd = os.open({str(tmp_path / 'numbers')!r}, os.O_RDWR | os.O_CREAT)\n"
        "os.write(fd, bytes(100)); os.fsync(fd); os.pread(fd, 10, 0)"
    )
    found = run.python("fsslower", script, "--min_ms", "0")
    mine = [(one["op"], one["bytes"]) for one in found if one["file"] == "numbers"]
    assert mine == [
        ("SLOW_OPEN(2)", 0),
        ("SLOW_WRITE(1)", 100),
        ("SLOW_SYNC(3)", 0),
        ("SLOW_READ(0)", 10),
    ]
    assert run.python("fsslower", script, "--min_ms", "100000") == []


# --- CPUs ----------------------------------------------------------------------------------------

NAP = "import time\nfor _ in range(5): time.sleep(0.01)"


def test_runqlat_counts_each_wait(run: Catalogue) -> None:
    found = run.python("runqlat", NAP, "--targ_per_process")
    assert sum(slots(found)) >= 5
    assert {one["key"]["__u32"] for one in found} == {found[0]["key"]["__u32"]}
    spaces = run.watch("runqlat", 0.5, "--targ_per_pidns")
    own = os.stat("/proc/self/ns/pid").st_ino
    assert own in {one["key"]["__u32"] for one in spaces}


def test_cpudist_counts_time_on_and_off_the_cpu(run: Catalogue) -> None:
    assert sum(slots(run.python("cpudist", NAP, "-P"))) >= 5
    off = slots(run.python("cpudist", NAP, "-P", "-O"))
    assert sum(off[13:]) >= 5  # 8 ms and more
    assert sum(slots(run.python("cpudist", NAP, "-P", "-O", "-m"))[3:]) >= 5


def test_runqslower_tells_who_waited(run: Catalogue) -> None:
    found = run.python("runqslower", NAP, "--min_us", "0")
    assert len(found) >= 5
    assert {one["comm"] for one in found} <= {Path(sys.executable).name[:15], "ebpm", "python"}
    assert all(one["lat_us"] >= 1000 for one in run.watch("runqslower", 0.3, "-m", "1000"))


def test_runqlen_samples_every_cpu(run: Catalogue) -> None:
    found = run.watch("runqlen", 1.2, "-C")
    with beside("sh", "-c", "while :; do :; done"):
        busy = run.watch("runqlen", 1.2)
    assert {one["key"]["__u32"] for one in found} <= set(range(os.cpu_count() or 1))
    assert sum(slots(busy)) >= 20
    total = added(busy)
    waited = sum(sum(one["value"]["slots"][1:]) for one in busy)
    assert (total["samples"], total["queued"]) == (sum(slots(busy)), waited)


def test_softirqs_and_hardirqs_count_time(run: Catalogue, tmp_path: Path) -> None:
    found = run.watch("softirqs", 0.6, "-N")
    assert {one["key"]["vector"].partition("(")[0] for one in found} >= {"RCU"}
    assert added(found)["count"] == sum(slots(found))
    assert added(found)["total"] > added(found)["count"]
    disk = f"dd if=/dev/zero of={tmp_path}/x bs=64k count=20 oflag=direct"
    found = run.watch("hardirqs", 1.5, meanwhile=later(disk, 0.5))
    assert added(found)["count"] == sum(slots(found)) > 0


# --- stacks --------------------------------------------------------------------------------------

LEAKS = """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) void *keep(size_t size) { volatile char *p = malloc(size); p[0] = 1; return (void *)p; }
__attribute__((noinline)) void spin(void) { for (volatile long i = 0; i < 30000000; i++) ; }
__attribute__((noinline)) void nap(void) { usleep(10000); __asm__ volatile(""); }
int main(int argc, char **argv)
{
	for (;;) {
		if (!strcmp(argv[1], "spin")) spin();
		else if (!strcmp(argv[1], "once")) { for (int i = 0; i < 8; i++) spin(); return 0; }
		else if (!strcmp(argv[1], "nap")) nap();
		else { keep(1000); free(keep(2000)); nap(); }
	}
}
"""  # noqa: E501


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaky")
    (folder / "leaky.c").write_text(LEAKS)
    words = [sys.executable, "-m", "ziglang", "cc", "-O1", "-g", "-fno-omit-frame-pointer"]
    words += ["-fno-sanitize=all", "-o", str(folder / "leaky"), str(folder / "leaky.c")]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "leaky"


def frames(row: dict[str, Any]) -> list[str | None]:
    return [one.get("symbol") for one in row["key"]["user_stack_id"]]


def test_profile_tells_where_a_program_spends_its_time(
    run: Catalogue, ebpm: Ebpm, leaky: Path
) -> None:
    with beside(str(leaky), "spin") as process:
        found = run.watch("profile", 0.8, "--pid", str(process.pid))
        words = ("run", "-d", "0.8s", "--folded", run.path("profile"), "-p", process.pid)
        folded = ebpm.run(*words).stdout
    assert found
    assert {"spin", "main"} <= set(frames(max(found, key=lambda one: one["value"]["count"])))
    assert ";main;spin " in folded


@pytest.mark.parametrize("words", [(), ("--interval", "1h")])
def test_profile_names_the_stacks_of_a_command_that_has_ended(
    run: Catalogue, ebpm: Ebpm, leaky: Path, words: tuple[str, ...]
) -> None:
    done = ebpm.run("run", "--folded", *words, run.path("profile"), "--", leaky, "once")
    assert ";main;spin " in done.stdout


def test_offcputime_tells_where_a_program_waits(run: Catalogue, leaky: Path) -> None:
    with beside(str(leaky), "nap") as process:
        found = run.watch("offcputime", 0.8, "--user_only", "--pid", str(process.pid))
    longest = max(found, key=lambda one: one["value"]["us"])
    assert longest["value"]["us"] > 300_000
    assert "nap" in frames(longest) or "main" in frames(longest)


def test_memleak_tells_what_is_not_given_back(run: Catalogue, leaky: Path) -> None:
    with beside(str(leaky), "leak") as process:
        found = run.watch("memleak", 0.8, "--pid", str(process.pid))
    kept = [one for one in found if "keep" in frames(one)]
    assert kept
    held = max(kept, key=lambda one: one["value"]["count"])["value"]  # others are in use just now
    assert held["count"] >= 10
    assert held["bytes"] == held["count"] * 1000


def test_pagefaults_counts_them(run: Catalogue) -> None:
    script = "import mmap\nm = mmap.mmap(-1, 400 * 4096)\nfor i in range(400): m[i * 4096] = 1"
    assert added(run.python("pagefaults", script))["count"] >= 400


# --- block I/O -----------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> list[str]:
    """A command that writes to a disk, past the cache; where the folder is on one."""
    words = ["dd", "if=/dev/zero", f"of={tmp_path}/zeros", "bs=64k", "count=8", "oflag=direct"]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("the folder for temporary files is on no disk")
    return words


def test_biosnoop_tells_each_write(run: Catalogue, disk: list[str]) -> None:
    found = [one for one in run.trace("biosnoop", *disk) if one["comm"] == "dd"]
    assert sum(one["bytes"] for one in found if one["op"] == "BLOCK_WRITE(1)") >= 8 * 65536
    assert all(one["disk"] and one["lat_us"] < 10_000_000 for one in found)


def test_time_in_the_queue_is_measured_where_it_is_asked_for(
    run: Catalogue, disk: list[str]
) -> None:
    for options, queued in (([], False), (["-Q"], True)):
        found = [
            one for one in run.trace("biosnoop", *disk, options=options) if one["comm"] == "dd"
        ]
        assert len(found) >= 8
        assert any(one["queue_us"] for one in found) == queued
    assert sum(slots(run.trace("biolatency", *disk, options=["-Q"]))) >= 8


def test_biolatency_and_bitesize_count_each_write(run: Catalogue, disk: list[str]) -> None:
    found = run.trace("biolatency", *disk, options=["-D"])
    assert sum(slots(found)) >= 8
    assert all(one["key"]["disk"] for one in found)
    assert {one["key"]["disk"] for one in run.trace("biolatency", *disk)} == {""}
    flags = {one["key"]["flags"] for one in run.trace("biolatency", *disk, options=["-F"])}
    assert "WS" in flags
    sizes = run.trace("bitesize", *disk)
    mine = [one["value"]["slots"] for one in sizes if one["key"]["comm"] == "dd"]
    assert [sum(column) for column in zip(*mine, strict=True)][6] >= 8  # 64 to 127 kB


# --- network -------------------------------------------------------------------------------------


def test_tcpconnect_and_tcpaccept_tell_both_ends(run: Catalogue) -> None:
    four, six = run.python("tcpconnect", TALK)
    assert (four["daddr"], six["daddr"]) == ("127.0.0.1", "::1")
    assert (four["saddr"], six["saddr"]) == ("127.0.0.1", "::1")
    assert run.python("tcpconnect", TALK, "--port", "1") == []
    four, six = run.python("tcpaccept", TALK)
    assert (four["laddr"], four["raddr"], six["raddr"]) == ("127.0.0.1", "127.0.0.1", "::1")
    assert four["lport"] != four["rport"]


def test_tcpconnect_counts_by_addresses_and_port(run: Catalogue) -> None:
    again = "socket.create_connection(server.getsockname()[:2]).close()\n"
    twice = f"{TALK}{again}"
    lines = run.python("tcpconnect", twice, "-c")
    found = {one["fields"]["key"]["daddr"]: one["fields"] for one in lines}
    assert {name: one["value"]["count"] for name, one in found.items()} == {
        "127.0.0.1": 1,
        "::1": 2,
    }
    assert found["::1"]["key"]["saddr"] == "::1"


@pytest.mark.parametrize(("tool", "option", "column"), [
    ("tcpconnect", "-P", "dport"), ("tcpaccept", "-P", "lport"),
    ("tcplife", "-L", "lport"), ("tcpstates", "-D", "rport"),
])  # fmt: skip
def test_ports_are_listed(run: Catalogue, tool: str, option: str, column: str) -> None:
    with socket.socket() as free, socket.socket() as other:
        for one in (free, other):
            one.bind(("127.0.0.1", 0))
        here, there = (one.getsockname()[1] for one in (free, other))
    talk = TALK.replace('("127.0.0.1", 0)', f'("127.0.0.1", {here})')
    for ports, expected in ((f"{here}", {here}), (f"{there},{here}", {here}), (f"{there}", set())):
        assert {one[column] for one in run.python(tool, talk, option, ports)} == expected


def test_tcplife_counts_bytes_each_way(run: Catalogue) -> None:
    found = [one for one in run.python("tcplife", TALK) if one["laddr"] == "127.0.0.1"]
    client = next(one for one in found if one["rx_bytes"] in (10, 11) and one["tx_bytes"] > 400)
    server = next(one for one in found if one["lport"] == client["rport"])
    assert 500 <= client["tx_bytes"] <= 502  # with what stands for SYN and FIN
    assert 500 <= server["rx_bytes"] <= 502
    assert client["ms"] < 10_000


def test_tcpstates_tells_each_state(run: Catalogue) -> None:
    found = [one for one in run.python("tcpstates", TALK) if one["laddr"] == "127.0.0.1"]
    seen = [(one["oldstate"].partition("(")[0], one["newstate"].partition("(")[0]) for one in found]
    assert ("CLOSE", "LISTEN") in seen
    assert seen.index(("CLOSE", "SYN_SENT")) < seen.index(("SYN_SENT", "ESTABLISHED"))
    assert ("ESTABLISHED", "FIN_WAIT1") in seen


def test_tcprtt_counts_round_trips(run: Catalogue) -> None:
    found = run.watch("tcprtt", 1.5, "-B", meanwhile=later(f"{sys.executable} -I -S -c '{TALK}'"))
    assert "127.0.0.1" in {one["key"]["raddr"] for one in found}
    assert added(found)["count"] == sum(slots(found))


@pytest.mark.parametrize(("words", "key"), [
    (["-b"], {"laddr": "127.0.0.1", "raddr": "::"}),
    (["-b", "-B", "-a", "127.0.0.1"], {"laddr": "127.0.0.1", "raddr": "127.0.0.1"}),
    (["-A", "127.0.0.1"], {"laddr": "::", "raddr": "::"}),
    (["-A", "127.0.0.77"], None),
    (["-a", "2001:db8::1"], None),
])  # fmt: skip
def test_tcprtt_by_addresses(run: Catalogue, words: list[str], key: dict[str, str] | None) -> None:
    found = [one["key"] for one in run.python("tcprtt", TALK, *words)]
    assert key in found if key else found == []


def test_tcptop_counts_both_ways(run: Catalogue) -> None:
    found = [one for one in run.python("tcptop", TALK) if one["key"]["laddr"] == "127.0.0.1"]
    assert added(found) == {"tx_bytes": 510, "rx_bytes": 510}


@pytest.mark.needs("netns")
def test_tcpretrans_tells_what_is_sent_again(run: Catalogue) -> None:
    lose = """
import socket, subprocess, time
server = socket.create_server(("127.0.0.1", 8080))
client = socket.create_connection(("127.0.0.1", 8080))
other, _ = server.accept()
time.sleep(1)
subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
client.sendall(b"x")
time.sleep(3)
"""
    script = (
        f"ip link set lo up; {sys.executable} -c '{lose}' & "
        f"{sys.executable} -m ebpm run --json -d 6s -c 1 {run.path('tcpretrans')}"
    )
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, timeout=60
    )
    (found,) = rows(done.stdout)
    assert (found["laddr"], found["raddr"]) == ("127.0.0.1", "127.0.0.1")
    assert 8080 in (found["lport"], found["rport"])  # both ends may have something to send again
    assert found["state"] == "ESTABLISHED(1)"


@pytest.mark.needs("netns")
@pytest.mark.parametrize("tool", ["xdpcount", "tcbytes", "tc"])
def test_packets_of_an_interface_are_counted(run: Catalogue, tool: str) -> None:
    send = (
        "import socket; r = socket.socket(2, 2); r.bind((\\'127.0.0.1\\', 9)); "
        "s = socket.socket(2, 2); "
        "[s.sendto(bytes(72), (\\'127.0.0.1\\', 9)) for _ in range(5)]"
    ).replace("\\", "")
    words = "--attach dev=lo,mode=generic" if tool == "xdpcount" else "--attach dev=lo"
    script = (
        f'ip link set lo up; (sleep 1; {sys.executable} -I -S -c "{send}") & '
        f"{sys.executable} -m ebpm run --json -d 2s {words} {run.path(tool)}"
    )
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, timeout=60
    )
    found = rows(done.stdout)
    if tool == "tc":
        assert sum("Got IP packet: tot_len: 100, ttl: 64" in str(one) for one in found) == 5
    elif tool == "xdpcount":
        udp = [one for one in found if one["key"] == {"ethertype": "IPV4(1)", "protocol": 17}]
        assert udp[-1]["value"] == {"packets": 5, "bytes": 5 * 114}
    else:
        assert found[-1] == {
            "key": {"addr": "127.0.0.1"},
            "value": {"sent": 5 * 114, "received": 5 * 114},
        }


def test_sockstat_lists_sockets(run: Catalogue, ebpm: Ebpm) -> None:
    script = (
        "import socket, subprocess, sys\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        f"out = subprocess.check_output([sys.executable, '-m', 'ebpm', 'run', {str(run.path('sockstat'))!r}])\n"  # noqa: E501
        "print(server.getsockname()[1], out.decode())"
    )
    out = subprocess.check_output([sys.executable, "-c", script], text=True)
    port = out.split()[0]
    lines = out.splitlines()
    assert lines[0].split()[1:] == ["STATE", "UID", "LOCAL", "->", "REMOTE"]
    assert f"LISTEN       {os.getuid():<8} 127.0.0.1:{port} -> 0.0.0.0:0" in lines


def test_gethostlatency_tells_names(run: Catalogue) -> None:
    found = run.python("gethostlatency", "import socket; socket.getaddrinfo('127.0.0.9', 80)")
    assert [one["host"] for one in found] == ["127.0.0.9"]


# --- security ------------------------------------------------------------------------------------


def test_capable_tells_what_is_asked_for(run: Catalogue, tmp_path: Path) -> None:
    script = f"import os; os.chown({str(tmp_path)!r}, 1, 1)"
    found = [one for one in run.python("capable", script) if one["cap"] == "C_CHOWN(0)"]
    assert [one["ret"] for one in found][:1] == [0]
    drop = "import os; os.setuid(65534)\ntry: os.chroot('/')\nexcept PermissionError: pass"
    lacking = run.python("capable", drop, "--lacking")
    assert "C_SYS_CHROOT(18)" in {one["cap"] for one in lacking}
    assert {one["ret"] for one in lacking} == {-1}


def test_capable_tells_a_capability_once(run: Catalogue, tmp_path: Path) -> None:
    script = f"import os\nfor _ in range(3): os.chown({str(tmp_path)!r}, 1, 1)"

    def asked(*options: str) -> int:
        found = run.python("capable", script, *options)
        assert {one["pid"] for one in found} == {one["tid"] for one in found}
        return [one["cap"] for one in found].count("C_CHOWN(0)")

    assert asked() >= 3
    assert asked("-u", "pid") == asked("-u", "cgroup") == 1


def test_capable_counts_stacks_where_it_is_asked_to(
    run: Catalogue, ebpm: Ebpm, tmp_path: Path
) -> None:
    command = [sys.executable, "-I", "-S", "-c", f"import os; os.chown({str(tmp_path)!r}, 1, 1)"]
    lines = run.trace("capable", *command, options=["-K", "-U"])
    stacks = [one["fields"] for one in lines if one["source"] == "places"]
    chown = next(one for one in stacks if one["value"]["cap"] == "C_CHOWN(0)")
    assert chown["value"]["count"] >= 1
    assert "cap_capable" in {one.get("symbol") for one in chown["key"]["kern_stack_id"]}
    assert chown["key"]["user_stack_id"]
    kernel_only = run.trace("capable", *command, options=["-K"])
    assert not any(one["fields"]["key"]["user_stack_id"] for one in kernel_only
                   if one["source"] == "places")  # fmt: skip
    folded = ebpm.run("run", "--folded", run.path("capable"), "-K", "--", *command).stdout
    assert "cap_capable_[k]" in folded
    words = ("run", "--folded", run.path("capable"), "--", *command)
    assert "reports no stack traces" in ebpm.run(*words, check=2).stderr


def test_bpfload_tells_programs(run: Catalogue, ebpm: Ebpm) -> None:
    command = (sys.executable, "-m", "ebpm", "run", "-d", "0.1s", run.path("exitsnoop"))
    found = run.trace("bpfload", *command)
    program = [one for one in found if one["prog"] == "process_exit"]
    assert [one["type"] for one in program] == ["BPF_PROG_TYPE_TRACEPOINT(5)"]
    assert program[0]["ret"] > 0
    assert program[0]["insns"] > 10


def test_bashreadline_tells_what_is_typed(run: Catalogue, ebpm: Ebpm) -> None:
    typed = r"printf 'true one two\nexit\n' | script -qc 'bash --norc -i' /dev/null"
    found = run.watch("bashreadline", 8, words=("-c", "1"), meanwhile=later(typed, 1.5))
    assert [one["line"] for one in found] == ["true one two"]


# --- system calls --------------------------------------------------------------------------------


def test_errsnoop_tells_failures(run: Catalogue) -> None:
    script = "import os\nfor _ in range(3):\n try: os.kill(2**22 - 3, 0)\n except OSError: pass"
    found = [one for one in run.python("errsnoop", script) if one["ret"] == -3]
    assert len(found) == 3
    assert {(one["syscall_name"], one["ret_name"]) for one in found} == {("kill", "ESRCH")}
    for error in ("3", "ESRCH"):
        assert {one["ret"] for one in run.python("errsnoop", script, "-e", error)} == {-3}


def test_filetop_sorts_by_what_is_asked_and_by_all_else(run: Catalogue, tmp_path: Path) -> None:
    script = "".join(
        f"import os\nfd = os.open({str(tmp_path / name)!r}, os.O_RDWR | os.O_CREAT)\n"
        f"for _ in range({calls}): os.write(fd, bytes({size}))\n"
        for name, calls, size in (("few", 2, 50_000), ("many", 60, 10), ("little", 1, 10))
    )

    def names(*options: str) -> list[str]:
        return [one["key"]["file"] for one in run.python("filetop", script, *options)]

    assert names()[0] == "few"
    assert names("-s", "writes,-w_bytes")[:3] == ["many", "few", "little"]
    assert names("-s", "+file", "-r", "2") == sorted(names("-r", "0"))[:2]


def test_a_column_that_a_table_has_not_is_told_before_anything_runs(
    ebpm: Ebpm, run: Catalogue
) -> None:
    done = ebpm.run("run", run.path("filetop"), "-s", "w_byte", "--", "echo", "ran", check=2)
    assert "there is no column 'w_byte'" in done.stderr
    assert "did you mean W_BYTES?" in done.stderr
    assert "ran" not in done.stdout


def test_syscount_counts_calls_and_time(run: Catalogue) -> None:
    script = "import time\nfor _ in range(7): time.sleep(0.01)"
    found = run.python("syscount", script, "--top", "0")
    naps = [one for one in found if one["value"]["total_ns"] > 60_000_000]
    assert [one["value"]["count"] for one in naps] == [7]
    assert [one["key"]["syscall_name"] for one in naps] == ["clock_nanosleep"]
    counts = [one["value"]["count"] for one in run.python("syscount", script)]
    assert len(counts) == 10
    assert counts == sorted(counts, reverse=True)
    (whole,) = run.python("syscount", script, "-P")
    assert whole["key"]["syscall"] == -1
    assert whole["value"]["count"] > 50
