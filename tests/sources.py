"""BPF sources for the tests, and their objects: each is compiled once in a test run.

``built("events.bpf.c")`` is the package; ``raw("events.bpf.c")`` the object as the compiler wrote
it, with its debug information and types in the compiler's order.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ebpm.build import pack
from ebpm.build.compile import Workbench
from ebpm.build.toolchain import Compiler, find_compiler

MINIMAL = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
SEC("tracepoint/syscalls/sys_enter_kill")
int handle(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""

# Every kind of BTF type; one ring buffer whose event only the code mentions.
KINDS = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

enum mode { MODE_OFF, MODE_ON = 5, MODE_LAST = 2147483647 };
enum wide { WIDE_LOW = -1, WIDE_HIGH = 0x100000000 };
typedef int (*callback_t)(const char *, ...);
struct inner { short port; unsigned char addr[4]; } __attribute__((packed));
struct all {
	unsigned low : 3, high : 29;
	_Bool flag;
	enum mode mode;
	union { int number; float real; };
	struct { char name[8]; } nested;
	struct inner pairs[2][3];
	__int128 huge;
	double ratio;
	const char *text;
	callback_t call;
	struct all *next;
	const struct all *const before;
	enum wide wide;
} __attribute__((btf_decl_tag("whole")));
struct event { int pid; unsigned long long start; char comm[16]; struct all *all; };
struct other { int pid; __u32 why; };

const volatile int pid_target = 7;
const volatile bool failed;
const volatile char name[8] = "abc";
static const volatile int hidden = 3;
struct all global;
enum mode mode = MODE_ON;
__u64 counters[4];
int custom SEC(".data.custom") = 9;
extern int LINUX_KERNEL_VERSION __kconfig;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, struct other);
} starts SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

static __noinline int fill(struct event *e, int pid)
{
	e->pid = pid + hidden;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	return 0;
}

SEC("tp/sched/sched_process_exec")
int on_exec(struct trace_event_raw_sched_process_exec *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event *e;
	__u32 pid = BPF_CORE_READ(task, real_parent, tgid);

	if (failed && pid != pid_target + LINUX_KERNEL_VERSION)
		return name[pid & 7];
	__sync_fetch_and_add(&counters[0], 1);
	bpf_printk("pid %d", pid);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return custom;
	fill(e, pid);
	e->start = BPF_CORE_READ(task, start_time);
	bpf_ringbuf_submit(e, 0);
	return bpf_map_delete_elem(&starts, &pid);
}

SEC("raw_tp/sched_process_exit")
int on_exit(void *ctx)
{
	global.mode = mode;
	return 0;
}

/// @brief All kinds of types.
/// @version 1.2.3
char LICENSE[] SEC("license") = "Dual BSD/GPL";
"""

SOURCES = {"minimal.bpf.c": MINIMAL, "kinds.bpf.c": KINDS}
_FOLDER: list[Path] = []


def folder() -> Path:
    """Make the folder that the compilations of this run share."""
    if not _FOLDER:
        _FOLDER.append(Path(tempfile.mkdtemp(prefix="ebpm-test-")))
        atexit.register(shutil.rmtree, _FOLDER[0], ignore_errors=True)
    return _FOLDER[0]


@functools.cache
def compiler() -> Compiler:
    """Find the compiler once."""
    return find_compiler()


def write(place: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files; tell the path of the first."""
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return place / next(iter(files))


def build(
    place: Path, files: Mapping[str, str | bytes], *headers: str, **options: Any
) -> pack.BuildResult:
    """Write a source (the first file) and what it includes, and build it."""
    source = write(place, files)
    given = [place / name for name in headers]
    return pack.build(source, given, compiler=compiler(), **{"kept": kept(), **options})


@functools.cache
def kept() -> Path:
    """Make the folder that keeps the kernel's types for the builds of this run."""
    place = folder() / "kept"
    place.mkdir(mode=0o700)
    return place


@functools.cache
def built(name: str) -> pack.BuildResult:
    """Build one of the sources above."""
    return build(folder() / "built" / name, {name: SOURCES[name]})


@functools.cache
def raw(name: str) -> bytes:
    """Compile one of the sources above, and leave the object as it is."""
    source = write(folder() / "raw" / name, {name: SOURCES[name]})
    with Workbench(source, compiler()) as bench:
        run, data = bench.compile("amd64", None)
        assert run.ok, run.diagnostics
        return data


# The probe ebpm_test:hit(first, second), as <sys/sdt.h> writes it.
PROBE = r"""
int hit(int first, long second)
{
	__asm__ volatile(
		"990: nop\n"
		".pushsection .note.stapsdt,\"\",\"note\"\n"
		".balign 4\n"
		".4byte 992f-991f, 994f-993f, 3\n"
		"991: .asciz \"stapsdt\"\n"
		"992: .balign 4\n"
		"993: .8byte 990b, 0, 0\n"
		".asciz \"ebpm_test\"\n"
		".asciz \"hit\"\n"
		".asciz \"-4@%0 -8@%1\"\n"
		"994: .balign 4\n"
		".popsection\n"
		:: "r"(first), "r"(second));
	return first;
}
"""


def probe_library(place: Path, target: str | None = None) -> Path:
    """Compile a shared library with the probe; ``target`` is a machine as zig names it."""
    import ziglang

    source = write(place, {"probe.c": PROBE})
    zig = Path(ziglang.__file__).parent / "zig"
    flags = ["-dynamic", "-OReleaseFast", "-fno-compiler-rt", "-fno-ubsan-rt", "--name", "probe"]
    flags += ["-target", target] if target else []
    caches = {f"ZIG_{which}_CACHE_DIR": str(place / "zig") for which in ("GLOBAL", "LOCAL")}
    command: list[str | Path] = [zig, "build-lib", *flags, f"-femit-bin={place}/probe.so", source]
    subprocess.run(command, env=caches, check=True)
    return place / "probe.so"
