"""Ask kernels about the catalogue: each of its tools is loaded, attached and made to report.

    scripts/kernels --tools [--kernel 5.10,newest] [--arch amd64,arm64] [--only TOOL] [--record]

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

from ebpm.api import Workspace  # noqa: E402
from ebpm.config import Config  # noqa: E402
from ebpm.oci.platform import Platform  # noqa: E402
from ebpm.package.artifact import unpack  # noqa: E402
from ebpm.runtime.planner import make_plan  # noqa: E402
from ebpm.target import parse_target  # noqa: E402
from tests.kernel import matrix  # noqa: E402

TOOLS, RESULTS = ROOT / "index/tools", ROOT / "docs/data/tools.json"
GUEST = f"""{emulator.PYTHON} -I -c '
import sys
sys.path.insert(0, "/guest")
sys.argv[1:] = ["/guest/tools", *%s]
from tests.kernel.workloads import main
main()'"""
RIGHT = ("works", "feature-missing")
SECONDS = 900  # for one kernel
LSM = "lsm=lockdown,yama,bpf"


def bring(name: str, config: Config, folder: Path, architecture: str) -> None:
    """Take a tool out of the catalogue, and plan it: an emulated processor takes long for that."""
    platform = Platform("linux", architecture)
    source, root = Workspace(config).locate(parse_target(name))
    package = unpack(source, root, [platform])
    one = package.object_for(platform)
    (folder / f"{name}.o").write_bytes(one.data)
    (folder / f"{name}.plan").write_text(make_plan(package, one).dump())


def ask(architecture: str, names: list[str], only: list[str]) -> list[dict[str, object]]:
    """Boot kernels; give what each tool said on them."""
    began = time.monotonic()
    kernels = [emulator.fetch(name, architecture, update=False) for name in names]
    root = emulator.userland(architecture)
    wanted = only or sorted(one.name for one in TOOLS.iterdir() if one.is_dir())
    with tempfile.TemporaryDirectory() as name:
        guest, cases, image = (Path(name) / one for one in ("guest", "cases", "image.cpio"))
        guest.mkdir()
        cases.mkdir()
        emulator.copy_ebpm(guest, architecture)
        matrix.fill_guest(guest, cases)
        (guest / "tools").mkdir()
        config = matrix.catalogue_alone(Path(name))
        for tool in wanted:
            bring(tool, config, guest / "tools", architecture)
        say(began, f"{len(wanted)} tools")
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
    found = matrix.lines(text, "tool")
    wrong = [one for one in found if one["outcome"] != "works"]
    say(began, f"{kernel.name}: {len(found)} of {wanted} tools, {len(wrong)} do not work")
    for one in wrong:
        print(f"   {one['tool']}: {one['outcome']}: {one.get('message', '')}")
    return {
        "kernel": kernel.name,
        "architecture": kernel.architecture,
        "release": kernel.release,
        "tools": {one["tool"]: one["outcome"] for one in found},
        "missing": wanted - len(found),
        "wrong": sum(one["outcome"] not in RIGHT for one in found),
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
    parser.add_argument("--arch", metavar="LIST", default="amd64", help="amd64, arm64, or both")
    parser.add_argument("--only", metavar="TOOL", action="append", default=[], help="one tool")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    results = []
    for architecture in options.arch.split(","):
        if reason := emulator.missing(architecture):
            sys.exit(f"error: {reason}")
        results += ask(architecture, options.kernel.split(","), options.only)
    missing, wrong = (
        sum(int(str(one.pop(key))) for one in results) for key in ("missing", "wrong")
    )
    if options.record and not options.only and not missing:
        matrix.keep(RESULTS, results)
        print(f"recorded in {RESULTS.relative_to(ROOT)}")
    sys.exit(bool(missing or wrong))


if __name__ == "__main__":
    main()
