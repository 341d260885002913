"""What a target means: ranges, tags and indexes stand between a name and an artifact."""

from __future__ import annotations

from ebpm.api.access import Access
from ebpm.cache import refs
from ebpm.errors import NotFound, TargetNotFound
from ebpm.target import REMOTE, Target, parse_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpm.cache.layout import Layout
    from ebpm.oci.reference import Reference


class Names(Access):
    """Puts one target in the place of another; moves nothing."""

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


def _references(store: Layout) -> Iterator[Reference]:
    from ebpm.errors import InvalidReference
    from ebpm.oci.reference import Reference

    for one in store.entries():
        try:
            yield Reference.parse(one.ref_name or "")
        except InvalidReference:
            continue
