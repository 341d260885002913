"""The bundles for arm64, on an emulated machine: a tool runs, with glibc and with musl."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.cli.build import write_files
from tests.conftest import ROOT
from tests.kernel.matrix import emulator
from tests.test_native import CACHE, built, script

pytestmark = [pytest.mark.needs("native", "compiler", "qemu-arm64"), pytest.mark.timeout(600)]

RUN = r"""
set -e
/bin/busybox uname -m
export PYTHONPATH=/guest/wheel
python3.13 -c 'from ebpm.runtime.libbpf.binding import Libbpf as b; print(b().path, b().version)'
python3.13 -m ebpm run --json package.json -- python3.13 -c 'import os; os.kill(os.getpid(), 0)' \
    2>/tmp/errors || { /bin/busybox cat /tmp/errors; exit 1; }
./runner musl/libbpf.so sigsnoop.bpf.o
python3.13 lines.py
python3.13 producers.py
"""
# tests/runtime/test_stress.py, for the ring and the C of this architecture: two CPUs, one program
# that counts what it sent, and lines that are read again when all is over.
PRODUCERS = r"""
import json, os, subprocess, time
command = ["python3.13", "-m", "ebpm", "run", "--json", "stress.json", "--magic", "77777"]
with open("/tmp/lines", "w") as lines, open("/tmp/words", "w") as words:
    tool = subprocess.Popen(command, stdout=lines, stderr=words)
def attached():
    folder = f"/proc/{tool.pid}/fd"
    try:
        return any("bpf_link" in os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder))
    except OSError:
        return False
while not attached():
    assert tool.poll() is None, open("/tmp/words").read()
    time.sleep(0.05)
producers = []
for _ in range(3):
    pid = os.fork()
    if not pid:
        for _ in range(4000):
            try:
                os.getpgid(77777)
            except OSError:
                pass
        os._exit(0)
    producers.append(pid)
for pid in producers:
    os.waitpid(pid, 0)
tool.send_signal(2)
tool.wait()
seen = set()
for line in open("/tmp/lines"):
    event = json.loads(line)["fields"]
    number = event["seq"]
    assert number not in seen and event["inverse"] == ~number & (1 << 64) - 1, line
    assert event["text"] == chr(ord("a") + number % 16) * 19, line
    seen.add(number)
words = open("/tmp/words").read()
lost = int(words.rpartition("(")[2].split()[0]) if "lost" in words else 0
print(len(seen) + lost, lost > 0, len(seen) > 200)
"""
LINES = r"""
import os, struct
from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.event import Batch, Source
from ebpm.output.jsonl import JsonLines
from ebpm.output.stream import Stream

class Memory(Stream):
    text = b""
    def write(self, text):
        self.text += text.encode() if isinstance(text, str) else bytes(text)

number, text = Layout(kinds.INT, "i", 4, signed=True), Layout(kinds.STRING, "", 12)
members = (Member("a", 0, 0, number), Member("b", 32, 0, text), Member("c", 128, 32, number))
source = Source("e", Layout(kinds.STRUCT, "e", 24, members=members))
names = (b"plain", b"caf\xc3\xa9", b"quote\"", b"twelve bytes")
chosen = [names[n % 4 if n < 8 else 0] for n in range(3000)]
data = b"".join(struct.pack("=i12sq", -n, name, -n) for n, name in enumerate(chosen))
written = []
for pure in (True, False):
    sink = JsonLines(Memory(-1), named=False, pure=pure)
    sink.write(Batch(source, memoryview(data), 0, 24, 24, 3000))
    written.append(sink._stream.text)
    assert (sink._writers["e"]._rows is None) == pure
print(written[0].count(b"\n"), written[0] == written[1])
"""


def test_wheel_and_musl_bundle_run_a_tool(tools: Callable[[str], Path], work: Path) -> None:
    import ziglang

    names = ("aarch64-linux-gnu", "aarch64-linux-musl")
    done = script("native", "--target", ",".join(names))
    assert done.returncode == 0, done.stderr
    glibc, musl = (CACHE / "native" / name for name in names)
    wheel = built("wheel", ROOT, work / "wheel", EBPM_BUNDLE=str(glibc))
    assert wheel.name.endswith("_aarch64.whl")
    guest = work / "guest"
    zipfile.ZipFile(wheel).extractall(guest / "wheel")
    shutil.copytree(musl / "native", guest / "musl")
    for name in ("package.json", "sigsnoop.bpf.o"):
        shutil.copy(tools("sigsnoop") / name, guest)
    stress = Workspace().build(ROOT / "tests/data/stress.bpf.c").package
    write_files(stress, work / "stress", "json")
    shutil.copy(work / "stress/package.json", guest / "stress.json")
    (guest / "producers.py").write_text(PRODUCERS)
    (guest / "lines.py").write_text(LINES)
    caches = {f"ZIG_{which}_CACHE_DIR": str(work / "zig") for which in ("GLOBAL", "LOCAL")}
    zig = Path(ziglang.__file__).parent / "zig"
    flags = ["-target", names[1], "-dynamic", "-O2", "-w"]
    command: list[str | Path] = [
        zig,
        "cc",
        *flags,
        "-o",
        guest / "runner",
        ROOT / "tests/data/runner.c",
    ]
    subprocess.run(command, env=caches, check=True)

    kernel = emulator.fetch("6.12", "arm64")
    image = work / "guest.cpio"
    emulator.initramfs(image, emulator.userland("arm64"), guest, RUN, [kernel])
    output = emulator.boot(kernel, image, seconds=300, cpus=2)
    machine, library, *events, version, counted, lines, stressed = output.splitlines()
    assert machine == "aarch64"
    assert library == "/guest/wheel/ebpm/runtime/libbpf/native/libbpf.so v1.5"
    assert {(event["sig"], event["ret"]) for event in map(json.loads, events)} == {(0, 0)}
    assert (version, counted) == ("v1.5", "events")
    assert lines == "3000 True"  # what C writes and what Python writes
    assert stressed == "12000 True True"
