"""What one run of ebpm has at hand: settings, stores, indexes, registries, the compiler."""

from __future__ import annotations

import os

from ebpm.config import Config
from ebpm.errors import NotFound, TargetNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ebpm.build.pack import BuildResult
    from ebpm.cache.layout import Layout
    from ebpm.index.resolve import NamedIndex
    from ebpm.oci.content import Progress
    from ebpm.oci.platform import Platform
    from ebpm.package.model import Package
    from ebpm.registry.client import RegistryClient
    from ebpm.sources import Sources
    from ebpm.target import Target


def host_platform() -> Platform:
    """Tell the platform of the running kernel."""
    from ebpm.oci.platform import Platform

    return Platform.of_machine(os.uname().machine)


class Access:
    """Opens what the settings name; see :class:`ebpm.api.Workspace`."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        progress: Progress | None = None,
        log: Callable[[str], None] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config or Config()
        self.progress = progress
        self._log = log
        self.warn = warn
        self._client: RegistryClient | None = None
        self.form: str | None = None  # of what is no artifact: one of ebpm.sources.TYPES
        self.no_cache = False  # whether to download again what is kept

    def store(self) -> Layout:
        """Open our store, making it if it is not there."""
        from ebpm.cache.layout import Layout

        return Layout.create(self.config.store, journal=True)

    def stores(self) -> list[Layout]:
        """List the stores to search: ours, then those that are only read."""
        from ebpm.cache.layout import Layout

        own = Layout(self.config.store, journal=True)
        lower = [Layout(root, journal=True, readonly=True) for root in self.config.lower_stores]
        return [store for store in (own, *lower) if store.exists]

    def catalogue(self) -> Layout:
        """Open the layout of the tools that ebpm brings; it may not be there (a plain checkout)."""
        from ebpm.cache.layout import Layout

        return Layout(self.config.catalogue, journal=True, readonly=True)

    def indexes(self) -> list[NamedIndex]:
        """List the indexes that are here, in the order in which names are looked up."""
        from ebpm.index.document import ToolIndex
        from ebpm.index.resolve import INDEX_NAME, NamedIndex, index_reference

        found = []
        for base in self.config.indexes:
            for store in self.stores():
                try:
                    root = store.resolve(index_reference(base))
                except NotFound:
                    continue
                found.append(NamedIndex(base.rstrip("/"), ToolIndex(store, root)))
                break
        own = self.catalogue()
        if own.exists:
            found.append(NamedIndex("", ToolIndex(own, own.resolve(INDEX_NAME))))
        return found

    def client(self) -> RegistryClient:
        """Get at the registries."""
        if self._client is None:
            from pathlib import Path

            from ebpm import __version__
            from ebpm.registry.client import RegistryClient
            from ebpm.registry.credentials import Credential, CredentialStore, Logins
            from ebpm.registry.http import HttpSettings
            from ebpm.registry.mirrors import read_mirrors

            mirrors = read_mirrors(self.config.mirrors, self.config.registries_files)
            settings = HttpSettings(
                plain_http=[*self.config.plain_http, *mirrors.insecure],
                ca_file=self.config.ca_file,
                certificate_folders=self.config.certificate_folders,
                offline=self.config.offline,
                user_agent=f"ebpm/{__version__}",
                log=self._log,
                warn=self.warn,
            )
            files = [Path(name) for name in self.config.credential_files]
            given, ambient = (
                {one[0]: Credential(one[1], one[2])} if one else {}
                for one in (self.config.given_login, self.config.actions_login)
            )
            kept = CredentialStore(files, Path(self.config.login_file))
            self._client = RegistryClient(settings, Logins(given, kept, ambient), mirrors)
        return self._client

    def sources(self) -> Sources:
        """Get at what is no artifact."""
        from ebpm.sources import Sources

        def compile_source(path: Path) -> Package:
            return self.build(path, architectures=[host_platform().architecture]).package

        return Sources(self.client, self.config.cache, compile_source, self.warn)

    def read(self, target: Target) -> Package:
        """Read a package from a file, a source, standard input or a URL."""
        return self.sources().read(target, form=self.form, fresh=self.no_cache)

    def build(
        self,
        source: str | Path,
        headers: Sequence[Path] = (),
        *,
        architectures: Sequence[str] = (),
        cflags: Sequence[str] = (),
        vmlinux: str | None = None,
        clang: str | None = None,
        version: str | None = None,
    ) -> BuildResult:
        """Build a package; see :func:`ebpm.build.pack.build`."""
        from pathlib import Path

        from ebpm.build import pack
        from ebpm.build.toolchain import find_compiler
        from ebpm.cache.derived import Derived

        found, beside = pack.find_source(Path(source))
        folder = Derived(self.config.cache).folder("headers")
        kept = Path(folder) if folder else None
        return pack.build(
            found,
            list(headers) or beside,
            compiler=find_compiler(clang or self.config.clang, kept),
            architectures=architectures or pack.DEFAULT_ARCHITECTURES,
            cflags=cflags,
            vmlinux=_vmlinux(vmlinux) if vmlinux else None,
            version=version,
            kept=kept,
        )


def _vmlinux(source: str) -> bytes:
    """Read what ``--vmlinux`` names: a header, a file of BTF, or the running kernel's (host)."""
    from pathlib import Path

    from ebpm.runtime.libbpf.dump import header_of

    path = "/sys/kernel/btf/vmlinux" if source == "host" else source
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise TargetNotFound(f"--vmlinux {source}: {error.strerror}") from None
    return header_of(path) if data.startswith((b"\x9f\xeb", b"\xeb\x9f")) else data
