"""Artifacts: where they are found, and how they come into the store and out of it."""

from __future__ import annotations

from ebpm.api.access import host_platform
from ebpm.api.names import Names
from ebpm.errors import NotFound, TargetNotFound
from ebpm.target import LAYOUT, NAME, REMOTE, Target, parse_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.cache.archive import Archive
    from ebpm.cache.layout import Layout
    from ebpm.oci.descriptor import Descriptor
    from ebpm.oci.platform import Platform
    from ebpm.oci.store import Source
    from ebpm.package.model import Package


class Transfers(Names):
    """Finds artifacts and moves them; each move is one ``oci.copy``."""

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

    def find(self, target: Target) -> tuple[Source, Descriptor]:
        """Find an artifact without pulling it; a registry is asked itself, if ebpm is online."""
        from ebpm.oci.reference import Reference

        if target.kind != REMOTE or self.config.offline:
            return self.locate(target)
        reference = Reference.parse(target.text)
        source = self.client().source(reference)
        return source, source.resolve(reference.target)

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

    # --- into the store ----------------------------------------------------------------------

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

    def _pulled(self, text: str) -> tuple[Source, Descriptor]:
        return self.store(), self.pull(Target(REMOTE, text))[1]

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

    def keep_pinned(self, reference: str) -> None:
        """Put what ``NAME@DIGEST`` names into our store under just that name."""
        from ebpm.oci.copy import copy

        target = parse_target(reference)
        if target.kind == REMOTE:
            self.pull(target)
            return
        source, root = self.locate(target)
        copy(source, root, self.store(), reference, progress=self.progress)

    def keep(self, package: Package, name: str) -> Descriptor:
        """Put a package into our store under a name."""
        return self.push_package(package, Target(NAME, name))

    # --- to other places ---------------------------------------------------------------------

    def push(
        self, source: Target | None, target: Target, *, platform: Platform | None = None
    ) -> Descriptor:
        """Send a package; SOURCE is what the store has under the target's name if it is None."""
        origin = source or Target(NAME, target.full_name)
        if origin.kind in (LAYOUT, REMOTE, NAME):
            place, root = self.locate(origin)
            return self.send(place, root, target, origin.full_name)
        return self.push_package(self.read(origin), target, platform=platform)

    def push_package(
        self, package: Package, target: Target, *, platform: Platform | None = None
    ) -> Descriptor:
        """Make a package's artifact and send it to a registry, a layout, or our store."""
        from ebpm.package.artifact import pack

        memory, root = pack(
            package, default=platform or host_platform(), created=self.config.source_date
        )
        return self.send(memory, root, target, f"{package.name}:latest")

    def send(
        self, source: Source, root: Descriptor, target: Target, default_name: str = "latest"
    ) -> Descriptor:
        """Send an artifact of any kind to a registry, a layout, or our store."""
        from ebpm.oci.copy import copy
        from ebpm.places import destination

        with destination(target, root, default_name, self.store, self.client) as (place, name):
            return copy(source, root, place, name, progress=self.progress)


def _store_name(layout: Layout | Archive, entry: Descriptor) -> str:
    """Name what comes out of a layout folder: as there, or its title with the tag from there."""
    from ebpm.oci.reference import Reference
    from ebpm.oci.store import fetch_manifest

    tag = entry.ref_name or "latest"
    if ":" in tag:
        return str(Reference.parse(tag))
    title = fetch_manifest(layout, entry).annotations.get("org.opencontainers.image.title")
    return str(Reference.parse(f"{title or 'package'}:{tag}"))
