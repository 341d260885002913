"""The headers that ebpm brings for tools: what they are read as, and what they compute."""

from __future__ import annotations

import json
import sys
from pathlib import Path

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


NUMBERS = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/number.h>

/// Signal to look for
const volatile ebpm_signal wanted = 0;

struct event {
	ebpm_signal sig;   /// which @width 12
	ebpm_syscall call; /// the caller's
	ebpm_errno error;
	ebpm_result ret;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tracepoint/raw_syscalls/sys_enter")
int report(struct trace_event_raw_sys_enter *ctx)
{
	struct event *event;

	if (ctx->args[0] != 77777 || !(event = bpf_ringbuf_reserve(&events, sizeof(*event), 0)))
		return 0;
	event->sig = wanted;
	event->call = ctx->id;
	event->error = 13;
	event->ret = -2;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.mark.needs("compiler", "bpf")
def test_numbers_are_printed_and_given_by_their_names(ebpm: Ebpm, tmp_path: Path) -> None:
    source = tmp_path / "numbers.bpf.c"
    source.write_text(NUMBERS)
    script = "import os\ntry: os.getpgid(77777)\nexcept OSError: pass"
    words = (source, "--wanted", "usr1", "--", sys.executable, "-I", "-S", "-c", script)
    event = json.loads(ebpm.run("run", "--json", *words).stdout)
    assert {name: value for name, value in event.items() if name.endswith("_name")} == {
        "sig_name": "SIGUSR1",
        "call_name": "getpgid",
        "error_name": "EACCES",
        "ret_name": "ENOENT",
    }
    assert (event["sig"], event["error"], event["ret"]) == (10, 13, -2)
    header, row = ebpm.run("run", *words).stdout.splitlines()
    assert header == f"TIME     {'SIG':<14}{'CALL':<18}{'ERROR':<11}{'RET':<11}"
    assert row.split()[1:] == ["SIGUSR1", "getpgid", "EACCES", "ENOENT"]
    done = ebpm.run("run", source, "--wanted", "USR3", check=2)
    assert "'USR3' is no signal; did you mean SIGUSR" in done.stderr
