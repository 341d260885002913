"""The one loop that moves artifacts. Pull, push and mirror are this function between two stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import Protocol

from ebpm.errors import InvalidManifest
from ebpm.oci.descriptor import Descriptor
from ebpm.oci.manifest import LARGEST, parse_manifest
from ebpm.oci.store import Source, Target, fetch, verified

_WORKERS = 4
_DEPTH_LIMIT = 8  # of indexes in indexes
_COUNT_LIMIT = 10_000  # manifests and blobs of one artifact


class Progress(Protocol):
    """Told how far a copy is, from several threads."""

    def start(self, total: int) -> None:
        """Bytes that will be copied."""

    def advance(self, count: int) -> None:
        """Bytes that were copied."""


def copy(
    source: Source,
    descriptor: Descriptor,
    target: Target,
    name: str | None,
    *,
    progress: Progress | None = None,
) -> Descriptor:
    """Copy an artifact with all that it refers to.

    Children go before their parents and the name comes last, so that an interrupted copy leaves
    nothing that looks whole. What the target has already is not sent again.

    Args:
        source: where it is.
        descriptor: what ``source.resolve`` gave: the name is resolved once, by the caller.
        target: where it goes.
        name: its tag there; None leaves it without one.
        progress: told of bytes.

    Raises:
        EbpmError: whatever reading, checking or writing raises.
    """
    with target.session():
        manifests, blobs = _walk(source, descriptor)
        missing = [blob for blob in blobs if not target.has(blob)]
        if progress:
            progress.start(sum(blob.size for blob in missing))
        _copy_blobs(source, missing, target, progress)
        *children, (_, root) = manifests
        for found, raw in children:
            if not target.has(found):
                target.put(found, [raw])
        if name is not None:
            target.tag(descriptor, name, root)
        elif not target.has(descriptor):
            target.put(descriptor, [root])
    return descriptor


def _walk(
    source: Source, root: Descriptor
) -> tuple[list[tuple[Descriptor, bytes]], list[Descriptor]]:
    """Read all manifests; give them children first, and the blobs they name, each once."""
    manifests: list[tuple[Descriptor, bytes]] = []
    blobs: dict[str, Descriptor] = {}
    seen: set[str] = set()

    def visit(descriptor: Descriptor, depth: int) -> None:
        if str(descriptor.digest) in seen:
            return
        seen.add(str(descriptor.digest))
        if depth > _DEPTH_LIMIT or len(seen) + len(blobs) > _COUNT_LIMIT:
            raise InvalidManifest(f"{root.digest} refers to more than anybody would pack")
        raw = fetch(source, descriptor, LARGEST)
        for child in parse_manifest(raw, descriptor.media_type).children:
            if child.is_manifest:
                visit(child, depth + 1)
            else:
                blobs.setdefault(str(child.digest), child)
        manifests.append((descriptor, raw))

    visit(root, 0)
    return manifests, list(blobs.values())


def _copy_blobs(
    source: Source, blobs: list[Descriptor], target: Target, progress: Progress | None
) -> None:
    cancelled = Event()

    def copy_one(blob: Descriptor) -> None:
        with source.open(blob) as chunks:
            target.put(blob, _counted(verified(chunks, blob), progress, cancelled))

    if len(blobs) < 2:
        for blob in blobs:
            copy_one(blob)
        return
    with ThreadPoolExecutor(_WORKERS) as pool:
        futures = [pool.submit(copy_one, blob) for blob in blobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            cancelled.set()  # the other threads stop at their next chunk
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Cancelled(Exception):  # never leaves this module
    """Another blob of the same copy has failed."""


def _counted(
    chunks: Iterable[bytes], progress: Progress | None, cancelled: Event
) -> Iterator[bytes]:
    for chunk in chunks:
        if cancelled.is_set():
            raise _Cancelled
        yield chunk
        if progress:
            progress.advance(len(chunk))
