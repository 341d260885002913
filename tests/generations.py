"""One tool as each generation of eunomia-bpf's packages would have it.

The files are made here, from an object that our compiler wrote and from the descriptions of the
formats: what an old compiler said of the tool, in its words and with its oddities.
"""

from __future__ import annotations

import base64
import functools
import json
import zlib
from typing import Any

from ebpm.btf.elf import read_elf
from ebpm.build.compile import Workbench
from ebpm.build.strip import strip
from tests import sources
from tests.synthetic import Types

SOURCE = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum event_type { EVENT_FIRST, EVENT_SECOND };
struct event {
	__u32 pid;
	int signal;
	unsigned long long when;
	char comm[16];
	bool odd;
	enum event_type type;
	__u16 pair[2];
};

const volatile int pid_target = 0;
const volatile bool quiet = false;
unsigned long long seen = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_kill")
int on_kill(struct trace_event_raw_sys_enter *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct event *event;

	if (quiet || (pid_target && pid != pid_target))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	seen++;
	event->pid = pid;
	event->signal = ctx->args[1];
	event->when = 1ULL << 40;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->odd = true;
	event->type = EVENT_SECOND;
	event->pair[0] = 7;
	event->pair[1] = 65535;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
"""
NAME = "generations"
SIZE = 48
COLUMNS = ["pid", "signal", "when", "comm", "odd", "type", "pair"]


@functools.cache
def tool() -> bytes:
    """Compile the tool as an old compiler did: nobody adds the event's struct to the object."""
    source = sources.write(sources.folder() / NAME, {f"{NAME}.bpf.c": SOURCE})
    with Workbench(source, sources.compiler()) as bench:
        run, data = bench.compile("amd64", None)
        assert run.ok, run.diagnostics
        return strip(read_elf(data))


def lines(data: bytes) -> str:
    """Write base64 in lines, the last one too."""
    return base64.encodebytes(data).decode()


def flat() -> dict[str, Any]:
    """0.2 and before: the object as it is; the event in bits, in LLVM's words."""
    fields = [
        ("pid", "__u32':'unsigned int", "i32", 0),
        ("signal", "int", "i32", 32),
        ("when", "unsigned long long", "i64", 64),
        ("comm", "char[16]", "[16 x i8]", 128),
        ("odd", "bool':'_Bool", "i8", 256),
        ("type", "enum event_type", "i32", 288),
        ("pair", "__u16[2]", "[2 x i16]", 320),
    ]
    return {
        "name": NAME,
        "version": "0.1.0",
        "load_ebpf_script": "",
        "license": "",
        "author": "somebody",
        "url": "",
        "description": "signals as they are sent",
        "data": lines(tool()),
        "data_sz": len(tool()),
        "maps": [
            {"name": "counts", "type": "BPF_MAP_TYPE_HASH"},
            {
                "name": "events",
                "type": "BPF_MAP_TYPE_RINGBUF",
                "ring_buffer_export": {
                    "Struct Name": "event",
                    "Size": SIZE * 8,
                    "Data Size": SIZE * 8,
                    "Alignment": 64,
                    "Fields": [
                        {"Name": name, "Type": text, "LLVMType": llvm, "FieldOffset": at}
                        for name, text, llvm, at in fields
                    ],
                },
            },
            {
                "name": "generati.rodata",
                "type": "BPF_MAP_TYPE_UNSPEC",
                "sec_data": [
                    {"name": "pid_target", "type": "int", "size": 32},
                    {"name": "quiet", "type": "bool':'_Bool", "size": 8},
                ],
            },
        ],
        "progs": [{"name": "on_kill", "type": "BPF_PROG_TYPE_UNSPEC", "unknown": 1}],
        "runtime_args": {},
        "unknown": {"kept": True},
    }


def november() -> dict[str, Any]:
    """November 2022: variables with places, no hooks, and the structs' BTF beside the object."""
    return {
        "bpf_object": lines(zlib.compress(tool())),
        "meta": {
            "bpf_skel": {
                "obj_name": "generations_bpf",
                "maps": [
                    {"name": "counts", "ident": "counts"},
                    {"name": "events", "ident": "events"},
                    {"name": "generati.rodata", "ident": "rodata", "mmaped": True},
                    {"name": "generati.bss", "ident": "bss", "mmaped": True},
                ],
                "progs": [{"name": "on_kill", "link": True}],
                "data_sections": [
                    {
                        "name": ".rodata",
                        "variables": [
                            _place("pid_target", "int", 0, 4),
                            _place("quiet", "bool", 4, 1),
                        ],
                    },
                    {
                        "name": ".bss",
                        "variables": [_place("seen", "unsigned long long", 0, 8)],
                    },
                ],
            },
            "export_types": {
                "export_btf": lines(event_btf()),
                "structs": [{"id": 2, "name": "event"}],
            },
        },
    }


def _place(name: str, text: str, offset: int, size: int) -> dict[str, Any]:
    return {"name": name, "type": text, "offset": offset, "size": size, "align": size}


def event_btf() -> bytes:
    """Write the BTF that those packages brought along; type 1 is somebody else's."""
    types = Types()
    number = types.integer("unsigned int", 4, 0)
    event = types.count + 1
    at = event + 1  # what follows the struct
    types.struct(
        "event",
        SIZE,
        ("pid", at, 0),
        ("signal", at + 1, 32),
        ("when", at + 2, 64),
        ("comm", at + 4, 128),
        ("odd", at + 5, 256),
        ("type", at + 6, 288),
        ("pair", at + 8, 320),
    )
    assert types.typedef("__u32", number) == at
    types.integer("int", 4)
    types.integer("unsigned long long", 8, 0)
    types.array(types.char(), 16)
    types.integer("_Bool", 1, 4)
    types.enum("event_type", {"EVENT_FIRST": 0, "EVENT_SECOND": 1})
    assert types.array(types.integer("unsigned short", 2, 0), 2) == at + 8
    return types.raw()


@functools.cache
def _built() -> str:
    """Build the tool with today's compiler; give its metadata, as JSON."""
    from ebpm.package.meta import write_meta

    text = SOURCE.replace("#include <bpf", '#include "generations.h"\n#include <bpf', 1)
    start, end = text.index("enum event_type"), text.index("const volatile int")
    header = text[start:end]
    files: dict[str, str | bytes] = {f"{NAME}.bpf.c": text.replace(header, "")}
    files["generations.h"] = header
    made = sources.build(sources.folder() / "today", files, "generations.h").package
    meta = {key: value for key, value in write_meta(made).items() if not key.startswith("ebpm_")}
    return json.dumps({"meta": meta, "object": base64.b64encode(made.objects[0].data).decode()})


def current(**changes: Any) -> dict[str, Any]:
    """Give what today's compiler of eunomia-bpf writes."""
    built = json.loads(_built())
    data = base64.b64decode(built["object"])
    built["meta"]["eunomia_version"] = "0.3.4"
    for member in built["meta"]["export_types"][0]["members"]:
        if member["name"] == "type":
            member["type"] = "enum"
    variables = built["meta"]["bpf_skel"]["data_sections"][0]["variables"]
    variables[-1]["size"] = 3  # of the padding before it, whose name its own one overwrote
    return {
        "bpf_object": base64.b64encode(zlib.compress(data)).decode(),
        "bpf_object_size": len(data),
        "meta": {**built["meta"], **changes},
    }


def first() -> dict[str, Any]:
    """0.3.0: as today, but for the spelling of an enum's type, and nobody says which version."""
    package = current()
    del package["meta"]["eunomia_version"]
    for member in package["meta"]["export_types"][0]["members"]:
        if member["name"] == "type":
            member["type"] = "enum event_type"
    return package


GENERATIONS = {"flat": flat, "november-2022": november, "0.3.0": first, "current": current}
