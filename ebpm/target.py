"""What a TARGET or SOURCE on the command line is. On the path of ``ebpm run``.

In this order: an existing path; ``-``; an http(s) URL; ``oci:DIR[:TAG]``, a layout folder, or
``oci:FILE.tar[:TAG]``, one in a tar; a reference whose first part is a host; else a local name,
whose tag is ``latest`` if it has none. A range of versions may stand for a tag: ``NAME~=1.2``.
"""

from __future__ import annotations

import os

PATH, STDIN, URL, LAYOUT, REMOTE, NAME = "path", "stdin", "url", "layout", "remote", "name"


class Target:
    """A target and its kind, one of this module's constants."""

    __slots__ = ("kind", "text")

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text

    @property
    def layout(self) -> tuple[str, str]:
        """The folder and the name in it, of a LAYOUT; the name may be empty."""
        text = self.text.removeprefix("oci-archive:").removeprefix("oci:")
        folder, _, name = text.partition(":")
        return folder, name

    @property
    def is_archive(self) -> bool:
        """Whether a LAYOUT lies in a tar: skopeo's ``oci-archive:``, or a name that ends so."""
        folder, _ = self.layout
        named = folder.endswith(".tar") and not os.path.isdir(folder)
        return named or self.text.startswith("oci-archive:")

    @property
    def host(self) -> str | None:
        """The host[:port] of a REMOTE or URL; None for what is here."""
        if self.kind == REMOTE:
            return self.text.partition("/")[0].lower()
        if self.kind == URL:
            place = self.text.partition("://")[2].partition("/")[0]
            return place.rpartition("@")[2].lower()
        return None

    @property
    def has_range(self) -> bool:
        """Whether a range of versions stands for the tag: ``NAME~=1.2``."""
        return self.kind in (REMOTE, NAME) and not {"=", "<", ">"}.isdisjoint(self.text)

    @property
    def full_name(self) -> str:
        """A REMOTE or NAME with the tag that it implies: what our store knows it by."""
        text = self.text
        if self.has_range:
            return text
        if self.kind == REMOTE:  # a host is the same in upper case (see ebpm.oci.reference)
            host, slash, rest = text.partition("/")
            text = f"{host.lower()}{slash}{rest}"
        last = text.rpartition("/")[2]
        return text if ":" in last or "@" in last else f"{text}:latest"


def parse_target(text: str) -> Target:
    """Tell what a target is; whether it exists, or is well formed, is for others to see."""
    if os.path.exists(text):
        return Target(PATH, text)
    if text == "-":
        return Target(STDIN, text)
    if text.startswith(("http://", "https://")):
        return Target(URL, text)
    if text.startswith(("oci:", "oci-archive:")):
        return Target(LAYOUT, text)
    first, slash, _ = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        # A path that is not there looks like a host with a dot.
        return Target(PATH if first in (".", "..") else REMOTE, text)
    return Target(PATH if text.startswith("/") else NAME, text)
