"""Kernels of Debian's releases, fetched and taken apart, never installed or booted.

A private apt root (lists, cache and status of its own) asks the mirror that this machine's apt is
set up to use, whose signatures apt checks. Needs no root rights.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ebpm.check.image import take_btf
from ebpm.errors import DownloadFailed, NotFound

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie"}
"""Whose kernels are of which version; what is not among them is looked for in sid."""
_ARCHITECTURES = {"arm64": "arm64", "amd64": "amd64", "riscv64": "riscv64", "ppc64le": "ppc64el"}


@dataclass(frozen=True, slots=True)
class DebianKernel:
    """The BTF of one kernel package."""

    package: str
    version: str
    btf: bytes

    @property
    def name(self) -> str:
        """What it is called in the cache: ``debian-6.1.0-40-amd64``."""
        return "debian-" + re.sub(r"^linux-(image|binary)-", "", self.package)


def fetch(version: str, folder: Path, *, suite: str | None, architecture: str) -> DebianKernel:
    """Fetch the newest kernel of a version.

    Args:
        version: its beginning, "6.1".
        folder: for apt's lists and files; only this process writes it.
        suite: of Debian, instead of the one whose kernel that is.
        architecture: as OCI names it.

    Raises:
        NotFound: the mirror has none of that version.
        DownloadFailed: this machine has no apt, or apt failed.
        InvalidBtf: the kernel has no BTF.
    """
    machine = _ARCHITECTURES.get(architecture, architecture)
    root = _Root(folder.resolve(), suite or SUITES.get(version, "sid"), machine)
    pattern = rf"^linux-(image|binary)-{re.escape(version)}[.+-][0-9.+a-z~-]*-{machine}$"
    names = [
        name
        for name in root.run("apt-cache", "search", "--names-only", pattern).split("\n")
        if name and not re.search(r"-(cloud|rt|dbg|unsigned)", name.split()[0])
    ]
    if not names:
        raise NotFound(
            f"{root.suite} has no kernel {version} for {machine}",
            hint=f"there are {', '.join(SUITES)} and sid's; --suite names another release",
        )
    packages = sorted((name.split()[0] for name in names), key=_numbers)
    package = packages[-1]
    shown = root.run("apt-cache", "show", "--no-all-versions", package)
    exact = next(line.split()[1] for line in shown.splitlines() if line.startswith("Version:"))
    root.run("apt-get", "download", "-qq", package)
    (archive,) = root.folder.glob(f"{package}_*.deb")
    files = root.folder / "files"
    root.run("dpkg-deb", "-x", str(archive), str(files))
    image = next(files.rglob("vmlinu[xz]*"))
    return DebianKernel(package, exact, take_btf(image.read_bytes()))


def _numbers(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name)]


class _Root:
    def __init__(self, folder: Path, suite: str, machine: str) -> None:
        self.folder, self.suite = folder, suite
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
        (folder / "apt.conf").write_text(
            f'Dir::State "{folder}"; Dir::State::lists "{folder}/lists";\n'
            f'Dir::State::status "{folder}/status"; Dir::Cache "{folder}/cache";\n'
            f'Dir::Etc::SourceList "{folder}/sources.list"; Dir::Etc::SourceParts "/dev/null";\n'
            'Dir::Etc::Preferences "/dev/null"; Dir::Etc::PreferencesParts "/dev/null";\n'
            f'APT::Architecture "{machine}"; APT::Architectures {{"{machine}";}};\n'
            'Acquire::Languages "none"; APT::Sandbox::User "";\n'
        )
        self.run("apt-get", "update", "-qq")

    def run(self, *command: str) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"}
        try:
            done = subprocess.run(
                command,
                env=environment,
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=True,
            )
        except FileNotFoundError:
            raise DownloadFailed(
                f"this machine has no {command[0]}",
                hint="fetch the file elsewhere, and `ebpm btf add FILE`",
            ) from None
        except subprocess.CalledProcessError as error:
            raise DownloadFailed(
                f"{' '.join(command[:2])} failed: {_last(error.stderr)}",
                hint="see whether the mirror in /etc/apt has that release",
            ) from None
        return done.stdout


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it does not say why"


def mirror() -> str:
    """Tell the base address of the Debian mirror in this machine's own apt sources.

    Raises:
        DownloadFailed: there is none.
    """
    for source in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        if source.suffix not in (".list", ".sources") or not source.exists():
            continue
        lines = source.read_text(errors="replace").splitlines()
        active = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        for address in re.findall(r"https?://\S+|file:\S+", active):
            if address.rstrip("/").endswith("/debian"):
                return str(address.rstrip("/"))
    raise DownloadFailed(
        "there is no Debian mirror in /etc/apt",
        hint="fetch the file elsewhere, and `ebpm btf add FILE`",
    )
