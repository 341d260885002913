"""Debian packages of any suite and architecture, without touching this system.

A private apt root (its own lists, cache and status) asks the mirror that this machine is set up
to use; packages are downloaded and unpacked, never installed. Needs no root rights.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror() -> str:
    """Tell the base address of the Debian mirror in this machine's own apt sources."""
    for source in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        if source.suffix not in (".list", ".sources") or not source.exists():
            continue
        for address in re.findall(r"https?://\S+|file:\S+", _active(source.read_text())):
            if address.rstrip("/").endswith("/debian"):
                return str(address.rstrip("/"))
    raise SystemExit("no Debian mirror in /etc/apt: this script needs one")


def _active(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


class Suite:
    """One suite (with its companions) of one architecture."""

    def __init__(
        self,
        root: Path,
        *names: str,
        architecture: str = "amd64",
        kinds: tuple[str, ...] = ("deb", "deb-src"),
    ) -> None:
        """Fetch the package lists; ``root`` is a folder that only this object writes."""
        self.root = root.resolve()
        self.kinds = kinds
        for folder in ("lists/partial", "cache/archives/partial"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        sources = [self._source(name) for name in names]
        (self.root / "sources.list").write_text("\n".join(sources) + "\n")
        self.environment = {**os.environ, "APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C"}
        (self.root / "apt.conf").write_text(
            f'Dir::State "{self.root}"; Dir::State::lists "{self.root}/lists";\n'
            f'Dir::State::status "{self.root}/status"; Dir::Cache "{self.root}/cache";\n'
            f'Dir::Etc::SourceList "{self.root}/sources.list"; Dir::Etc::SourceParts "/dev/null";\n'
            'Dir::Etc::Preferences "/dev/null"; Dir::Etc::PreferencesParts "/dev/null";\n'
            f'APT::Architecture "{architecture}"; APT::Architectures {{"{architecture}";}};\n'
            'Acquire::Languages "none"; APT::Sandbox::User "";\n'
        )
        self._run("apt-get", "update", "-qq")

    def _source(self, name: str) -> str:
        base = mirror()
        if name.endswith("-security"):
            base = base.removesuffix("/debian") + "/debian-security"
        source = f"[signed-by={KEYRING}] {base} {name} main"
        return "\n".join(f"{kind} {source}" for kind in self.kinds)

    def _run(self, *command: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=folder, check=True, text=True, stdout=subprocess.PIPE
        )
        return done.stdout

    def matching(self, pattern: str) -> list[str]:
        """Find the packages whose names match a regular expression, the newest first."""
        lines = self._run("apt-cache", "search", "--names-only", pattern).splitlines()
        names = [line.split()[0] for line in lines]
        if not names:
            raise SystemExit(f"no package matches {pattern}")
        return sorted(names, key=lambda name: [*map(int, re.findall(r"\d+", name))], reverse=True)

    def newest(self, pattern: str) -> str:
        """Find the package whose name matches a regular expression and sorts last as a version."""
        return self.matching(pattern)[0]

    def version(self, package: str) -> str:
        """Tell the version of a package that a download would fetch."""
        shown = self._run("apt-cache", "show", "--no-all-versions", package)
        return next(line.split()[1] for line in shown.splitlines() if line.startswith("Version:"))

    def source(self, package: str, version: str, folder: Path) -> None:
        """Download the files of a source package into a folder, as the archive has them."""
        folder.mkdir(parents=True, exist_ok=True)
        command = ("apt-get", "source", "--download-only", "-qq", f"{package}={version}")
        self._run(*command, folder=folder)

    def unpack(self, package: str, target: Path) -> Path:
        """Download a package and unpack its files below ``target``."""
        folder = self.root / "download" / package
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._run("apt-get", "download", "-qq", package, folder=folder)
        (archive,) = folder.glob("*.deb")
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True)
        shutil.rmtree(folder)
        return target
