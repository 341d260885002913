"""What of a layout is in use: all that its names reach, and what refers to that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ebpm.errors import BlobNotFound, IntegrityError, InvalidManifest
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.store import Source, fetch_manifest


@dataclass(slots=True)
class Marks:
    """The digests in use with their sizes, and the entries whose subject is no longer there."""

    live: dict[str, int] = field(default_factory=dict)
    dead: list[Descriptor] = field(default_factory=list)


def mark(source: Source, entries: Iterable[Descriptor]) -> Marks:
    """Find what entries of a layout need.

    An entry without a name whose manifest has a subject lives as long as that does.

    Raises:
        IntegrityError, InvalidManifest: a manifest is damaged, so nobody knows what it needs.
    """
    marks = Marks()
    waiting: list[tuple[Descriptor, str]] = []
    for one in entries:
        subject = None if one.ref_name else _subject(source, one)
        if subject is None:
            reach(source, one, marks.live, strict=True)
        else:
            waiting.append((one, subject))
    grown = True
    while grown:
        ready = [one for one, subject in waiting if subject in marks.live]
        waiting = [(one, subject) for one, subject in waiting if subject not in marks.live]
        for one in ready:
            reach(source, one, marks.live, strict=True)
        grown = bool(ready)
    marks.dead = [one for one, _ in waiting]
    return marks


def _subject(source: Source, entry: Descriptor) -> str | None:
    if not entry.is_manifest:
        return None
    try:
        subject = fetch_manifest(source, entry).subject
    except (BlobNotFound, IntegrityError, InvalidManifest):
        return None
    return str(subject.digest) if subject else None


def reach(
    source: Source, root: Descriptor, found: dict[str, int], *, strict: bool
) -> dict[str, int]:
    """Add to ``found`` the digests of a manifest and of all that it refers to and that is here.

    Raises:
        IntegrityError, InvalidManifest: a manifest is damaged; unless ``strict``, it is taken to
            need nothing.
    """
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if str(one.digest) in found:
            continue
        found[str(one.digest)] = one.size
        if not one.is_manifest:
            continue
        try:
            waiting += fetch_manifest(source, one).children
        except BlobNotFound:
            continue
        except (IntegrityError, InvalidManifest):
            if strict:
                raise
    return found
