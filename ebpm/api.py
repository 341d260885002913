"""The verbs: they introduce the rooms to one another, and own no logic of their own."""

from __future__ import annotations

import builtins
import os

from ebpm.cache import blobs, refs
from ebpm.cache.derived import Derived
from ebpm.config import Config
from ebpm.errors import IntegrityError, NotFound, TargetNotFound
from ebpm.runtime import kernel
from ebpm.runtime.plan import Plan
from ebpm.target import LAYOUT, NAME, REMOTE, Target, parse_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ebpm.build.pack import BuildResult
    from ebpm.cache.archive import Archive
    from ebpm.cache.layout import Layout
    from ebpm.index.entry import IndexEntry
    from ebpm.index.resolve import NamedIndex
    from ebpm.oci.content import Progress
    from ebpm.oci.descriptor import Descriptor
    from ebpm.oci.platform import Platform
    from ebpm.oci.reference import Reference
    from ebpm.oci.store import Source
    from ebpm.package.model import Package
    from ebpm.plainjson import Json
    from ebpm.registry.client import RegistryClient
    from ebpm.runtime.session import Session
    from ebpm.sources import Sources


# --- the public ones -----------------------------------------------------------------------------


def fetch(target: str, *, config: Config | None = None) -> Package:
    """Get a package with its object for this machine: from a file, the store, or a registry.

    Args:
        target: a path, URL, reference or name, as on the command line.
        config: settings; those of the environment if None.

    Raises:
        EbpmError: it is not there, or not a package.
    """
    return Workspace(config).fetch(parse_target(target))


def open(  # noqa: A001  # ebpm.open, as it is called
    package: Package,
    values: Mapping[str, Json] | None = None,
    *,
    config: Config | None = None,
) -> Session:
    """Load a package into the kernel and attach it.

    Args:
        package: from :func:`fetch` or :func:`build`.
        values: of the tool's variables, by name.
        config: settings; those of the environment if None.

    Returns:
        a context manager that yields events; leaving it detaches everything.
    """
    from ebpm.runtime.planner import make_plan
    from ebpm.runtime.session import Session

    settings = config or Config()
    one = package.object_for(host_platform())
    btf = _types(settings, None) or _other_types(settings, package, one.data)
    return Session(make_plan(package, one), one.data, values, libbpf=settings.libbpf, btf=btf)


def build(source: str | Path, *, config: Config | None = None) -> Package:
    """Compile a .bpf.c file, or the one in a folder, to a package."""
    return Workspace(config).build(source).package


def search(words: str, *, config: Config | None = None) -> list[IndexEntry]:
    """Find tools by names, keywords, groups and hooks, best first; typing errors are forgiven.

    Args:
        words: all of them must be found; "" finds everything.
        config: settings; those of the environment if None.
    """
    from ebpm.index.resolve import search as find

    return [one.entry() for one in find(Workspace(config).indexes(), words.split())]


def push(package: Package, reference: str, *, config: Config | None = None) -> Descriptor:
    """Send a package to a registry; give the descriptor of its index there."""
    return Workspace(config).push_package(package, parse_target(reference))


# --- behind them, and behind the command line ----------------------------------------------------


def host_platform() -> Platform:
    """Tell the platform of the running kernel."""
    from ebpm.oci.platform import Platform

    return Platform.of_machine(os.uname().machine)


class Workspace:
    """The store, the registries and the settings of one run of ebpm.

    Args:
        config: settings; those of the environment if None.
        progress: told of copies that take their time.
        log: told of each HTTP request, in a line without secrets.
        warn: told what registries warn of, and of what went wrong and was put right.
    """

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

    # --- places ----------------------------------------------------------------------------------

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

    # --- finding ---------------------------------------------------------------------------------

    def locate(self, target: Target, *, refresh: bool = False) -> tuple[Source, Descriptor]:
        """Find an artifact: in a layout, in our stores, or in a registry, from where it is pulled.

        Args:
            target: LAYOUT, REMOTE or NAME.
            refresh: ask the registry even if the store knows the reference.

        Raises:
            TargetNotFound: nobody knows it.
        """
        from ebpm.oci.reference import Reference

        if target.kind == LAYOUT:
            from ebpm.places import open_layout

            layout, name = open_layout(target)
            return layout, layout.resolve(name)
        target = self.settle(target)
        Reference.parse(target.text)  # says what is wrong with it before anything is searched
        if not refresh or target.kind == NAME:
            for store in self.stores():
                if found := store.lookup(target.full_name):
                    return store, found
        if target.kind == REMOTE:
            return self._pulled(target.text)
        return self._from_indexes(target)

    def settle(self, target: Target) -> Target:
        """Put the newest tag that a range allows in its place: NAME~=1.2 is NAME:1.4."""
        if not target.has_range:
            return target
        from ebpm.oci.versions import allowed, sort_tags, split_range

        source, versions = split_range(target.text)
        name, tags = self.tags(source)
        if found := allowed(tags, versions):
            return parse_target(f"{name}:{found[0]}")
        newest = ", ".join(sort_tags(tags)[-5:]) or "no tags"
        raise TargetNotFound(f"nothing is {target.text}", hint=f"there are {newest}")

    def tags(self, name: str) -> tuple[str, list[str]]:
        """List the tags of HOST/NAME, or of a NAME in the first index or store that has it.

        Offline, of what the stores have. Gives the full name as well.

        Raises:
            TargetNotFound: nobody has it.
        """
        from ebpm.oci.reference import Reference

        wanted = Reference.parse(name)
        bases = [""] if wanted.registry else [f"{one.rstrip('/')}/" for one in self.config.indexes]
        names = [f"{base}{name}" for base in bases]
        if not self.config.offline:
            for one in names:
                try:
                    return one, list(self.client().source(Reference.parse(one)).tags())
                except NotFound:
                    continue
        for one in dict.fromkeys([*names, name]):
            tags = [
                reference.tag
                for store in (*self.stores(), self.catalogue())
                if store.exists
                for reference in _references(store)
                if reference.name == one and reference.tag
            ]
            if tags:
                return one, tags
        raise TargetNotFound(f"nobody has {name}", hint="`ebpm search` lists what the indexes have")

    def find(self, target: Target) -> tuple[Source, Descriptor]:
        """Find an artifact without pulling it; a registry is asked itself, if ebpm is online."""
        from ebpm.oci.reference import Reference

        if target.kind != REMOTE or self.config.offline:
            return self.locate(target)
        reference = Reference.parse(target.text)
        source = self.client().source(reference)
        return source, source.resolve(reference.target)

    def keep_pinned(self, reference: str) -> None:
        """Put what ``NAME@DIGEST`` names into our store under just that name."""
        from ebpm.oci.copy import copy

        target = parse_target(reference)
        if target.kind == REMOTE:
            self.pull(target)
            return
        source, root = self.locate(target)
        copy(source, root, self.store(), reference, progress=self.progress)

    def _locked(self, target: Target) -> Target:
        """Take what the lock of the current folder pins a plain name to."""
        if target.kind != NAME or not {":", "@"}.isdisjoint(target.text) or target.has_range:
            return target
        from ebpm import lockfile

        found = lockfile.pinned(target.text, self.config.trusted_users)
        return parse_target(found) if found else target

    def _is_here(self, target: Target) -> bool:
        roots = [self.config.store, *self.config.lower_stores]
        return any(refs.read_ref(root, target.full_name) for root in roots)

    def indexed(self, target: Target) -> Target | None:
        """Tell the reference, with its digest, that the fetched indexes give a NAME.

        None where a registry or an HTTP base would have to be asked first, or no index has it.
        """
        from ebpm.index.resolve import find

        name, _, tag = target.full_name.partition(":")
        indexes = {one.base: one for one in self.indexes()}
        for base in () if self.config.http_bases else self.config.indexes:
            here = indexes.get(base.rstrip("/"))
            for one in find([here] if here else (), name, tag):
                entry = one.index.find(name)
                return Target(REMOTE, one.reference(entry)) if entry else None
            if here is None or tag != "latest":
                return None
        return None

    def _from_indexes(self, target: Target) -> tuple[Source, Descriptor]:
        """Look a name up below HTTP bases, in each index, and then among what ebpm brings.

        An index that was never fetched is only a place in a registry, which is asked.
        """
        from ebpm.index.resolve import find
        from ebpm.package.artifact import pack

        for base in self.config.http_bases:
            try:
                package = self.sources().from_base(base, target, fresh=self.no_cache)
            except NotFound:
                continue
            return pack(package, default=host_platform(), created=self.config.source_date)
        name, _, tag = target.full_name.partition(":")
        indexes = {one.base: one for one in self.indexes()}
        for base in (one.rstrip("/") for one in self.config.indexes):
            here = indexes.get(base)
            for one in find([here] if here else (), name, tag):
                entry = one.index.find(name)
                assert entry is not None, "it was found there"
                return self.locate(Target(REMOTE, one.reference(entry)))
            if here and tag == "latest":
                continue
            try:
                return self.locate(Target(REMOTE, f"{base}/{target.full_name}"))
            except NotFound:
                continue
        try:
            own = self.catalogue()
            return own, own.resolve(target.full_name)
        except NotFound:
            raise TargetNotFound(
                f"{target.text!r} is no file, and no package here", hint=self._near(target)
            ) from None

    def _near(self, target: Target) -> str:
        from difflib import get_close_matches

        from ebpm.index.resolve import nearest

        name = target.full_name.removesuffix(":latest")
        names = [one.ref_name for store in self.stores() for one in store.entries() if one.ref_name]
        near = get_close_matches(name, names, 3, 0.5)
        if near:
            return f"the store has {', '.join(near)}"
        if near := nearest(self.indexes(), name.partition(":")[0]):
            return f"did you mean {' or '.join(near)}? `ebpm search` finds more"
        if self.config.indexes or self.config.http_bases:
            return "neither the store nor the configured indexes know it"
        return "build it with `ebpm build`, or pull it with `ebpm pull HOST/NAME:TAG`"

    def _pulled(self, text: str) -> tuple[Source, Descriptor]:
        return self.store(), self.pull(Target(REMOTE, text))[1]

    def fetch(self, target: Target, *, refresh: bool = False) -> Package:
        """Get a package with its object for this machine."""
        target = self._locked(target)
        if target.kind in (LAYOUT, REMOTE, NAME):
            from ebpm.package.artifact import unpack

            source, root = self.locate(target, refresh=refresh)
            return unpack(source, root, [host_platform()])
        return self.read(target)

    def read(self, target: Target) -> Package:
        """Read a package from a file, a source, standard input or a URL."""
        return self.sources().read(target, form=self.form, fresh=self.no_cache)

    def sources(self) -> Sources:
        """Get at what is no artifact."""
        from ebpm.sources import Sources

        def compile_source(path: Path) -> Package:
            return self.build(path, architectures=[host_platform().architecture]).package

        return Sources(self.client, self.config.cache, compile_source, self.warn)

    # --- running ---------------------------------------------------------------------------------

    def prepare(
        self, target: Target, *, refresh: bool = False, btf: str | None = None
    ) -> tuple[Plan, bytes, str | None]:
        """Get what to run; from the store, nothing is parsed a second time.

        What is damaged in the store is fetched again, where it came out of a registry.

        Args:
            target: what was asked for.
            refresh: ask the registry even if the store knows the reference.
            btf: a file with the kernel's types, instead of those that the kernel has.

        Returns:
            the plan, the object, and the path of types to relocate against if not the kernel's.
        """
        btf = _types(self.config, btf)
        target = self.settle(self._locked(target))
        try:
            return self._prepare(target, refresh, btf)
        except IntegrityError as error:
            if target.kind != REMOTE or self.config.offline:
                raise
            if not self.refetch(target.full_name):
                raise
            if self.warn:
                self.warn(f"{error.message}; it was fetched again")
            return self._prepare(target, refresh, btf)

    def _prepare(
        self, target: Target, refresh: bool, btf: str | None
    ) -> tuple[Plan, bytes, str | None]:
        whole = btf is not None or os.access(self.config.kernel_btf, os.R_OK)
        if target.kind == NAME and self.config.indexes and not self._is_here(target):
            target = self.indexed(target) or target
        kept = target.kind in (NAME, REMOTE) and not refresh and whole
        if kept and (ready := self._kept(target)):
            return *ready, btf
        from ebpm.runtime.planner import make_plan

        digest = None
        if target.kind in (LAYOUT, REMOTE, NAME):
            from ebpm.package.artifact import unpack

            source, root = self.locate(target, refresh=refresh)
            package, digest = unpack(source, root, [host_platform()]), str(root.digest)
        else:
            package = self.read(target)
        one = package.object_for(host_platform())
        plan = make_plan(package, one)
        if digest:
            derived = Derived(self.config.cache)
            derived.write("plans", _plan_key(digest), plan.dump().encode())
        return plan, one.data, btf or _other_types(self.config, package, one.data)

    def types_for(self, plan: Plan, data: bytes) -> bytes | None:
        """Get the part of this kernel's BTF that an object needs; made once, then kept.

        None where that would be of no use, or could not be kept: libbpf takes the whole then.
        """
        build = kernel.build_id() if plan.trims else None
        if build is None:
            return None
        from ebpm import __version__

        derived = Derived(self.config.cache)
        release = os.uname().release.replace("/", "-")
        key = f"{plan.object_digest.replace(':', '-')}.{build}.{release}.{__version__}"
        kept = derived.read("types", key)
        if kept is None and derived.write("types", key, b""):  # it can be kept
            kept = kernel.trimmed_types(data)
            if kept:
                derived.write("types", key, kept)
        return kept or None

    def _kept(self, target: Target) -> tuple[Plan, bytes] | None:
        """Take a plan that was made before, and its object out of the store, checked."""
        roots = [self.config.store, *self.config.lower_stores]
        if not self.config.indexes and not self.config.http_bases:  # else they are asked first
            roots.append(self.config.catalogue)
        for root in roots:
            descriptor = refs.read_ref(root, target.full_name)
            if descriptor is None:
                continue
            text = Derived(self.config.cache).read("plans", _plan_key(descriptor["digest"]))
            plan = Plan.load(text) if text else None
            if plan is None:
                return None
            try:
                data = blobs.read_blob(root, plan.object_digest, plan.object_size)
            except NotFound:
                return None
            if root == self.config.store:
                refs.touch(root, target.full_name)
            return plan, data
        return None

    # --- moving ----------------------------------------------------------------------------------

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

        found, beside = pack.find_source(Path(source))
        return pack.build(
            found,
            list(headers) or beside,
            compiler=find_compiler(clang or self.config.clang),
            architectures=architectures or pack.DEFAULT_ARCHITECTURES,
            cflags=cflags,
            vmlinux=_vmlinux(vmlinux) if vmlinux else None,
            version=version,
        )

    def keep(self, package: Package, name: str) -> Descriptor:
        """Put a package into our store under a name."""
        return self.push_package(package, Target(NAME, name))

    def push_package(
        self, package: Package, target: Target, *, platform: Platform | None = None
    ) -> Descriptor:
        """Make a package's artifact and send it to a registry, a layout, or our store."""
        from ebpm.package.artifact import pack

        memory, root = pack(
            package, default=platform or host_platform(), created=self.config.source_date
        )
        return self.send(memory, root, target, f"{package.name}:latest")

    def push(
        self, source: Target | None, target: Target, *, platform: Platform | None = None
    ) -> Descriptor:
        """Send a package; SOURCE is what the store has under the target's name if it is None."""
        origin = source or Target(NAME, target.full_name)
        if origin.kind in (LAYOUT, REMOTE, NAME):
            place, root = self.locate(origin)
            return self.send(place, root, target, origin.full_name)
        return self.push_package(self.read(origin), target, platform=platform)

    def send(
        self, source: Source, root: Descriptor, target: Target, default_name: str = "latest"
    ) -> Descriptor:
        """Send an artifact of any kind to a registry, a layout, or our store."""
        from ebpm.oci.copy import copy
        from ebpm.places import destination

        with destination(target, root, default_name, self.store, self.client) as (place, name):
            return copy(source, root, place, name, progress=self.progress)

    def pull(self, target: Target, name: str | None = None) -> tuple[str, Descriptor]:
        """Copy an artifact into our store; tell the name that it has there.

        Args:
            target: REMOTE, or a LAYOUT folder.
            name: in our store, instead of the one that it has where it comes from.
        """
        from ebpm.oci.copy import copy
        from ebpm.oci.reference import Reference

        target = self.settle(target)
        if target.kind == LAYOUT:
            from ebpm.places import open_layout

            layout, tag = open_layout(target)
            entry = layout.find(tag)
            source: Source = layout
            skip = layout.left_out
            root, known = entry.named(None), _store_name(layout, entry)
        else:
            reference = Reference.parse(target.text)
            source, skip = self.client().source(reference), ()
            root, known = source.resolve(reference.target), str(reference)
        name = str(Reference.parse(name)) if name else known
        near = self._near_source(source)
        copy(near, root, self.store(), name, skip=skip, progress=self.progress)
        return name, root

    def _near_source(self, source: Source) -> Source:
        """Take content out of the stores that are only read before a source is asked for it."""
        from ebpm.oci.overlay import Overlay

        lower = [store for store in self.stores() if store.readonly]
        return Overlay(source, lower) if lower else source

    def refetch(self, name: str) -> bool:
        """Replace what is damaged or missing of a reference by what its registry has.

        Damaged blobs are kept in the store's quarantine. False where nobody can be asked: a local
        name that no store below ours has, or ebpm is offline.
        """
        from ebpm.cache.verify import quarantine_damaged
        from ebpm.oci.copy import copy
        from ebpm.oci.reference import Reference

        store = self.store()
        root = store.lookup(name)
        if root is None:
            return False
        lower = [one for one in self.stores() if one.readonly]
        source: Source | None = next((one for one in lower if one.has(root)), None)
        if parse_target(name).kind == REMOTE and not self.config.offline:
            source = self._near_source(self.client().source(Reference.parse(name)))
        if source is None:
            return False
        quarantine_damaged(store, root)
        copy(source, root, store, None, progress=self.progress)
        return True

    def tag(self, source: Target, name: str) -> str:
        """Give what the store has a second name."""
        from ebpm.oci.copy import copy
        from ebpm.oci.reference import Reference

        place, root = self.locate(source)
        reference = str(Reference.parse(name))
        copy(place, root, self.store(), reference)
        return reference


def _types(config: Config, path: str | None) -> str | None:
    """Find the types of the kernel that the user gives: by an option, or BTF_FILE_PATH."""
    path = path or config.btf
    if path is None:
        return None
    from ebpm.runtime import kernelbtf

    return kernelbtf.given_types(path, kernelbtf.running_kernel())


def _other_types(config: Config, package: Package, data: bytes) -> str | None:
    """Find types for a kernel that has none; None for one that has them."""
    if os.access(config.kernel_btf, os.R_OK):
        return None
    from ebpm.runtime import kernelbtf

    names = kernelbtf.running_kernel()
    return kernelbtf.other_types(package.btfs, data, config.kernel_btf, names)


def _references(store: Layout) -> Iterator[Reference]:
    from ebpm.errors import InvalidReference
    from ebpm.oci.reference import Reference

    for one in store.entries():
        try:
            yield Reference.parse(one.ref_name or "")
        except InvalidReference:
            continue


def _store_name(layout: Layout | Archive, entry: Descriptor) -> str:
    """Name what comes out of a layout folder: as there, or its title with the tag from there."""
    from ebpm.oci.reference import Reference
    from ebpm.oci.store import fetch_manifest

    tag = entry.ref_name or "latest"
    if ":" in tag:
        return str(Reference.parse(tag))
    title = fetch_manifest(layout, entry).annotations.get("org.opencontainers.image.title")
    return str(Reference.parse(f"{title or 'package'}:{tag}"))


def _plan_key(digest: str) -> str:
    """Name the file that keeps a plan; the machine and our version decide what is in it."""
    from ebpm import __version__

    return f"{digest.replace(':', '-')}.{os.uname().machine}.{__version__}.json"


def _vmlinux(source: str) -> bytes:
    """Read what ``--vmlinux`` names: a header, a file of BTF, or the running kernel's (host)."""
    from ebpm.runtime.libbpf.dump import header_of

    path = "/sys/kernel/btf/vmlinux" if source == "host" else source
    try:
        with builtins.open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise TargetNotFound(f"--vmlinux {source}: {error.strerror}") from None
    return header_of(path) if data.startswith((b"\x9f\xeb", b"\xeb\x9f")) else data
