"""How fast events stream, and what they cost: ebpm beside C, Python's callbacks and bpftrace.

    benchmarks/throughput.py [--short] [--sizes 24,64,300] [--kinds ring,perf] [--only rates,costs]

A generator calls getppid at a chosen rate; a program reports each call; the consumers print them as
columns (or JSON) to /dev/null. All consumers of one size run in turn, in one series. The generator
has one CPU and the consumer another; with --real-time both go before whatever else runs there.
``pure`` is ebpm without the native part, as it runs where no wheel of a platform is. Needs root,
two CPUs, ziglang, scripts/native; bpftrace if it is there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from compileall import compile_dir
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import figures, quiet
from benchmarks.figures import ROOT, Table, finish, machine, median, place
from ebpm.api import Workspace, host_platform
from ebpm.cli.build import write_files
from ebpm.output.busy import available
from ebpm.package.describe import describe
from ebpm.runtime.libbpf.binding import Libbpf

HERE = Path(__file__).parent / "stream"
GETPPID = {"x86_64": 110, "aarch64": 173, "riscv64": 173}[os.uname().machine]
RATE = 100_000  # events a second, for the cost of one
RING, PERF = "ring", "perf"
RATE_BARS = {24: 1.5, 64: 1.2, 300: 1.5}


@dataclass(frozen=True)
class Run:
    """One run of a consumer against a generator."""

    calls: int
    lost: int
    nanoseconds: int  # of the generator
    cpu: float  # nanoseconds of the consumer, while the generator ran

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.nanoseconds * 1e9

    @property
    def cost(self) -> float:
        """Nanoseconds of the consumer's CPU for each event."""
        return self.cpu / max(1, self.calls)


class Bench:
    """The programs, built for one size and kind of buffer."""

    def __init__(self, folder: Path, size: int, kind: str, *flags: str) -> None:
        self.size, self.kind = size, kind
        self.folder = folder / f"{kind}{size}{''.join(flags)}"
        self.libbpf = Libbpf().path
        defines = [f"-DSIZE={size}", f"-DNUMBER={GETPPID}", *flags]
        defines += ["-DPERF"] if kind == PERF else []
        architecture = host_platform().architecture
        built = Workspace().build(
            HERE / "stream.bpf.c", architectures=[architecture], cflags=defines
        )
        write_files(built.package, self.folder, "json")
        facts = describe(built.package.object_for(host_platform()).data)
        self.lost_at = next(one.offset for one in facts.variables if one.name == "lost")
        self.object = next(self.folder.glob("*.bpf.o"))
        self.consumer = self.folder / "consumer"
        compile_c(HERE / "consumer.c", self.consumer, f"-DSIZE={size}", f"-DLOST={self.lost_at}")

    def command(self, who: str, pid: int) -> list[str]:
        """Give the command line of a consumer."""
        package = str(self.folder / "package.json")
        ebpm = [sys.executable, "-m", "ebpm", "run"]
        fields = {24: "cpu, cpu", 64: "cpu, comm, uid, cpu, tid, cpu", 300: "uid, cpu, comm, comm"}
        places = " ".join("%s" if one == "comm" else "%d" for one in fields[self.size].split(", "))
        probe = f"tracepoint:syscalls:sys_enter_getppid /pid == {pid}/"
        printf = f'printf("%llu %d {places}\\n", nsecs, pid, {fields[self.size]})'
        return {
            "c": [str(self.consumer), str(self.object), str(pid), self.kind],
            "paced": [str(self.consumer), str(self.object), str(pid), self.kind, "pace"],
            "ebpm": [*ebpm, package, "--target", str(pid)],
            "pure": ["env", "EBPM_PURE=1", *ebpm, package, "--target", str(pid)],
            "json": [*ebpm, "--json", package, "--target", str(pid)],
            "callback": [
                *(sys.executable, str(HERE / "callback.py"), self.libbpf, str(self.object)),
                *(str(pid), str(self.size), str(self.lost_at)),
            ],
            "bpftrace": [
                *("bpftrace", "-e", f"{probe} {{ {printf}; }}"),
            ],
        }[who]

    def run(self, who: str, rate: float, seconds: float, generator: Path) -> Run:
        """Run a consumer, and the generator against it."""
        made = subprocess.Popen(
            [generator, str(rate), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: place(0),
        )
        consumer = subprocess.Popen(
            self.command(who, made.pid),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: place(1),
        )
        try:
            wait_for_links(consumer)
            before = cpu_time(consumer.pid)
            out, _ = made.communicate("\n")
            time.sleep(0.02)
            used = cpu_time(consumer.pid) - before
            consumer.send_signal(signal.SIGINT)
            _, errors = consumer.communicate(timeout=30)
        finally:
            consumer.kill()
            made.kill()
        calls, nanoseconds = map(int, out.split())
        return Run(calls, lost_of(errors), nanoseconds, used)


def cpu_time(pid: int) -> float:
    """Tell the nanoseconds that a process was on a CPU."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def wait_for_links(process: subprocess.Popen[str]) -> None:
    """Wait until a process has attached a program."""
    for _ in range(1000):
        if process.poll() is not None:
            raise SystemExit(f"{process.args}: {process.communicate()[1]}")
        for fd in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                target = str(fd.readlink())
            except OSError:
                continue
            if "bpf_link" in target or "bpf-raw-tracepoint" in target or "perf_event" in target:
                time.sleep(0.15)  # bpftrace opens perf events before it attaches
                return
        time.sleep(0.01)
    raise SystemExit(f"{process.args} attaches nothing")


def lost_of(errors: str) -> int:
    """Read how many events a consumer says that it lost."""
    lost = 0
    for line in errors.splitlines():
        words = line.split()
        if line.startswith(("lost ", "Lost ")):
            lost += int(words[1])
        elif "events were lost" in line:
            lost = int(line.partition("(")[2].split()[0])
    return lost


def compile_c(source: Path, target: Path, *flags: str) -> None:
    """Compile a program with ziglang's C compiler, against the libbpf that ebpm uses."""
    library = Libbpf().path
    command = [sys.executable, "-m", "ziglang", "cc", "-O2", "-w", *flags, "-o", str(target)]
    command += [str(source), library, f"-Wl,-rpath,{Path(library).parent}"]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(target.parent / "zig")}
    subprocess.run(command, check=True, env=environment)


# --- measurements --------------------------------------------------------------------------------


def highest_rates(
    bench: Bench, who: list[str], generator: Path, seconds: float, steps: int
) -> dict[str, float]:
    """Find the highest rate without loss for each consumer, by bisection, all in turn."""
    low = dict.fromkeys(who, 20_000.0)
    high = dict.fromkeys(who, 5_000_000.0)
    for _ in range(steps):
        for one in who:
            rate = (low[one] * high[one]) ** 0.5
            best = 0.0
            for _ in range(2):  # something else may have had the CPU
                run = bench.run(one, rate, seconds, generator)
                if not run.lost:
                    best = run.rate
                    break
            if best:
                low[one] = max(low[one], best)
                if best < 0.95 * rate:  # the generator is at its end
                    high[one] = low[one]
            else:
                high[one] = min(high[one], rate)
    return low


def costs(
    bench: Bench, who: list[str], generator: Path, seconds: float, times: int
) -> dict[str, float]:
    """Take the CPU of one event at RATE, medians, all in turn."""
    found: dict[str, list[float]] = {one: [] for one in who}
    for _ in range(times):
        for one in who:
            found[one].append(bench.run(one, RATE, seconds, generator).cost)
    return {one: median(values) for one, values in found.items()}


def rates_table(
    bench: Bench, generator: Path, table: Table, who: list[str], *, short: bool
) -> None:
    """Find the highest rates of one size and kind."""
    name = f"{bench.size} B, {bench.kind}: highest rate"
    rates = highest_rates(bench, who, generator, 0.2 if short else 0.4, 6 if short else 8)
    for one, rate in rates.items():
        table.note(f"{name} without loss, {one}", f"{rate / 1000:.0f} k/s")
    bar = RATE_BARS[bench.size] if bench.kind == RING else 3
    table.at_least(f"{name}, ebpm to C", rates["ebpm"] / rates["c"], bar)
    if bench.kind == RING:
        table.at_least(f"{name}, JSON to C's table", rates["json"] / rates["c"], 0.5)


def costs_table(
    bench: Bench, generator: Path, table: Table, who: list[str], *, short: bool
) -> None:
    """Take the CPU of an event of one size and kind."""
    name = f"{bench.size} B, {bench.kind}: CPU"
    cost = costs(bench, who, generator, 0.2 if short else 0.4, 2 if short else 5)
    for one, value in cost.items():
        table.note(f"{name} of an event at {RATE // 1000} k/s, {one}", f"{value:.0f} ns")
    if bench.kind == RING:
        table.at_most(f"{name}, ebpm to C with our pace", cost["ebpm"] / cost["paced"], 3)
        table.at_most(f"{name}, ebpm to Python's callback", cost["ebpm"] / cost["callback"], 0.25)


def traced_table(bench: Bench, generator: Path, table: Table) -> None:
    """What a call costs the traced process, at full speed."""
    for one in ("c", "paced", "ebpm", "pure"):
        run = bench.run(one, 0, 0.3, generator)
        name = f"{bench.size} B, {bench.kind}: a call of the traced process at full speed, {one}"
        table.note(name, f"{run.nanoseconds / run.calls:.0f} ns, {run.lost} of {run.calls} lost")


def other_rows(folder: Path, generator: Path, *, short: bool) -> Table:
    """Latency, an idle tool, memory, many tools."""
    table = Table("Latency, idleness, memory")
    for kind in (RING, PERF):
        bench = Bench(folder, 24, kind)
        quiet.latency(bench, generator, table, 1 if short else 5)
        quiet.idle(bench, table, 2 if short else 10)
    texts = Bench(folder, 300, RING, "-DDISTINCT")
    for who in ("ebpm", "pure", "json"):
        quiet.memory(texts, generator, table, who, 500_000 if short else 10_000_000)
    quiet.many(Bench(folder, 24, RING), table, [1, 10, 100])
    return table


def main() -> int:
    """Run everything; exit with 1 if a bar was missed."""
    parser = figures.arguments(__doc__)
    parser.add_argument("--sizes", default="24,64,300")
    parser.add_argument("--kinds", default="ring,perf")
    parser.add_argument("--real-time", action="store_true", help="on a machine of one's own")
    parser.add_argument("--only", default="rates,costs,traced,others", help="what of it to measure")
    given = figures.parse(parser)
    parts = set(given.only.split(","))
    if len(os.sched_getaffinity(0)) < 2 or os.geteuid():
        raise SystemExit("this needs root and two CPUs")
    rows = "" if available() else ", no rows.so: ebpm is pure (scripts/native makes it)"
    print(f"throughput: {machine()}{rows}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.pop("EBPM_PURE", None)
    compile_dir(ROOT / "ebpm", quiet=2)  # as pip does
    figures.go_first(20)
    others = ["bpftrace"] if shutil.which("bpftrace") else []
    tables = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        generator = folder / "generator"
        compile_c(HERE / "generator.c", generator)
        for kind in given.kinds.split(","):
            for size in map(int, given.sizes.split(",")):
                bench = Bench(folder, size, kind)
                table = Table(f"Events of {size} bytes, {kind} buffer")
                who = ["c", "paced", "ebpm", "pure", "json", *others]
                who += ["callback"] * (kind == RING)
                if "rates" in parts:
                    rates_table(bench, generator, table, who, short=given.short)
                if "costs" in parts:
                    costs_table(bench, generator, table, who, short=given.short)
                if "traced" in parts:
                    traced_table(bench, generator, table)
                others = []
                tables.append(table)
                table.show()  # should the rest fail
                sys.stdout.flush()
        if "others" in parts:
            tables.append(other_rows(folder, generator, short=given.short))
    print("\n## All tables")
    return finish(tables)


if __name__ == "__main__":
    sys.exit(main())
