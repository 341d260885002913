"""Tools beside their namesakes in guests of the kernel matrix: those that CI's kernel refuses.

Like test_namesakes.py, with workloads of pairs.py. Debian's libbpf-tools are those of Debian 13.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.kernel.conftest import Kernels
from tests.kernel.namesakes import bars, of, slots, table
from tests.kernel.pairs import DISK, PAIRS, assign

pytestmark = [
    pytest.mark.needs("compiler", "native", "qemu"),
    pytest.mark.timeout(900),
]


def columns(text: str, first: str, *numbers: int, pid: int) -> list[tuple[str, ...]]:
    """Take columns of the rows that have the workload's process ID in them."""
    return [tuple(row[at] for at in numbers) for row in table(text, first) if str(pid) in row]


def test_every_pair_ran(kernels: Kernels) -> None:
    assert {one["pair"] for result in kernels.results for one in result["namesakes"]} == set(PAIRS)


def test_biosnoop(kernels: Kernels) -> None:
    """Ours has the worker that reads ahead, in the process's stead."""
    both = kernels.pair("biosnoop")
    mine = [
        (str(one["pid"]), one["disk"], one["op"][6], str(one["sector"]), str(one["bytes"]))
        for one in both["ours"]
        if one["pid"] == both["pid"]
    ]
    theirs = [
        (pid, disk, kind[0], sector, size)
        for _, _, pid, disk, kind, sector, size, _ in table(both["theirs"], "TIME(s)")
        if pid == str(both["pid"]) and "A" not in kind
    ]
    assert sorted(mine) == sorted(theirs)
    assert sum(int(row[-1]) for row in mine if row[2] == "W") == 3 * 65536
    assert sum(int(row[-1]) for row in mine if row[2] == "R") == 65536


def test_capable(kernels: Kernels) -> None:
    both = kernels.pair("capable")
    theirs = [
        (pid, comm, uid, name.removeprefix("CAP_"), "0" if verdict == "allow" else "-1")
        for _, uid, pid, comm, _, name, _, verdict in table(both["theirs"], "TIME")
    ]
    mine = [
        (pid, comm, uid, cap.removeprefix("C_"), ret)
        for pid, comm, uid, cap, ret in of(both["ours"], "pid", "comm", "uid", "cap", "ret")
    ]
    assert mine == theirs
    assert {row[2:] for row in theirs} >= {
        ("0", "CHOWN", "0"),
        ("0", "SETUID", "0"),
        ("65534", "SYS_CHROOT", "-1"),
    }


def test_filelife(kernels: Kernels) -> None:
    """Of a file that was there before, neither knows the age."""
    both = kernels.pair("filelife")
    theirs = columns(both["theirs"], "TIME", 1, 2, 4, pid=both["pid"])
    assert of(both["ours"], "pid", "comm", "file") == theirs
    assert [row[-1] for row in theirs] == ["one", "other"]


def test_filetop(kernels: Kernels) -> None:
    """Theirs counts the bytes that are asked for, and no readv(2)."""
    both = kernels.pair("filetop")
    (mine,) = (one for one in both["ours"] if one["key"]["file"] == "numbers")
    (theirs,) = (row for row in table(both["theirs"], "TID") if row[-1] == "numbers")
    assert mine["value"] == {"reads": 3, "writes": 5, "r_bytes": 3072, "w_bytes": 5120}
    assert theirs[:2] == [str(both["pid"]), mine["key"]["comm"]]
    assert theirs[2:6] == ["2", "5", "7", "5"]  # calls, and kB: 3 read of 7 that were asked for
    assert {one["key"]["file"] for one in both["ours"]} == {
        row[-1] for row in table(both["theirs"], "TID") if row[0] == str(both["pid"])
    }


def test_fsslower(kernels: Kernels) -> None:
    """Ours has what the workload does in other file systems too."""
    both = kernels.pair("fsslower")
    letters = {"SLOW_READ": "R", "SLOW_WRITE": "W", "SLOW_OPEN": "O", "SLOW_SYNC": "F"}
    mine = [
        (pid, comm, letters[op], "LL_MAX" if op == "SLOW_SYNC" else size, file)
        for pid, comm, op, size, file in of(both["ours"], "pid", "comm", "op", "bytes", "file")
        if file == "slow"
    ]
    theirs = columns(both["theirs"], "TIME", 2, 1, 3, 4, 7, pid=both["pid"])
    assert mine == theirs
    assert "".join(row[2] for row in mine) == "OWFRWFR"


def test_memleak(kernels: Kernels) -> None:
    """Both are asked for what is larger than 10 kB: ours reads more often, so it sees more."""
    both = kernels.pair("memleak")
    last = both["theirs"].rpartition("Top")[2]
    theirs = re.findall(r"^(\d+) bytes in (\d+) allocations", last, flags=re.MULTILINE)
    mine = [(str(one["value"]["bytes"]), str(one["value"]["count"])) for one in both["ours"]]
    assert {*theirs} <= {*mine}
    assert ("86415", "7") in theirs  # 7 * 12345


def test_oomkill(kernels: Kernels) -> None:
    both = kernels.pair("oomkill")
    pattern = r'Triggered by PID (\d+) \("(.+?)"\), OOM kill of PID (\d+)'
    theirs = re.findall(pattern, both["theirs"])
    assert of(both["ours"], "fpid", "fcomm", "tpid") == theirs
    ((asked, _, killed),) = theirs
    assert asked != killed


def test_profile(kernels: Kernels) -> None:
    both = kernels.pair("profile")
    mine = sum(one["value"]["count"] for one in both["ours"])
    counts = re.findall(r"^python.* (\d+)$", both["theirs"], flags=re.MULTILINE)
    theirs = sum(map(int, counts))
    assert theirs >= 20
    assert abs(mine - theirs) <= 0.3 * theirs


def test_runqlen(kernels: Kernels) -> None:
    """While three processes want one CPU, two of them wait."""
    both = kernels.pair("runqlen")
    rows = [one["value"]["slots"] for one in both["ours"]]
    mine = [sum(counts) for counts in zip(*rows, strict=True)]
    found = re.findall(r"^\s+(\d+)\s+: (\d+)", both["theirs"], flags=re.MULTILINE)
    theirs = {int(length): int(count) for length, count in found}
    assert theirs[2] >= 20
    assert abs(mine[2] - theirs[2]) <= 0.3 * theirs[2]


def test_statsnoop(kernels: Kernels) -> None:
    both = kernels.pair("statsnoop")
    theirs = [
        (pid, comm, ret if ret == "0" else f"-{error}", path)
        for pid, comm, ret, error, path in table(both["theirs"], "PID")
    ]
    assert of(both["ours"], "pid", "comm", "ret", "path") == theirs
    assert [row[2:] for row in theirs] == [("0", DISK)] * 3 + [("-2", f"{DISK}/absent")]


def test_tcpconnect(kernels: Kernels) -> None:
    both = kernels.pair("tcpconnect")
    theirs = columns(both["theirs"], "PID", 0, 1, 3, 4, 5, pid=both["pid"])
    assert of(both["ours"], "pid", "comm", "saddr", "daddr", "dport") == theirs
    assert [row[3] for row in theirs] == ["127.0.0.1", "127.0.0.1", "::1", "::1"]
    assert [row[4] for row in theirs][1::2] == ["1", "1"]  # refused


def test_tcprtt(kernels: Kernels) -> None:
    both = kernels.pair("tcprtt")
    assert slots(both["ours"]) == bars(both["theirs"])
    assert slots(both["ours"]).total() >= 8


def test_tcptop(kernels: Kernels) -> None:
    both = kernels.pair("tcptop")
    mine = {
        (
            str(one["key"]["pid"]),
            one["key"]["comm"],
            f"{one['key']['laddr']}:{one['key']['lport']}",
            f"{one['key']['raddr']}:{one['key']['rport']}",
            str(one["value"]["rx_bytes"] // 1024),
            str(one["value"]["tx_bytes"] // 1024),
        )
        for one in both["ours"]
    }
    rows = [line.split() for line in both["theirs"].splitlines()]
    theirs = {tuple(row) for row in rows if row[:1] == [str(both["pid"])]}
    assert mine == theirs
    assert Counter(row[4:] for row in theirs) == {("5", "2"): 2, ("2", "5"): 2}


def test_the_pairs_are_shared_out_among_the_kernels_that_can() -> None:
    given = assign([("5.10", "5.10.0-46-cloud"), ("newest", "7.2.1+deb14")])
    assert sorted(tool for tools in given.values() for tool in tools) == sorted(PAIRS)
    assert {"runqlen", "filelife"} <= set(given["5.10"])
    assert "biosnoop" in given["newest"]
    assert abs(len(given["5.10"]) - len(given["newest"])) <= 1
    assert len(assign([("6.12", "6.12.1+deb13")])["6.12"]) == len(PAIRS)
