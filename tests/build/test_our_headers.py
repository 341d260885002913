"""The headers that ebpm brings for tools: what they are read as, and what they compute."""

from __future__ import annotations

import json
import sys

import pytest

from tests.conftest import ROOT, Ebpm

SOURCE = ROOT / "tests/data/address.bpf.c"


@pytest.mark.needs("compiler", "bpf")
@pytest.mark.parametrize(
    ("argument", "slot"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (1023, 9), (2**40, 25)]
)
def test_a_slot_is_a_power_of_two(ebpm: Ebpm, argument: int, slot: int) -> None:
    script = f"import ctypes; ctypes.CDLL(None).syscall(121, ctypes.c_long({argument}))"
    done = ebpm.run("run", "--json", SOURCE, "--", sys.executable, "-I", "-S", "-c", script)
    assert [json.loads(line)["slot"] for line in done.stdout.splitlines()] == [slot]


@pytest.mark.needs("compiler", "bpf")
def test_an_address_is_printed_and_given_as_people_write_it(ebpm: Ebpm) -> None:
    script = "import os; os.getpgid(0)"
    words = (SOURCE, "--other", "2001:db8::1", "--", sys.executable, "-I", "-S", "-c", script)
    assert json.loads(ebpm.run("run", "--json", *words).stdout) == {
        "from": "127.0.0.1",
        "to": "2001:db8::1",
        "slot": 0,
    }
    header, row = ebpm.run("run", *words).stdout.splitlines()
    assert header.split() == ["TIME", "FROM", "TO", "SLOT"]
    assert row.split()[1:] == ["127.0.0.1", "2001:db8::1", "0"]
