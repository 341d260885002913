"""Names of system calls, signals and errors."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from ebpm.btf import layout as kinds
from ebpm.btf.decode import reader
from ebpm.btf.encode import encode
from ebpm.btf.layout import Layout
from ebpm.btf.numbers import number_name, number_of, number_text
from ebpm.btf.syscalls import MACHINES, TABLES
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("kind", "number", "name"),
    [
        ("signal", 15, "SIGTERM"),
        ("signal", 0, None),
        ("signal", 34, "SIGRT_2"),
        ("signal", 65, None),
        ("errno", 2, "ENOENT"),
        ("errno", -2, None),
        ("errno", 0, None),
        ("errno", 512, "ERESTARTSYS"),
        ("errno", 95, "EOPNOTSUPP"),
        ("result", -2, "ENOENT"),
        ("result", 2, None),
        ("result", 0, None),
        ("result", -4095, None),
        ("syscall", -1, None),
        ("syscall", 100_000, None),
    ],
)
def test_numbers_have_their_names_and_others_are_digits(
    kind: str, number: int, name: str | None
) -> None:
    assert number_name(kind, number) == name
    assert number_text(kind, number) == (name or str(number))


def test_signals_and_errors_are_those_of_this_machine() -> None:
    for one in signal.Signals:
        if one < 32:
            assert signal.Signals[str(number_name("signal", one))] == one
    for number in errno.errorcode:
        assert getattr(errno, str(number_name("errno", number))) == number


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        ("signal", "SIGTERM", 15),
        ("signal", "term", 15),
        ("errno", "ENOENT", 2),
        ("errno", "enoent", 2),
        ("result", "ENOENT", -2),
    ],
)
def test_a_name_is_a_number(kind: str, text: str, number: int) -> None:
    assert number_of(kind, text) == number
    layout = Layout(kind, "int", 4, signed=True)
    assert reader(layout)(encode(layout, text), 0) == number


@pytest.mark.parametrize(
    ("kind", "text", "near"),
    [
        ("signal", "SIGTREM", "is no signal; did you mean SIGTERM"),
        ("errno", "ENOTENT", "is no error; did you mean ENOENT"),
        ("syscall", "opennat", "is no system call of this machine; did you mean openat"),
        ("syscall", "§", "is no system call of this machine$"),
    ],
)
def test_a_name_that_is_none_says_what_is_near(kind: str, text: str, near: str) -> None:
    with pytest.raises(ValueError, match=near):
        number_of(kind, text)


def test_names_of_system_calls_come_back() -> None:
    calls = {number: number_name(kinds.SYSCALL, number) for number in range(500)}
    named = {number: name for number, name in calls.items() if name}
    assert len(named) > 300
    assert all(number_of(kinds.SYSCALL, name) == number for number, name in named.items())


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of another machine")
def test_system_calls_of_this_machine() -> None:
    assert [number_name("syscall", one) for one in (0, 59, 257, 435)] == [
        "read",
        "execve",
        "openat",
        "clone3",
    ]


def test_every_machine_has_a_table_without_gaps_in_what_is_common() -> None:
    assert set(MACHINES.values()) == set(TABLES)
    for table in TABLES.values():
        names: dict[int, str] = {}
        for line in table.splitlines():
            first, *calls = line.split()
            assert not set(names) & set(range(int(first), int(first) + len(calls)))
            names.update(enumerate(calls, int(first)))
        assert names[424] == "pidfd_send_signal"  # from here on all machines have the same
        assert names[437] == "openat2"
        assert len(set(names.values())) == len(names)


@pytest.mark.needs("compiler")
def test_the_tables_are_those_of_the_headers() -> None:
    script = ROOT / "scripts/syscalls"
    assert subprocess.run([sys.executable, script, "--check"]).returncode == 0
