"""What a registry can do, found out by trying: the parts of distribution-spec v1.1 that differ."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from ebpm.errors import (
    AuthenticationFailed,
    Conflict,
    EbpmError,
    ManifestNotFound,
    NetworkError,
    RegistryUnreachable,
)
from ebpm.oci.attachment import EMPTY, EMPTY_TYPE
from ebpm.oci.descriptor import INDEX, MANIFEST, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import write_manifest
from ebpm.oci.reference import Reference
from ebpm.registry.address import shown
from ebpm.registry.answer import Answer
from ebpm.registry.challenge import parse_challenges
from ebpm.registry.channel import Channel
from ebpm.registry.client import RegistryClient
from ebpm.registry.upload import upload, upload_in_chunks

YES, NO, UNKNOWN = "yes", "no", "unknown"
_KIND = "application/vnd.ebpm.probe.v1"
_TAG = "ebpm-probe"
_BINARY = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that a registry can do, or cannot, and how that was seen."""

    part: str
    state: str  # YES, NO or UNKNOWN
    found: str


def examine(
    client: RegistryClient, host: str, name: str | None, *, write: bool = False
) -> Iterator[Probe]:
    """Try what a registry can do, one thing after the other.

    Args:
        client: with the user's logins and settings.
        host: host[:port].
        name: a repository to try it on; without one only the registry as a whole is asked.
        write: put something small into that repository and ``NAME-mount``, and delete it again.

    Raises:
        RegistryUnreachable: nothing is there.
        RegistryError: what is there is no registry.
    """
    with client.ping(host) as answer:
        yield Probe("api", YES, f"{answer.url} answers {answer.status}")
        yield _asks(answer)
        yield _limits(answer)
    yield _login(client, host, name)
    if name is None:
        return
    channel = client.channel(host, name, push=write)
    yield _try("list tags", lambda: _tags(channel))
    yield _try("referrers", lambda: _referrers(channel))
    if write:
        other = client.channel(host, f"{name}-mount", push=True)
        yield from _Trial(channel, other).run()


def _asks(answer: Answer) -> Probe:
    if answer.status != 401:
        return Probe("asks for a login", NO, "everybody may see /v2/")
    found = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
    words = [
        f"{one.scheme} from {shown(one.parameters.get('realm', ''))}"
        if one.scheme == "bearer"
        else one.scheme
        for one in found
    ]
    return Probe("asks for a login", YES, ", ".join(words) or "by no scheme that is named")


def _limits(answer: Answer) -> Probe:
    names = [name for name in answer.headers if "ratelimit" in name.lower().replace("-", "")]
    told = ", ".join(f"{name}: {answer.headers[name]}" for name in sorted(names))
    return Probe("tells its limits", YES if told else NO, told or "no header of that kind")


def _login(client: RegistryClient, host: str, name: str | None) -> Probe:
    part = "our login"
    credential = client.credentials.find(host, name or "")
    if credential is None:
        return Probe(part, NO, "none is kept for this host")
    who = credential.username or "a token"
    try:
        client.check(host, credential)
    except AuthenticationFailed as error:
        return Probe(part, NO, f"{who} is not accepted: {error.message}")
    return Probe(part, YES, f"{who} is accepted")


def _try(part: str, attempt: Callable[[], tuple[str, str]]) -> Probe:
    """Make a probe of what may fail in any way but that of a registry that is gone."""
    try:
        return Probe(part, *attempt())
    except RegistryUnreachable:
        raise
    except (AuthenticationFailed, Conflict) as error:
        return Probe(part, NO, error.message)
    except (EbpmError, NetworkError) as error:
        return Probe(part, UNKNOWN, error.message)


def _tags(channel: Channel) -> tuple[str, str]:
    with channel.call("GET", "tags/list?n=1") as answer:
        if answer.status == 404:
            return UNKNOWN, "the repository does not exist, or is not shown to us"
        channel.expect_manifest(answer, (200,))
        return YES, "in pages" if answer.next_page else "in one page"


def _referrers(channel: Channel) -> tuple[str, str]:
    nothing = Digest.of(b"ebpm")
    with channel.call("GET", f"referrers/{nothing}", follow=False) as answer:
        if answer.status == 200 and answer.media_type == INDEX:
            return YES, "by the registry itself"
        if answer.status in (401, 403):
            return UNKNOWN, f"answers {answer.status}"
        return NO, f"answers {answer.status}: lists are kept in tags, sha256-…"


class _Trial:
    """What can only be seen by writing; it is taken away again as far as the registry allows."""

    def __init__(self, channel: Channel, other: Channel) -> None:
        self._channel = channel
        self._other = other
        self._blob = os.urandom(1024)
        self._described = Descriptor.of(self._blob, _BINARY)
        self._manifests: list[str] = []

    def run(self) -> Iterator[Probe]:
        """Try one thing after the other; without a blob there is nothing to try."""
        first = _try("upload", self._upload)
        yield first
        if first.state != YES:
            return
        yield _try("read a range", self._range)
        yield _try("upload in chunks", self._chunks)
        yield _try("mount", self._mount)
        yield _try("any artifact", self._manifest)
        if self._manifests:
            yield _try("sees subjects", self._subject)
        yield _try("delete tags", lambda: self._delete(f"manifests/{_TAG}"))
        yield _try("delete manifests", self._delete_manifests)
        yield _try("delete blobs", lambda: self._delete(f"blobs/{self._described.digest}"))

    def _upload(self) -> tuple[str, str]:
        for data, kind in ((self._blob, _BINARY), (EMPTY, EMPTY_TYPE)):
            upload(self._channel, Descriptor.of(data, kind), [data])
        return YES, f"in one piece, to {self._channel}"

    def _range(self) -> tuple[str, str]:
        headers = {"Range": "bytes=1000-"}
        path = f"blobs/{self._described.digest}"
        with self._channel.call("GET", path, headers=headers) as answer:
            right = answer.status == 206 and answer.read(1024) == self._blob[1000:]
            return (YES if right else NO), f"answers {answer.status}"

    def _chunks(self) -> tuple[str, str]:
        data = os.urandom(1024)
        one = Descriptor.of(data, _BINARY)
        upload_in_chunks(self._channel, one, [data], 512)
        self._channel.call("DELETE", f"blobs/{one.digest}").close()
        return YES, "in pieces of 512 bytes"

    def _mount(self) -> tuple[str, str]:
        digest = self._described.digest
        query = urlencode({"mount": str(digest), "from": self._channel.name})
        way = self._other.reading_too(self._channel)
        with way.call("POST", f"blobs/uploads/?{query}", body=b"") as answer:
            if answer.status == 201:
                way.call("DELETE", f"blobs/{digest}").close()
                return YES, f"to {self._other}"
            return NO, f"answers {answer.status}"

    def _manifest(self) -> tuple[str, str]:
        raw = write_manifest(
            Descriptor.of(EMPTY, EMPTY_TYPE), [self._described], artifact_type=_KIND
        )
        self._put(raw, _TAG)
        return YES, f"one of type {_KIND}"

    def _subject(self) -> tuple[str, str]:
        subject = Descriptor(
            media_type=MANIFEST, digest=Digest.parse(self._manifests[0]), size=self._size
        )
        empty = Descriptor.of(EMPTY, EMPTY_TYPE)
        raw = write_manifest(empty, [empty], artifact_type=_KIND, subject=subject)
        stated = self._put(raw, str(Digest.of(raw)))
        return (YES, "OCI-Subject") if stated else (NO, "no OCI-Subject in its answer")

    def _put(self, raw: bytes, name: str) -> str:
        headers = {"Content-Type": MANIFEST}
        with self._channel.call("PUT", f"manifests/{name}", headers=headers, body=raw) as answer:
            self._channel.expect_manifest(answer, (200, 201, 202))
            self._manifests.append(str(Digest.of(raw)))
            self._size = len(raw)
            return answer.headers.get("OCI-Subject", "")

    def _delete_manifests(self) -> tuple[str, str]:
        results = [self._delete(f"manifests/{one}") for one in reversed(self._manifests)]
        return results[-1] if results else (UNKNOWN, "there is none to delete")

    def _delete(self, path: str) -> tuple[str, str]:
        with self._channel.call("DELETE", path) as answer:
            if answer.status == 404:
                raise ManifestNotFound("it was not there any more")
            done = answer.status in (200, 202, 204)
            return (YES if done else NO), f"answers {answer.status}"


def repository_name(host: str, text: str) -> str | None:
    """Check the name of a repository on a host; None where the text is empty."""
    return Reference.parse(f"{host}/{text}").repository if text else None
