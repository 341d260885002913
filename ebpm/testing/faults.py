"""What a test registry does wrong, and what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """What the server does wrong. All off at first; change them at any time."""

    # of any request
    statuses: list[int] = field(default_factory=list)  # answered to the next requests, in order
    status_for: Callable[[Request], int | None] | None = None  # a status to answer instead
    retry_after: str | None = None  # header of those answers
    drops: int = 0  # of the next requests, closed without an answer
    delay: float = 0.0  # seconds before each answer
    headers: dict[str, str] = field(default_factory=dict)  # added to each answer
    cookies: bool = False
    warning: str | None = None  # text of a Warning header in each answer
    no_authorization: bool = False  # refuse what carries a credential, as a CDN does (400)

    # of what is read
    wrong_bytes: Callable[[bytes], bytes] | None = None  # applied to bodies of blobs and manifests
    cut_after: list[int] = field(
        default_factory=list
    )  # bytes after which the next bodies break off
    drip: tuple[int, float] | None = None  # bytes of a blob at once, and seconds between them
    wrong_length: int = 0  # added to the Content-Length of blobs and manifests
    content_encoding: str | None = None  # "gzip": blobs are packed, whatever was asked for
    media_type: str | None = None  # of all manifests
    no_digest_header: bool = False
    digest_header: str | None = None  # of all manifests and blobs
    no_range: bool = False  # answer 200 with everything
    range_limit: int = 0  # bytes of a 206 at most
    redirect_blobs_to: str | None = None  # base address of another server ("http://host:port")
    page_size: int = 0  # of lists, if the client names none; those of tags begin with an empty one
    relative_links: bool = False
    no_referrers: bool = False
    redirect_referrers_to: str | None = None  # base address; 303, as GHCR does
    padding: int = 0  # bytes of white space behind each manifest

    # of what is written
    location: Callable[[str], str] | None = None  # changes the address of an upload
    refuse_put: int = 0  # status that every PUT of a manifest gets
    no_delete: bool = False  # 405 to every DELETE but that of an upload
    body_limit: int = 0  # bytes of any body, as of a proxy; 413
    no_mount: bool = False
    patch_limit: int = 0  # bytes that a chunk may have
    least_chunk: int = 0
    keep_of_patch: list[int] = field(default_factory=list)  # bytes that the next chunks leave here


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came in; header names are in lower case."""

    method: str
    path: str  # with its query
    headers: dict[str, str]
    body_size: int
    connection: int = 0  # the client's port

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # bytes after which the connection breaks
    drip: tuple[int, float] | None = None
