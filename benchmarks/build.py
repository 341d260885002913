"""What `ebpm build` costs over the bare compiler; many sources at once; `ebpm check`.

    benchmarks/build.py [--short]

CPU time of whole processes with their children, medians, all in turn. The bare compiler is the same
clang with the same flags and headers, once for one architecture. The cache folder is one of its
own: the first build finds it empty, the second fills it, and the bars are for those that follow.
Needs ziglang; no root rights.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from compileall import compile_dir
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import figures
from benchmarks.figures import ROOT, Table, finish, machine, median
from ebpm.btf.parse import Btf
from ebpm.build.headers import header_set
from ebpm.build.toolchain import find_compiler
from ebpm.check.core import Kernel
from ebpm.check.report import Machine, examine
from ebpm.package.bare import from_object
from ebpm.package.describe import describe
from ebpm.package.model import ObjectFile
from ebpm.runtime.planner import make_plan

KINDS = {  # a source: what it stands for, its bar
    "counted": ("one object, its types in BTF", 1.6),
    "sigsnoop": ("one object, a second compilation for the types", 2.6),
    "kprobe": ("an object for each architecture", 2.6),
}
COUNTED = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct event { unsigned int pid; unsigned long long count; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4096); __type(key, unsigned int);
	__type(value, struct event); } counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
SEC("tracepoint/sched/sched_process_exec")
int on_exec(void *ctx)
{
	unsigned int pid = bpf_get_current_pid_tgid() >> 32;
	struct event *e = bpf_map_lookup_elem(&counts, &pid);
	if (e)
		bpf_ringbuf_output(&events, e, sizeof(*e), 0);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""
KPROBE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
struct event { unsigned int pid; unsigned long where; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
SEC("kprobe/do_unlinkat")
int BPF_KPROBE(on_unlink, int dfd)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->where = PT_REGS_IP(ctx);
	bpf_ringbuf_submit(e, 0);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""


def cpu(command: Sequence[str | Path], folder: Path | None = None) -> float:
    """Give the CPU seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def sources(folder: Path) -> dict[str, Path]:
    """Lay out what is built."""
    found = {}
    for name in KINDS:
        place = folder / name
        if (ROOT / "index/tools" / name).exists():
            shutil.copytree(ROOT / "index/tools" / name, place)
        else:
            place.mkdir()
            (place / f"{name}.bpf.c").write_text(KPROBE if name == "kprobe" else COUNTED)
        found[name] = place
    return found


def compare_builds(places: dict[str, Path], table: Table, times: int) -> None:
    """Build each source in turn with the compiler and with ebpm."""
    compiler = find_compiler()
    with header_set("amd64") as headers:
        for name, place in places.items():
            source = place / f"{name}.bpf.c"
            bare: list[str | Path] = [*compiler.command, "-target", "bpf", "-O2", "-g"]
            bare += ["-mcpu=v3", "-D__TARGET_ARCH_x86", "-I", headers.folder, "-I", place]
            bare += [*compiler.system_headers("amd64"), "-w", "-c", source, "-o", place / "bare.o"]
            ours = [sys.executable, "-m", "ebpm", "build", place, "-o", place / "out"]
            taken: dict[str, list[float]] = {"bare": [], "ours": []}
            shutil.rmtree(os.environ["EBPM_CACHE"], ignore_errors=True)
            early = [cpu(ours), cpu(ours)]
            for _ in range(times):
                taken["bare"].append(cpu(bare))
                taken["ours"].append(cpu(ours))
            one, other = median(taken["ours"]), median(taken["bare"])
            what, bar = KINDS[name]
            detail = f"{one:.2f} s to {other:.2f} s CPU"
            detail += f"; the first build {early[0]:.2f} s, the second {early[1]:.2f} s"
            table.at_most(f"{name}: {what}", one / other, bar, "x", detail)


def many(folder: Path, table: Table, count: int) -> None:
    """Build many sources at once, with one and with two jobs."""
    text = (ROOT / "index/tools/sigsnoop/sigsnoop.bpf.c").read_text()
    places = []
    for number in range(count):
        place = folder / f"many{number}"
        place.mkdir()
        (place / f"tool{number}.bpf.c").write_text(text.replace("{ 0 }", f"{{ {number} }}"))
        shutil.copy(ROOT / "index/tools/sigsnoop/sigsnoop.h", place)
        places.append(place)
    for jobs in (1, len(os.sched_getaffinity(0))):
        began = time.monotonic()
        used = cpu([sys.executable, "-m", "ebpm", "build", "-j", str(jobs), *places])
        wall = time.monotonic() - began
        table.note(f"{count} sources, -j {jobs}", f"{wall:.1f} s, {used / count:.2f} s CPU each")


def checks(places: dict[str, Path], table: Table) -> None:
    """Time `ebpm check` where the kernel's types have been read."""
    path = Path("/sys/kernel/btf/vmlinux")
    if not path.exists():
        return
    read = _seconds(lambda: Kernel(Btf(path.read_bytes())))
    kernel = Machine.running()
    for name in ("counted", "sigsnoop"):
        data = (places[name] / "out" / f"{name}.bpf.o").read_bytes()
        one = ObjectFile(data=data)
        plan = make_plan(from_object(one, name, describe(data)), one)
        first = _seconds(lambda data=data, plan=plan: examine(data, plan.programs, kernel))
        taken = [
            _seconds(lambda data=data, plan=plan: examine(data, plan.programs, kernel))
            for _ in range(9)
        ]
        detail = f"first {first * 1000:.1f} ms, after {read * 1000:.0f} ms to read the types"
        table.at_most(f"check {name}", median(taken) * 1000, 10, "ms", detail)


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> int:
    """Run everything; exit with 1 if a bar was missed."""
    parser = figures.arguments(__doc__)
    parser.add_argument("--sources", type=int, default=100, help="how many to build at once")
    given = figures.parse(parser)
    print(f"build: {machine()}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compile_dir(ROOT / "ebpm", quiet=2)  # as pip does
    table = Table("Build and check")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["EBPM_CACHE"] = str(folder / "cache")
        places = sources(folder)
        compare_builds(places, table, 2 if given.short else 7)
        if given.sources:
            many(folder, table, min(8, given.sources) if given.short else given.sources)
        checks(places, table)
    return finish([table])


if __name__ == "__main__":
    sys.exit(main())
