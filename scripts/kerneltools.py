"""Ask kernels about the catalogue: each of its tools is loaded, attached and made to report.

    scripts/kernels --tools [--kernel 5.10,newest] [--arch amd64] [--only TOOL] [--record]

As scripts/kernels.py, which asks about hooks: Debian's kernels in QEMU, one initramfs. What makes
each tool report is in tests/kernel/workloads.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import emulator  # noqa: E402

from ebpm.build.pack import build, find_source  # noqa: E402
from ebpm.build.toolchain import find_compiler  # noqa: E402
from ebpm.runtime.planner import make_plan  # noqa: E402
from tests.kernel import matrix  # noqa: E402

TOOLS, RESULTS = ROOT / "index/tools", ROOT / "docs/data/tools.json"
GUEST = f"""{emulator.PYTHON} -I -c '
import sys
sys.path.insert(0, "/guest")
sys.argv[1:] = ["/guest/tools", *%s]
from tests.kernel.workloads import main
main()'"""
SECONDS = 900  # for one kernel
LSM = "lsm=lockdown,yama,bpf"
RIGHT = ("works", "loads")
LEFT_OUT = ("bashreadline",)  # the guest has no bash


def compile_tool(source: Path, folder: Path, architecture: str) -> None:
    """Compile one tool, and plan it: the guest has no compiler."""
    found, headers = find_source(source)
    package = build(found, headers, compiler=find_compiler(), architectures=(architecture,)).package
    (one,) = package.objects
    (folder / f"{source.name}.o").write_bytes(one.data)
    (folder / f"{source.name}.plan").write_text(make_plan(package, one).dump())


def ask(architecture: str, names: list[str], only: list[str]) -> list[dict[str, object]]:
    """Boot kernels; give what each tool said on them."""
    began = time.monotonic()
    kernels = [emulator.fetch(name, architecture, update=False) for name in names]
    root = emulator.userland(architecture)
    wanted = [one for one in sorted(TOOLS.iterdir()) if one.is_dir()]
    wanted = [one for one in wanted if one.name in only or (not only and one.name not in LEFT_OUT)]
    with tempfile.TemporaryDirectory() as name:
        guest, cases, image = (Path(name) / one for one in ("guest", "cases", "image.cpio"))
        guest.mkdir()
        cases.mkdir()
        emulator.copy_ebpm(guest, architecture)
        matrix.fill_guest(guest, cases)
        (guest / "tools").mkdir()
        with ThreadPoolExecutor(emulator.PROCESSORS) as pool:
            jobs = [pool.submit(compile_tool, t, guest / "tools", architecture) for t in wanted]
            for job in jobs:
                job.result()
        say(began, f"{len(wanted)} tools compiled")
        emulator.compile_python(root, guest)
        emulator.initramfs(image, root, guest, GUEST % json.dumps(only), kernels)
        with ThreadPoolExecutor(emulator.PROCESSORS) as pool:
            boots = [
                pool.submit(emulator.boot, one, image, seconds=SECONDS, options=LSM)
                for one in kernels
            ]
            return [
                answers(kernel, done.result(), len(wanted), began)
                for kernel, done in zip(kernels, boots, strict=True)
            ]


def answers(kernel: emulator.Kernel, text: str, wanted: int, began: float) -> dict[str, object]:
    """Read what a guest printed; show what went wrong."""
    found = [json.loads(line[2:]) for line in text.splitlines() if line.startswith("@ {")]
    wrong = [one for one in found if one["outcome"] not in RIGHT]
    say(began, f"{kernel.name}: {len(found)} of {wanted} tools, {len(wrong)} do not work")
    for one in wrong:
        print(f"   {one['tool']}: {one['outcome']}: {one.get('message', '')}")
    return {
        "kernel": kernel.name,
        "architecture": kernel.architecture,
        "release": kernel.release,
        "tools": {one["tool"]: one["outcome"] for one in found},
        "missing": wanted - len(found),
    }


def say(began: float, text: str) -> None:
    """Tell how far it is, with the seconds since the beginning."""
    print(f"[{time.monotonic() - began:6.1f}] {text}", flush=True)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", metavar="LIST", default=",".join(emulator.KERNELS))
    parser.add_argument("--arch", default="amd64", choices=("amd64", "arm64"))
    parser.add_argument("--only", metavar="TOOL", action="append", default=[], help="one tool")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    if reason := emulator.missing(options.arch):
        sys.exit(f"error: {reason}")
    results = ask(options.arch, options.kernel.split(","), options.only)
    missing = sum(int(str(one.pop("missing"))) for one in results)
    if options.record and not options.only and not missing:
        RESULTS.write_text(json.dumps({"schemaVersion": 1, "kernels": results}, indent=1) + "\n")
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
