"""Packages that are no artifacts: files, standard input, URLs, and HTTP bases that serve them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpm.cache.derived import Derived
from ebpm.errors import (
    NotFound,
    Offline,
    RegistryUnreachable,
    TargetNotFound,
    UsageError,
)
from ebpm.package.files import parse_package, read_package
from ebpm.package.model import Package
from ebpm.target import STDIN, URL, Target

if TYPE_CHECKING:
    from ebpm.registry.client import Downloaded, RegistryClient

LIMIT = 256 << 20  # bytes of a download, or of standard input
SOURCE_SUFFIX = ".bpf.c"
C = "c"
TYPES = ("json", "yaml", "tar", "wasm", "o", C)
"""What ``--type`` may say; all of them are also told by the bytes."""

_KIND = "downloads"  # of derived files
_C_SOURCE = re.compile(rb'^\s*(#\s*include\s*[<"]|SEC\("|/\*|//)', re.MULTILINE)


class Sources:
    """Where packages come from that no store and no registry has.

    Args:
        client: makes requests.
        cache: where downloads are kept, and asked about again by their ETag.
        compile_source: makes a package of a .bpf.c file.
        warn: told when an old copy has to do, and of keys that seem misspelt.
    """

    def __init__(
        self,
        client: Callable[[], RegistryClient],
        cache: str,
        compile_source: Callable[[Path], Package],
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._client = client
        self._cache = Derived(cache)
        self._compile = compile_source
        self._warn = warn

    def read(self, target: Target, *, form: str | None = None, fresh: bool = False) -> Package:
        """Read a package.

        Args:
            target: PATH, STDIN or URL.
            form: one of TYPES, where the bytes are not to be asked.
            fresh: download it even if it is kept, and has not changed.

        Raises:
            TargetNotFound: it is not there.
            InvalidPackage: it is malformed, or not of that form.
        """
        if target.kind == STDIN:
            return self._parse(_standard_input(), "standard input", form)
        if target.kind == URL:
            data = self.download(target.text, fresh=fresh)
            name = target.text.partition("?")[0].rpartition("/")[2]
            return self._parse(data, target.text, form, Path(name) if name else None)
        path = Path(target.text)
        if form is None and (path.is_dir() or path.name.endswith(SOURCE_SUFFIX)):
            return self._compile(path)
        if form == C:
            return self._compile(path)
        return read_package(path, form, self._warn)

    def from_base(self, base: str, target: Target, *, fresh: bool = False) -> Package:
        """Get a NAME from an HTTP base, which serves ``NAME/package.json`` and has no tags.

        Raises:
            TargetNotFound: it has no such package, or another version of it than the tag says.
            WasmModule: it has a Wasm module of that name.
        """
        if "@" in target.full_name:
            raise TargetNotFound(f"{base} knows nothing by its digest")
        name, _, tag = target.full_name.partition(":")
        place = f"{base.rstrip('/')}/{name}"
        try:
            data = self.download(f"{place}/package.json", fresh=fresh)
        except NotFound:
            self._refuse_module(f"{place}/app.wasm", fresh=fresh)
            raise
        package = self._parse(data, f"{place}/package.json", None)
        if tag not in ("latest", package.version):
            has = f"version {package.version}" if package.version else "one without a version"
            raise TargetNotFound(f"{base} has no {name}:{tag}, only {has}")
        return package

    def _refuse_module(self, url: str, *, fresh: bool) -> None:
        try:
            self._parse(self.download(url, fresh=fresh), url, None)
        except NotFound:
            pass

    def _parse(
        self, data: bytes, place: str, form: str | None, path: Path | None = None
    ) -> Package:
        if form == C or (form is None and _is_source(data)):
            with tempfile.TemporaryDirectory(prefix="ebpm-source-") as folder:
                name = path.name if path and path.name.endswith(SOURCE_SUFFIX) else "stdin.bpf.c"
                source = Path(folder) / name
                source.write_bytes(data)
                return self._compile(source)
        return parse_package(data, place, path, form, self._warn)

    # --- downloads -------------------------------------------------------------------------------

    def download(self, url: str, *, fresh: bool = False) -> bytes:
        """Get a file by its address; what is kept is used if the server says that it is the same.

        Raises:
            TargetNotFound: it is not there.
            RegistryError, RegistryUnreachable: the server answers otherwise, or not at all.
        """
        known = None if fresh else self._kept(url)
        try:
            found = self._client().download(url, LIMIT, known)
        except Offline:
            if known is None:
                raise
            return known.data
        except RegistryUnreachable as error:
            if known is None:
                raise
            if self._warn:
                self._warn(f"{error.message}: the copy of an earlier download is used")
            return known.data
        if found is not known:
            self._keep(url, found)
        return found.data

    def _kept(self, url: str) -> Downloaded | None:
        text = self._cache.read(_KIND, f"{_digest(url.encode())}.json")
        try:
            about: Any = json.loads(text) if text else None
            data = self._cache.read(_KIND, about["digest"]) if about else None
        except (ValueError, KeyError, TypeError):
            return None
        if data is None or _digest(data) != about["digest"]:
            return None
        from ebpm.registry.client import Downloaded

        return Downloaded(data=data, etag=about.get("etag"), modified=about.get("modified"))

    def _keep(self, url: str, found: Downloaded) -> None:
        if not (found.etag or found.modified):
            return  # the server could not say whether it is still the same
        digest = _digest(found.data)
        about = {"digest": digest, "etag": found.etag, "modified": found.modified}
        if self._cache.write(_KIND, digest, found.data):
            self._cache.write(_KIND, f"{_digest(url.encode())}.json", json.dumps(about).encode())


def _standard_input() -> bytes:
    if os.isatty(0):
        raise UsageError(
            "standard input is a terminal", hint="send a package through a pipe: … | ebpm run -"
        )
    return sys.stdin.buffer.read(LIMIT)


def _is_source(data: bytes) -> bool:
    """Whether bytes are the C source of a BPF program."""
    head = data[: 64 << 10]
    return b"\0" not in head and bool(_C_SOURCE.search(head)) and b"SEC(" in data


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
