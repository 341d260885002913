"""Each tool beside the one of its name in Debian's libbpf-tools, under one workload.

What both report must be equal, but for the differences that stand in differences.py. Those that
this kernel refuses are compared in guests of the kernel matrix: test_pairs.py.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from tests.cgroups import new_cgroup
from tests.conftest import ROOT, Ebpm
from tests.kernel.differences import DIFFERENCES
from tests.kernel.matrix import emulator
from tests.kernel.namesakes import Both, bars, of, slots, table
from tests.kernel.pairs import PAIRS
from tests.kernel.test_catalogue import NAP, TALK

pytestmark = pytest.mark.needs("compiler", "bpf", "libbpf-tools")

REFUSED = {
    "biosnoop": "fentry of blk_account_io_start",
    "capable": "kprobe of cap_capable",
    "filelife": "kprobe of vfs_create",
    "filetop": "kprobe of vfs_read",
    "fsslower": "kprobe of ext4_file_read_iter",
    "oomkill": "kprobe of oom_kill_process",
    "runqlen": "cfs_rq.nr_running, which Linux 6.14 renamed",
    "tcpconnect": "kprobe of tcp_v4_connect",
    "tcprtt": "kprobe of tcp_rcv_established",
    "tcptop": "kprobe of tcp_sendmsg",
}
"""Namesakes that end at once on a kernel without what they need."""

SILENT = {"statsnoop": "it looks for events/syscalls/statfs, and none of them has that name"}
"""Namesakes that start here but report nothing."""


@pytest.fixture
def both(tmp_path: Path, tools: Callable[[str], Path]) -> Both:
    return Both(tmp_path, lambda tool: str(tools(tool) / "package.json"))


@pytest.mark.needs("qemu")
def test_every_tool_with_a_namesake_is_compared() -> None:
    tools = {path.name for path in (ROOT / "index/tools").iterdir() if path.is_dir()}
    packaged = subprocess.check_output(["dpkg", "-L", "libbpf-tools"], text=True).split()
    there = {Path(line).name for line in packaged if "/sbin/" in line}
    peers = emulator.peers(emulator.host_architecture())
    newer = {path.name.removesuffix("-libbpf") for path in peers.glob("*-libbpf")}
    compared = set(re.findall(r'both\.run\(\s*"(\w+)"', Path(__file__).read_text()))
    assert compared | set(PAIRS) == tools & (there | newer) == set(NAMESAKES)
    assert set(REFUSED) | set(SILENT) == set(PAIRS) & there
    assert not compared & set(PAIRS)


def test_the_guide_has_the_differences() -> None:
    text = (ROOT / "docs/guides/libbpf-tools.md").read_text().partition("## What they report")[2]
    rows = re.findall(r"^\| (\w+) \| (.*?) \| (.*?) \|$", text, flags=re.MULTILINE)
    assert rows[1:] == [
        (tool, "a guest" if tool in PAIRS else "CI's kernel", DIFFERENCES.get(tool, "none"))
        for tool in NAMESAKES
    ]
    assert set(DIFFERENCES) <= set(NAMESAKES)


def test_statsnoop_looks_for_events_that_there_are_not() -> None:
    command = ["/usr/sbin/statsnoop", "--verbose"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        skipped = (line for line in process.stderr if b"skipped loading" in line)
        assert len(list(islice(skipped, 10))) == 10  # all that it has
        process.kill()


@pytest.mark.parametrize("tool", REFUSED)
def test_the_others_cannot_run_on_this_kernel(tool: str) -> None:
    words = [f"/usr/sbin/{tool}", *(["-t", "ext4"] if tool == "fsslower" else [])]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=3)
    except subprocess.TimeoutExpired:
        pytest.skip(f"this kernel gives it {REFUSED[tool]}: it could be compared here")
    assert done.returncode != 0
    assert "failed to" in done.stderr


# --- options -------------------------------------------------------------------------------------

COMMON = {"--help", "--usage", "--version", "--verbose"}


def table_of_options() -> dict[str, dict[str, str]]:
    """Read docs/guides/libbpf-tools.md: what stands beside each option of each tool."""
    text = (ROOT / "docs/guides/libbpf-tools.md").read_text()
    text = text.partition("## Options")[2].partition("\n## ")[0]
    rows: dict[str, dict[str, str]] = {}
    cells = re.findall(r"^\| (\w+) \| (.*?) \| (.*?) ?\|$", text, flags=re.MULTILINE)
    for tool, option, here in cells:
        if tool != "tool":
            names = rows.setdefault(tool, {})
            if option.startswith("`-"):
                names[option.replace("`", "")] = here
    return rows


NAMESAKES = sorted(table_of_options())


def newer(tool: str) -> list[str | Path]:
    """Give the command for libbpf-tools of Debian 13, which has its own loader and libraries."""
    architecture = emulator.host_architecture()
    root, peers = emulator.userland(architecture), emulator.peers(architecture)
    (libraries,) = root.glob("usr/lib/*-linux-gnu")
    (loader,) = libraries.glob("ld-linux-*.so.*")
    return [loader, "--library-path", f"{libraries}:{peers}", peers / f"{tool}-libbpf"]


def options_there(tool: str) -> set[str]:
    """List the options in the help of libbpf-tools, as ``-p, --pid``; not those that all have."""
    text = subprocess.run([*newer(tool), "--help"], capture_output=True, text=True).stdout
    found = re.findall(r"^  (-\S, |    )(--[\w-]+)", text, flags=re.MULTILINE)
    return {short.lstrip() + long for short, long in found if long not in COMMON}


def options_here(tool: str) -> set[str]:
    """List our tool's options, short and long; another test compares its README with its help."""
    text = (ROOT / "index/tools" / tool / "README.md").read_text()
    rows = re.findall(r"^  (-.*?)  ", text.partition("## Options")[2], flags=re.MULTILINE)
    return {word.strip() for row in rows for word in row.split(",")} | {
        row.split()[0] for row in rows
    }


@pytest.mark.needs("qemu")
def test_every_namesakes_option_stands_in_the_table() -> None:
    assert {tool: set(rows) for tool, rows in table_of_options().items()} == {
        tool: options_there(tool) for tool in NAMESAKES
    }


@pytest.mark.parametrize("tool", NAMESAKES)
def test_what_the_table_says_of_an_option_is_so(tool: str, ebpm: Ebpm) -> None:
    general = ebpm.run("run", "--help").stdout
    have = options_here(tool)
    for option, here in table_of_options()[tool].items():
        short = option.partition(",")[0]
        if here.startswith("the same"):
            assert short in have, option
        else:
            assert short not in have, f"{option} has another meaning here"
            general_option = re.match(r"`ebpm run (--[a-z]+)`", here)
            own = re.match(r"`(--[a-z_]+)`", here)
            if general_option:
                assert f"{general_option[1]} " in general, option
            elif own:
                assert own[1] in have, option
            else:
                assert re.match(r"(always|left out): .", here), option
            if column := re.match(r"always: the columns? ([A-Z_]+)", here):
                readme = (ROOT / "index/tools" / tool / "README.md").read_text()
                assert column[1] in readme.split(), option


# --- events --------------------------------------------------------------------------------------


def test_opensnoop(both: Both, tmp_path: Path) -> None:
    """Debian's has no openat2(2)."""
    script = (
        "import os, json\n"
        f"os.close(os.open({str(tmp_path)!r}, 0))\n"
        f"try: os.open({str(tmp_path / 'absent')!r}, 0)\n"
        "except OSError: pass\n"
        f"open({str(tmp_path / 'fresh')!r}, 'w').close()\n"
    )
    found, text, pid = both.run("opensnoop", script)
    theirs = [
        (process, comm, fd if int(fd) >= 0 else f"-{error}", path)
        for process, comm, fd, error, path in table(text, "PID")
    ]
    assert of(found, "pid", "comm", "ret", "fname") == theirs
    assert {(row[0], row[-1]) for row in theirs} >= {(str(pid), f"{tmp_path}/absent")}
    assert len(theirs) > 5  # the modules as well


@pytest.mark.parametrize("name", ["ython", "nobody"])
def test_opensnoop_of_a_name(both: Both, name: str) -> None:
    script = "import os\ntry: os.open('/nowhere/absent', 0)\nexcept OSError: pass"
    options = ("-p", "{pid}", "-n", name)
    found, text, _ = both.run("opensnoop", script, ours=options, theirs=options)
    theirs = [row[-1] for row in table(text, "PID")]
    assert [one["fname"] for one in found] == theirs
    assert ("/nowhere/absent" in theirs) == (name != "nobody")


def test_execsnoop_of_a_name(both: Both) -> None:
    script = "import subprocess\nfor n in ('true', 'echo'): subprocess.run(['/bin/' + n])"
    options = ("-n", "ru")
    found, text, pid = both.run("execsnoop", script, ours=options, theirs=options)
    theirs = [row[0] for row in table(text, "PCOMM") if row[2] == str(pid)]
    assert [one["comm"] for one in found if one["ppid"] == pid] == theirs == ["true"]


def test_execsnoop(both: Both) -> None:
    """Ours shows the arguments that the program got; theirs the program's path as the first."""
    script = (
        "import subprocess\n"
        "subprocess.run(['/bin/true', 'a b', 'c'])\n"
        "subprocess.run(['sh', '-c', 'exec /bin/echo x'])\n"
    )
    found, text, pid = both.run("execsnoop", script, ours=(), theirs=())
    mine = [one for one in found if one["ppid"] == pid]
    theirs = [row for row in table(text, "PCOMM") if row[2] == str(pid)]
    assert of(mine, "comm", "pid", "ppid") == [tuple(row[:3]) for row in theirs]
    assert [one["args"].split()[1:] for one in mine] == [row[5:] for row in theirs]
    assert [row[0] for row in theirs] == ["true", "sh", "echo"]


def test_execsnoop_of_calls_that_failed(both: Both) -> None:
    """Theirs tells the command that calls, and of a call that worked the new one; ours likewise."""
    script = (
        "import os, subprocess\n"
        "subprocess.run(['/bin/true', 'a'])\n"
        "for words in (['/nowhere/lost', 'b'], ['/etc/passwd', 'c']):\n"
        " try: os.execv(words[0], words)\n"
        " except OSError: pass\n"
    )
    found, text, pid = both.run("execsnoop", script, ours=("-x",), theirs=("-x",))
    mine = [one for one in found if pid in (one["pid"], one["ppid"])]
    theirs = [row for row in table(text, "PCOMM") if str(pid) in row[1:3]]
    assert of(mine, "comm", "pid", "ppid", "ret") == [tuple(row[:4]) for row in theirs]
    assert [row[3] for row in theirs] == ["0", "-2", "-13"]
    assert [one["args"].split()[-1] for one in mine] == [row[-1] for row in theirs]


@pytest.mark.needs("cgroup2")
@pytest.mark.parametrize("tool", ["execsnoop", "exitsnoop"])
def test_a_cgroup(both: Both, tool: str) -> None:
    with new_cgroup() as group:
        script = (
            "import subprocess\n"
            "subprocess.run(['/bin/echo'])\n"
            f"subprocess.run(['sh', '-c', 'echo $$ > {group}/cgroup.procs; exec /bin/true'])\n"
        )
        options = ("-c", str(group))
        if tool == "execsnoop":
            found, text, _ = both.run("execsnoop", script, ours=options, theirs=options)
        else:
            found, text, _ = both.run("exitsnoop", script, ours=options, theirs=options)
    theirs = [tuple(row[:3]) for row in table(text, "PCOMM")]
    assert of(found, "comm", "pid", "ppid") == theirs
    assert [row[0] for row in theirs] == ["true"]


def test_exitsnoop(both: Both) -> None:
    """Ours gives status and signal as two columns."""
    script = (
        "import os\n"
        "if not os.fork(): os._exit(3)\n"
        "os.wait()\n"
        "if not os.fork(): os.kill(os.getpid(), 9)\n"
        "os.wait()\n"
        "if not os.fork(): os._exit(0)\n"
        "os.wait()\n"
    )
    found, text, pid = both.run("exitsnoop", script, ours=(), theirs=())
    mine = [one for one in found if pid in (one["ppid"], one["pid"])]
    rows = [row for row in table(text, "PCOMM") if str(pid) in row[1:3]]
    ends = [(row[5], row[6]) if row[5] != "0" else ("code", "0") for row in rows]
    assert of(mine, "comm", "pid", "ppid", "tid") == [tuple(row[:4]) for row in rows]
    assert [
        ("signal", str(one["signal"])) if one["signal"] else ("code", str(one["status"]))
        for one in mine
    ] == ends
    assert [end for _, end in ends] == ["3", "9", "0", "0"]


def test_sigsnoop(both: Both) -> None:
    """Theirs reports signals of the kernel's as well, as SIGCHLD (17) at an end; ours system calls.

    Theirs takes them where they are generated, so one that found no process is in ours alone.
    """
    script = (
        "import os, signal, _thread\n"
        "signal.signal(10, signal.SIG_IGN)\n"
        "os.kill(os.getpid(), 10)\n"
        "signal.pthread_kill(_thread.get_ident(), 10)\n"
        "try: os.kill(2**22 - 3, 15)\n"
        "except OSError: pass\n"
    )
    found, text, _ = both.run("sigsnoop", script)
    theirs = [row for row in table(text, "TIME") if row[3] != "17"]
    assert [row[1:] for row in theirs] == [
        list(row) for row in of(found, "pid", "comm", "sig", "tpid", "ret") if row[-1] != "-3"
    ]
    assert [row[3] for row in theirs] == ["10", "10"]
    assert len(found) == 3


def test_sigsnoop_of_system_calls(both: Both) -> None:
    """What ours always does, theirs does with -k."""
    script = (
        "import os, signal, _thread\n"
        "os.kill(os.getpid(), 0)\n"
        "signal.pthread_kill(_thread.get_ident(), 0)\n"
        "try: os.kill(2**22 - 3, 15)\n"
        "except OSError: pass\n"
    )
    found, text, _ = both.run("sigsnoop", script, theirs=("-k", "-p", "{pid}"))
    assert [row[1:] for row in table(text, "TIME")] == [
        list(row) for row in of(found, "pid", "comm", "sig", "tpid", "ret")
    ]
    assert [one["ret"] for one in found] == [0, 0, -3]


def test_mountsnoop(both: Both, tmp_path: Path) -> None:
    """Theirs prints a call, with the names of flags and of the error; ours columns."""
    script = (
        "import ctypes\nlibc = ctypes.CDLL(None)\n"
        "libc.unshare(0x20000)\n"  # a mount namespace of its own
        "libc.mount(b'none', b'/', None, 0x44000, None)\n"
        f"libc.mount(b'here', {bytes(tmp_path)!r}, b'tmpfs', 2, None)\n"
        f"libc.umount2({bytes(tmp_path)!r}, 2)\n"
        "libc.mount(b'there', b'/nowhere', b'tmpfs', 0, None)\n"
    )
    found, text, _ = both.run("mountsnoop", script)
    calls = []
    for row in table(text, "COMM"):
        call, _, result = " ".join(row[4:]).rpartition(" = ")
        names = re.findall(r'"([^"]*)"', call)
        source, target, kind = names[:3] if call.startswith("mount") else ("", names[0], "")
        result = result.replace("-ENOENT", "-2")
        calls.append((row[1], row[0], source, target, kind, result))
    assert of(found, "pid", "comm", "source", "target", "type", "ret") == calls
    assert [call[-1] for call in calls] == ["0", "0", "0", "-2"]


def test_runqslower(both: Both) -> None:
    """Both time a wait by themselves: one of about the least to report may be in one of them."""
    options = ("-p", "{pid}", "-m", "1"), ("-p", "{pid}", "1")
    found, text, pid = both.run("runqslower", NAP, ours=options[0], theirs=options[1])
    rows = [row for row in table(text, "TIME") if row[-2:-1] == [str(pid)]]
    assert {one["pid"] for one in found} == {pid}
    assert len(rows) >= 5
    assert abs(len(found) - len(rows)) <= 2


@pytest.mark.parametrize("family", ["", "-4"])
def test_tcplife(both: Both, family: str) -> None:
    """Ours has the end of listening sockets too; the order of two ends at once is anybody's."""
    options = [family] if family else []
    found, text, pid = both.run("tcplife", TALK, ours=options, theirs=options)
    mine = {
        (*row[:6], int(row[6]) * 100 // 1024, int(row[7]) * 100 // 1024)
        for row in of(
            found, "pid", "comm", "laddr", "lport", "raddr", "rport", "tx_bytes", "rx_bytes"
        )
        if row[0] == str(pid) and row[5] != "0"
    }
    theirs = {
        (*row[:6], int(float(row[6]) * 100 + 0.1), int(float(row[7]) * 100 + 0.1))
        for row in table(text, "PID")
        if row[0] == str(pid)
    }
    assert {row[:6] for row in mine} == {row[:6] for row in theirs}
    assert len(theirs) == (2 if family else 4)
    for one, other in zip(sorted(mine), sorted(theirs), strict=True):
        assert all(abs(a - b) <= 1 for a, b in zip(one[6:], other[6:], strict=True))


@pytest.mark.parametrize("family", ["", "-6"])
def test_tcpstates(both: Both, family: str) -> None:
    options = [family] if family else []
    found, text, pid = both.run("tcpstates", TALK, ours=options, theirs=options)
    columns = ("pid", "comm", "laddr", "lport", "raddr", "rport", "oldstate", "newstate")
    mine = [row for row in of(found, *columns) if row[0] == str(pid)]
    theirs = [
        (*row[1:8], row[9]) for row in table(text, "SKADDR") if row[1] == str(pid)
    ]  # row[8] is "->"
    assert sorted(mine) == sorted(theirs)
    assert len(theirs) == (12 if family else 24)


def test_gethostlatency(both: Both) -> None:
    script = "import socket\nsocket.getaddrinfo('127.0.0.9', 80)"
    found, text, _ = both.run("gethostlatency", script)
    theirs = [(row[1], row[2], row[4]) for row in table(text, "TIME")]
    assert of(found, "pid", "comm", "host") == theirs
    assert [row[-1] for row in theirs] == ["127.0.0.9"]


def test_bashreadline(both: Both) -> None:
    script = (
        "import subprocess\n"
        "subprocess.run(['script', '-qc', 'bash --norc -i', '/dev/null'],\n"
        "    input=b'true one two\\nexit\\n', stdout=subprocess.DEVNULL)\n"
    )
    found, text, _ = both.run("bashreadline", script, ours=(), theirs=())
    theirs = [(row[1], " ".join(row[2:])) for row in table(text, "TIME")]
    assert of(found, "pid", "line") == theirs
    assert "true one two" in {line for _, line in theirs}


# --- sums and histograms -------------------------------------------------------------------------
# The tool that is attached last is interrupted first: theirs sees a part of what ours sees.


def test_syscount(both: Both) -> None:
    """Theirs counts exits: that of the read(2) too in which the workload waits for its start."""
    options = ("-p", "{pid}", "-T", "1000")
    found, text, _ = both.run("syscount", NAP, ours=options, theirs=options)
    mine = {one["key"]["syscall_name"]: one["value"]["count"] for one in found}
    theirs = {row[0]: int(row[1]) for row in table(text, "SYSCALL")}
    theirs["read"] -= 1
    assert mine == {name: count for name, count in theirs.items() if count}
    assert mine["clock_nanosleep"] == 5


def test_syscount_of_failures(both: Both) -> None:
    script = "import os\nfor _ in range(3):\n try: os.kill(2**22 - 3, 0)\n except OSError: pass"
    options = ("-x", "-p", "{pid}")
    found, text, _ = both.run("syscount", script, ours=options, theirs=options)
    theirs = {row[0]: int(row[1]) for row in table(text, "SYSCALL")}
    assert theirs["kill"] == 3
    assert sorted(one["value"]["count"] for one in found) == sorted(theirs.values())


def test_runqlat(both: Both) -> None:
    """Each takes its own time, so a wait may be in the slot beside: the number is compared."""
    found, text, _ = both.run("runqlat", NAP)
    mine, theirs = sum(slots(found).values()), sum(bars(text).values())
    assert min(mine, theirs) >= 5
    assert abs(mine - theirs) <= 2  # that in which the workload is woken to begin, and its end


def test_cpudist_off_the_cpu(both: Both) -> None:
    """Without -O theirs counts only times at whose end the task could have run on."""
    options = ("-O", "-p", "{pid}")
    found, text, _ = both.run("cpudist", NAP, ours=options, theirs=options)
    mine, theirs = slots(found), bars(text)
    naps = [sum(n for low, n in one.items() if 8192 <= low < 65536) for one in (mine, theirs)]
    assert min(naps) >= 5
    assert abs(naps[0] - naps[1]) <= 2


def test_offcputime(both: Both) -> None:
    """The stacks differ in their top: each tool's own program is there. Times are compared."""
    found, text, pid = both.run("offcputime", NAP)
    mine = sum(one["value"]["us"] for one in found)
    theirs = sum(int(part.split()[-1]) for part in text.split("\n\n") if f"({pid})" in part)
    assert mine >= 50_000, found
    assert abs(mine - theirs) < 5_000, text


@pytest.mark.parametrize(
    ("option", "counted"),
    [("-u", True), ("-k", False), ("-M 100", False), ("--state 2", False)],
)
def test_offcputime_of_some(both: Both, option: str, counted: bool) -> None:
    """Theirs takes no -p beside -u and -k."""
    own = ["-p", "{pid}"]
    words = option.split()
    theirs = [*words, *([] if option in ("-u", "-k") else own)]
    found, text, pid = both.run("offcputime", NAP, ours=[*own, *words], theirs=theirs)
    naps = [part for part in text.split("\n\n") if f"({pid})" in part and "nanosleep" in part]
    assert bool(naps) == counted
    assert any("nanosleep" in str(one["key"]["kern_stack_id"]) for one in found) == counted


def test_softirqs(both: Both) -> None:
    """Of the whole machine: what theirs counts is a part of what ours does."""
    send = (
        "import socket\nr = socket.create_server(('127.0.0.1', 0))\n"
        "s = socket.socket(2, 2); s.connect(r.getsockname())\n"
        "u = socket.socket(2, 2); u.bind(('127.0.0.1', 0)); to = u.getsockname()\n"
        "for _ in range(200): socket.socket(2, 2).sendto(b'x', to); u.recv(1)\n"
    )
    found, text, _ = both.run("softirqs", send, ours=(), theirs=("-d",))
    mine: dict[str, int] = {}
    for one in found:
        name = one["key"]["vector"].partition("(")[0].lower()
        mine[name] = mine.get(name, 0) + one["value"]["count"]
    parts = re.split(r"softirq = (\w+)", text)[1:]
    theirs = {
        name: sum(bars(part).values()) for name, part in zip(parts[::2], parts[1::2], strict=True)
    }
    assert set(theirs) <= set(mine)
    assert 200 <= theirs["net_rx"] <= mine["net_rx"]


@pytest.fixture
def disk(tmp_path: Path) -> str:
    """A script that writes to a disk, past the cache; where the folder is on one."""
    words = ["dd", "if=/dev/zero", f"of={tmp_path}/zeros", "bs=64k", "count=8", "oflag=direct"]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("the folder for temporary files is on no disk")
    return f"import subprocess\nsubprocess.run({words!r})"


def test_hardirqs(both: Both, disk: str) -> None:
    """Of the whole machine: what theirs counts is a part of what ours does."""
    found, text, _ = both.run("hardirqs", disk, ours=(), theirs=("-C",))
    mine: dict[str, int] = {}
    for one in found:
        name = one["key"]["name"]
        mine[name] = mine.get(name, 0) + one["value"]["count"]
    theirs = {row[0]: int(row[1]) for row in table(text, "HARDIRQ")}
    assert theirs
    assert all(count <= mine[name] for name, count in theirs.items())


@pytest.mark.parametrize("option", ["", "-Q", "-F"])
def test_biolatency(both: Both, disk: str, option: str) -> None:
    """Of the whole machine: what theirs counts is a part of what ours does."""
    options = [option] if option else []
    found, text, _ = both.run("biolatency", disk, ours=options, theirs=options)
    assert 8 <= sum(bars(text).values()) <= sum(slots(found).values())


@pytest.mark.parametrize("device", ["own", "absent"])
def test_bitesize_of_a_disk(both: Both, disk: str, tmp_path: Path, device: str) -> None:
    """Theirs refuses a name that no disk has."""
    number = tmp_path.stat().st_dev
    link = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    whole = link.parent if (link / "partition").exists() else link
    name = whole.name if device == "own" else device
    theirs = ("-c", "dd", *(("-d", name) if device == "own" else ()))
    found, text, _ = both.run("bitesize", disk, ours=("-c", "dd", "-d", name), theirs=theirs)
    assert slots(found) == (bars(text) if device == "own" else {})
    assert bars(text)[64] == 8


def test_bitesize(both: Both, disk: str) -> None:
    found, text, _ = both.run("bitesize", disk, ours=("-c", "dd"), theirs=("-c", "dd"))
    assert {one["key"]["comm"] for one in found} == {"dd"}
    assert slots(found) == bars(text)
    assert slots(found)[64] == 8
