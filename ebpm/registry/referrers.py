"""What refers to a manifest (distribution-spec v1.1, "Listing Referrers", and its fallback).

For registries without that endpoint, clients write an index under the tag ``sha256-<hex>``. None of
the registries that were tried heeds If-Match, so two clients may overwrite each other: who writes
looks again, once any other who began before must be done, and writes again what was lost.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ebpm.errors import InvalidManifest, ManifestNotFound, NotFound, RegistryRefused
from ebpm.oci.crew import Crew
from ebpm.oci.descriptor import INDEX, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import LARGEST, Index, parse_manifest, write_index
from ebpm.oci.store import described_referrer, fetch
from ebpm.registry.pages import pages

if TYPE_CHECKING:
    from ebpm.registry.channel import Channel
    from ebpm.registry.repository import Repository

_ABSENT = frozenset((400, 401, 403, 404, 405, 406, 501))  # nobody knows the endpoint
_ROUNDS = 30
_CONFIRMATIONS = 2  # looks in a row at which our entry must be there
_LEAST_WAIT, _LONGEST_WAIT = 0.05, 3.0  # seconds


class Referrers:
    """The referrers of the manifests of one repository."""

    def __init__(self, repository: Repository, channel: Channel) -> None:
        self._repository = repository
        self._channel = channel

    def find(self, subject: Digest) -> list[Descriptor]:
        """List what refers to a manifest, of which nothing but the digest matters."""
        listed = self.listed(subject)
        if listed is not None:
            return listed
        written, _ = self._written(subject)
        checked = Crew(self._check).run([(subject, one) for one in written])
        return [one for one in checked if one]

    def listed(self, subject: Digest) -> list[Descriptor] | None:
        """Ask the registry; None where it does not keep such lists."""
        # GHCR redirects to a place on another host that has never been the list.
        first = self._channel.call(
            "GET", f"referrers/{subject}", headers={"Accept": INDEX}, follow=False
        )
        if (
            first.status in _ABSENT
            or 300 <= first.status < 400
            or (first.status == 200 and first.media_type != INDEX)
        ):
            first.close()
            return None
        self._channel.expect_manifest(first, (200,))
        found: dict[str, Descriptor] = {}
        for _, data in pages(self._channel, first):
            index = parse_manifest(data, INDEX)
            assert isinstance(index, Index)
            found |= {str(one.digest): one for one in index.manifests}
        return list(found.values())

    def _check(self, entry: tuple[Digest, Descriptor]) -> Descriptor | None:
        """Describe a referrer by its own manifest: some tools write another type into the list."""
        subject, one = entry
        plain = Descriptor(media_type=one.media_type, digest=one.digest, size=one.size)
        try:
            raw = fetch(self._repository, plain, LARGEST)
            about, described = described_referrer(plain, raw)
        except (NotFound, InvalidManifest):
            return None
        return described if about.digest == subject else None

    def announce(self, subject: Digest, entry: Descriptor) -> None:
        """Put a referrer into the list that clients write, and see that it stays there.

        Raises:
            RegistryRefused: others overwrite it again and again.
        """
        seen: dict[str, Descriptor] = {}
        confirmed, took = 0, 0.0
        for number in range(_ROUNDS):
            started = time.monotonic()
            found, annotations = self._written(subject)
            there = {str(one.digest) for one in found}
            seen |= {str(one.digest): one for one in found}
            seen.setdefault(str(entry.digest), entry)
            if there >= set(seen):
                confirmed += 1
            else:
                confirmed = 0
                self._write(subject, seen.values(), annotations)
                # Whoever read before that and writes after it needs no longer than we did.
                took = max(took, time.monotonic() - started)
            if confirmed >= _CONFIRMATIONS or (confirmed and not number):
                return
            # One in doubt looks soon; of many who lost, not all are to write at once.
            spread = took * (1 + min(number, 8))
            wait = max(_LEAST_WAIT, 2 * took + random.random() * spread)  # noqa: S311
            time.sleep(min(wait, _LONGEST_WAIT))
        raise RegistryRefused(
            f"{self._repository}: others overwrite the list of what refers to {subject}",
            hint="attach it again when they have finished",
        )

    def _written(self, subject: Digest) -> tuple[list[Descriptor], dict[str, str]]:
        """Read the index that clients write: its entries, and its annotations.

        Raises:
            InvalidManifest: something else has that tag.
        """
        tag = fallback_tag(subject)
        try:
            descriptor, raw = self._repository.read_manifest(tag)
        except ManifestNotFound:
            return [], {}
        index = parse_manifest(raw, descriptor.media_type)
        if not isinstance(index, Index):
            raise InvalidManifest(f"{self._repository}:{tag} is no index, as that tag must be")
        return list(index.manifests), dict(index.annotations)

    def _write(
        self, subject: Digest, entries: Iterable[Descriptor], annotations: dict[str, str]
    ) -> None:
        raw = write_index(entries, annotations=annotations)
        self._repository.put_manifest(Descriptor.of(raw, INDEX), fallback_tag(subject), raw)


def fallback_tag(subject: Digest) -> str:
    """Name the tag under which clients list what refers to a manifest."""
    return f"{subject.algorithm}-{subject.hex[:64]}"
