"""Ask kernels about hooks: every kind of program is loaded, attached and triggered.

Debian's kernels are fetched and booted in QEMU, without KVM and without root rights, with one
initramfs; each case of tests/kernel/cases.py must report events, or fail with the error that names
the feature and the kernel that it came with.

    scripts/kernels [--kernel 5.10,newest] [--arch amd64] [--only HOOK] [--update] [--record]
                    [--namesakes]

Needs QEMU, Debian's apt and dpkg and a mirror, and ebpm with its compiler, which also makes libbpf
for the guest; scripts/kernels, without .py, installs them.
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

from tests.kernel import matrix, pairs  # noqa: E402

RESULTS = ROOT / "docs/data/kernels.json"
GUEST = f"""{emulator.PYTHON} -I -c '
import sys
sys.path.insert(0, "/guest")
sys.argv[1:] = ["/guest/cases", *%s]
from tests.kernel.guest import main
main()' && {{ [ -z "$namesakes" ] || EBPM_CACHE=/guest/cache PYTHONPATH=/guest \\
{emulator.PYTHON} -m tests.kernel.pairs /guest/peers $namesakes; }}"""
SECONDS = 400  # for one kernel
LSM = "lsm=lockdown,yama,bpf"


def ask(
    architecture: str, names: list[str], only: list[str], *, update: bool, namesakes: bool
) -> list[dict[str, object]]:
    """Boot kernels, as many at a time as there are processors; give the results of each."""
    began = time.monotonic()
    kernels = [emulator.fetch(name, architecture, update=update) for name in names]
    root = emulator.userland(architecture)
    say(began, f"kernels: {', '.join(f'{one.release} ({one.package})' for one in kernels)}")
    tools = matrix.compile_cases(architecture)
    given = pairs.assign([(one.name, one.release) for one in kernels] if namesakes else [])
    say(began, "tools compiled")
    results = []
    with tempfile.TemporaryDirectory() as name:
        guest, image = Path(name) / "guest", Path(name) / "image.cpio"
        guest.mkdir()
        emulator.copy_ebpm(guest, architecture)
        matrix.fill_guest(guest, tools)
        if namesakes:
            matrix.bring_namesakes(guest, [tool for tools in given.values() for tool in tools])
        emulator.compile_python(root, guest)
        emulator.initramfs(image, root, guest, GUEST % json.dumps(only), kernels)
        say(began, f"initramfs of {image.stat().st_size >> 20} MB")
        with ThreadPoolExecutor(emulator.PROCESSORS) as pool:
            boots = [pool.submit(boot, one, image, given.get(one.name, [])) for one in kernels]
            for one, done in zip(kernels, boots, strict=True):
                text, seconds = done.result()
                config = one.config.read_text()
                answers = matrix.read_answers(text, one.release, architecture, config)
                say(began, f"{one.name} on {architecture}: {len(answers)} hooks in {seconds:.1f} s")
                results.append(result(one, answers, len(only) or len(matrix.CASES)))
                results[-1]["namesakes"] = matrix.lines(text, "pair")
    return results


def boot(kernel: emulator.Kernel, image: Path, namesakes: list[str]) -> tuple[str, float]:
    """Boot a kernel; give what it printed, and the seconds."""
    began = time.monotonic()
    # What the kernel does not know, it gives to /init as a variable.
    options = f"{LSM} namesakes={','.join(namesakes)}" if namesakes else LSM
    return emulator.boot(kernel, image, seconds=SECONDS, options=options), time.monotonic() - began


def result(kernel: emulator.Kernel, answers: list[matrix.Answer], wanted: int) -> dict[str, object]:
    """Write what one kernel said; show what it should not have said."""
    wrong = [one for one in answers if one.wrong]
    for one in wrong:
        print(f"   {one.hook}: {one.outcome}, {one.wrong}: {one.message}")
    if len(answers) != wanted:
        print(f"   it answered {len(answers)} of {wanted} questions")
    works = sum(one.outcome == "works" for one in answers)
    newer = len(answers) - works - len(wrong)
    print(f"   {works} work, {newer} are not in this kernel, {len(wrong)} wrong")
    return {
        "kernel": kernel.name,
        "architecture": kernel.architecture,
        "release": kernel.release,
        "hooks": {one.hook: one.outcome for one in answers},
        "wrong": len(wrong) + abs(wanted - len(answers)),
    }


def say(began: float, text: str) -> None:
    """Tell how far it is, with the seconds since the beginning."""
    print(f"[{time.monotonic() - began:6.1f}] {text}", flush=True)


def record(results: list[dict[str, object]]) -> None:
    """Keep results in the tree, beside those of other kernels."""
    left_out = ("wrong", "namesakes")
    matrix.keep(RESULTS, [{key: one[key] for key in one if key not in left_out} for one in results])
    print(f"recorded in {RESULTS.relative_to(ROOT)}")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(emulator.KERNELS)
    known = ", ".join(names)
    parser.add_argument("--kernel", metavar="LIST", default="all", help=f"all, or of {known}")
    parser.add_argument("--arch", metavar="LIST", default="amd64", help="amd64, arm64, or both")
    parser.add_argument("--only", metavar="HOOK", action="append", default=[], help="one case")
    parser.add_argument("--update", action="store_true", help="look for newer packages")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument(
        "--namesakes",
        action="store_true",
        help="run the pairs of tests/kernel/pairs.py too, each on one kernel that can; the results"
        " go to --json",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results to a file")
    options = parser.parse_args()
    wanted = names if options.kernel == "all" else options.kernel.split(",")
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"no such kernel: {', '.join(unknown)}; there are {', '.join(names)}")
    if unknown := [name for name in options.only if name not in matrix.BY_NAME]:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(matrix.BY_NAME)}")
    results = []
    for architecture in options.arch.split(","):
        if reason := emulator.missing(architecture):
            sys.exit(f"error: {reason}")
        results += ask(
            architecture,
            wanted,
            options.only,
            update=options.update,
            namesakes=options.namesakes and architecture == emulator.host_architecture(),
        )
    if options.json:
        options.json.write_text(json.dumps(results) + "\n")
    if options.record and not options.only:
        record(results)
    sys.exit(any(one["wrong"] for one in results))


if __name__ == "__main__":
    main()
