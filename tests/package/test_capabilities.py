"""What is read off objects: each of these programs does one thing, and is told apart by it."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm import api
from ebpm.errors import EbpmError
from ebpm.package.capabilities import Capabilities, capabilities_of
from ebpm.package.summary import from_json, lines, to_json

pytestmark = pytest.mark.needs("compiler")

START = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
char LICENSE[] SEC("license") = "GPL";
"""
XDP = "struct ethhdr *eth = (void *)(long)ctx->data; void *end = (void *)(long)ctx->data_end;\n"
XDP += "if ((void *)(eth + 1) > end) return XDP_PASS;\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Capabilities]:
    """Compile a source and read its capabilities."""

    def compiled(text: str) -> Capabilities:
        source = tmp_path / "tool.bpf.c"
        source.write_text(START + text)
        return capabilities_of(api.build(source).objects[0].data)

    return compiled


def xdp(body: str, before: str = "") -> str:
    return f'{before}\nSEC("xdp") int program(struct xdp_md *ctx) {{ {XDP} {body} }}\n'


@pytest.mark.parametrize(
    ("text", "writes", "decides"),
    [
        (xdp("return XDP_PASS;"), (), ()),
        (xdp("return eth->h_proto ? XDP_PASS : XDP_DROP;"), (), ("packets",)),
        (xdp("eth->h_source[0] = 1; return XDP_PASS;"), ("packets",), ()),
        (
            xdp(
                "return change(eth, ctx);",
                "static __attribute__((noinline)) int change(struct ethhdr *eth, struct xdp_md *c)"
                "{ for (int i = 0; i < 6; i++) eth->h_dest[i] ^= c->rx_queue_index;"
                " return XDP_PASS; }",
            ),
            ("packets",),
            (),
        ),
        (xdp("return bpf_redirect(1, 0);"), (), ("packets",)),
        (
            'SEC("tc") int program(struct __sk_buff *ctx) { ctx->mark = 1; return 0; }',
            ("packets' marks",),
            (),
        ),
        (
            'SEC("tc") int program(struct __sk_buff *ctx) { return ctx->len > 99 ? 2 : 0; }',
            (),
            ("packets",),
        ),
        (
            'SEC("lsm/file_open") int program(void *ctx) { return -1; }',
            (),
            ("what processes may do",),
        ),
        ('SEC("lsm/file_open") int program(void *ctx) { return 0; }', (), ()),
        ('SEC("fmod_ret/x") int program(void *ctx) { return -1; }', ("return values",), ()),
        (
            (
                'SEC("kprobe/x") int program(struct pt_regs *ctx)'
                "{ bpf_override_return(ctx, -1); return 0; }"
            ),
            ("return values",),
            (),
        ),
        (
            (
                'SEC("tp/syscalls/sys_enter_kill") '
                "int program(struct trace_event_raw_sys_enter *ctx)"
                "{ int no = 0; bpf_probe_write_user((void *)ctx->args[0], &no, 4);"
                " bpf_send_signal(9); return 0; }"
            ),
            ("signals", "user memory"),
            (),
        ),
    ],
)
def test_what_is_written_and_decided(
    read: Callable[[str], Capabilities],
    text: str,
    writes: tuple[str, ...],
    decides: tuple[str, ...],
) -> None:
    found = read(text)
    assert (found.writes, found.decides, found.complete) == (writes, decides, True)


def test_what_is_read_and_needed(read: Callable[[str], Capabilities]) -> None:
    found = read(
        """
        struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); } r SEC(".maps");
        extern void bpf_rcu_read_lock(void) __ksym;
        SEC("?fentry/some") int later(void *ctx) { return 0; }
        SEC("tracepoint/syscalls/sys_enter_kill") int program(void *ctx)
        {
            struct task_struct *task = (void *)bpf_get_current_task();
            int pid = BPF_CORE_READ(task, real_parent, tgid);
            bpf_ringbuf_output(&r, &pid, sizeof(pid), 0);
            bpf_rcu_read_lock();
            return 0;
        }"""
    )
    assert found.structs == ("task_struct",)
    assert found.helpers == (
        *("bpf_get_current_task", "bpf_probe_read_kernel", "bpf_ringbuf_output"),
    )
    assert found.kernel_functions == ("bpf_rcu_read_lock",)
    assert found.since == (5, 13)  # functions of the kernel
    needed = {one.what: one.since for one in found.needs}
    assert needed["maps of the type ringbuf"] == (5, 8)
    assert "programs of the kind fentry" not in needed  # nobody asked for it
    assert lines(found, 1) == [
        "attaches to 1 kernel function, 1 tracepoint",
        "reads struct task_struct",
        "writes nothing",
        "calls bpf_rcu_read_lock()",
        "0.1 MB of maps",
        "runs from kernel 5.13: bpf_rcu_read_lock()",
    ]
    assert json.loads(json.dumps(to_json(found)))["maps"][0]["bytes"] == 65536 + 3 * 4096


def test_callbacks_and_stacks_are_followed(read: Callable[[str], Capabilities]) -> None:
    """A packet's pointer that lies in a struct on the stack is still one in a callback."""
    found = read(
        xdp(
            "struct walk state = {.eth = eth}; bpf_loop(4, each, &state, 0); return XDP_PASS;",
            "struct walk { struct ethhdr *eth; };"
            "static int each(__u32 i, struct walk *s) { s->eth->h_dest[0] = i; return 0; }\n",
        )
    )
    assert found.writes == ("packets",)
    assert "bpf_loop" in "".join(found.helpers)
    assert found.since == (5, 17)


def test_loops_and_atomics_are_seen(read: Callable[[str], Capabilities]) -> None:
    found = read(
        """
        __u64 n = 0;
        SEC("tracepoint/syscalls/sys_enter_kill") int program(void *ctx)
        {
            __u32 sum = 0, times = bpf_get_prandom_u32() & 15;
            for (__u32 i = 0; i < times; i++) sum += bpf_get_smp_processor_id();
            return __sync_fetch_and_add(&n, sum) > 7;
        }"""
    )
    needed = {one.what: one.since for one in found.needs}
    assert needed["loops"] == (5, 3)
    assert needed["atomic operations that give a value"] == (5, 12)


@pytest.mark.needs("bpf", "bpftool")
def test_the_memory_of_maps_is_what_the_kernel_takes(tmp_path: Path) -> None:
    source = tmp_path / "maps.bpf.c"
    kinds = {
        "a": ("ARRAY", 1000, 24),
        "h": ("HASH", 10240, 24),
        "l": ("LRU_HASH", 4096, 8),
        "p": ("PERCPU_ARRAY", 100, 64),
        "q": ("PERCPU_HASH", 1024, 32),
    }
    maps = "".join(
        f"struct {{ __uint(type, BPF_MAP_TYPE_{kind}); __uint(max_entries, {entries});"
        f" __type(key, __u32); __type(value, char[{value}]); }} {name} SEC('.maps');\n"
        for name, (kind, entries, value) in kinds.items()
    ).replace("'", '"')
    maps += (
        "struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); } r"
        ' SEC(".maps");\n'
    )
    used = "".join(f"bpf_map_delete_elem(&{name}, &key);" for name in kinds)
    source.write_text(
        f'{START}{maps}SEC("tp/syscalls/sys_enter_kill") int t(void *ctx) {{ __u32 key = 0; {used}'
        "bpf_ringbuf_output(&r, &key, 4, 0); return 0; }"
    )
    package = api.build(source)
    expected = capabilities_of(package.objects[0].data)
    with api.open(package):
        done = subprocess.run(
            ["bpftool", "map", "list", "-j"], capture_output=True, text=True, check=True
        )
    taken = {
        one["name"]: one["bytes_memlock"]
        for one in json.loads(done.stdout)
        if one.get("name") in {*kinds, "r"}
    }
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        cpus = int(file.read().strip().rpartition("-")[2]) + 1
    for one in expected.maps:
        if one.name in taken:
            ours = one.memory + one.per_cpu * cpus
            assert 0.75 < ours / taken[one.name] < 1.35, (one, taken[one.name])
    assert taken.keys() == {*kinds, "r"}


def test_a_damaged_object_is_read_or_refused(tools: Callable[[str], Path]) -> None:
    chance = random.Random(1)
    whole = (tools("opensnoop") / "opensnoop.bpf.o").read_bytes()
    read = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(64, len(damaged))] = chance.randrange(256)
        try:
            found = capabilities_of(bytes(damaged))
        except EbpmError:
            continue
        assert to_json(from_json(to_json(found))) == to_json(found)
        assert lines(found, 2)
        read += 1
    assert 50 < read < 400


def test_an_object_that_would_take_long_is_not_followed_to_its_end(
    read: Callable[[str], Capabilities], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ebpm.package.code._STEPS", 3)
    found = read(xdp("eth->h_source[0] = 1; return XDP_PASS;"))
    assert not found.complete
    assert "too long to be followed" in "\n".join(lines(found, 1))
