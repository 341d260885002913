"""What a server answered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Self

import requests
import urllib3.exceptions

from ebpm.errors import RegistryUnreachable
from ebpm.registry.trouble import reason

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK = 256 << 10
_WARNING = re.compile(r'(?:^|,)\s*299 - "((?:\\.|[^"\\])*)"')
_LONGEST_WARNING = 300  # characters
_LEFT_OVER = 64 << 10  # bytes that are read for the sake of the connection


def count_in(text: str) -> int | None:
    """Read a count that a server wrote; None where it is none, or beyond any that is meant."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


class Answer:
    """An answer whose body has not been read yet; it is read once, by one of the methods.

    Bytes are as they were sent: nothing is unpacked.
    """

    __slots__ = ("_raw", "response")

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        self._raw = response.raw

    @property
    def status(self) -> int:
        """The status code."""
        return self.response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names are the same in upper and lower case."""
        return self.response.headers

    @property
    def url(self) -> str:
        """Where the answer came from in the end."""
        return str(self.response.url)

    @property
    def media_type(self) -> str:
        """Its Content-Type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    @property
    def length(self) -> int | None:
        """Its Content-Length, in bytes; None where it has none."""
        return count_in(self.headers.get("Content-Length", ""))

    @property
    def next_page(self) -> str | None:
        """Where a list goes on, as it was written (RFC 8288); None at its end."""
        links = requests.utils.parse_header_links(self.headers.get("Link", ""))
        return next((str(one["url"]) for one in links if one.get("rel") == "next"), None)

    @property
    def warnings(self) -> list[str]:
        """What the registry warns of (distribution-spec v1.1: ``Warning: 299 - "text"``)."""
        found = _WARNING.findall(self.headers.get("Warning", ""))
        return [re.sub(r"\\(.)", r"\1", text)[:_LONGEST_WARNING] for text in found]

    def read(self, limit: int) -> bytes:
        """Read the body, or its first ``limit`` bytes.

        Raises:
            RegistryUnreachable: the connection broke.
        """
        data = bytearray()
        try:
            # Only the read after the last byte tells a whole body from one that broke off.
            while chunk := self._raw.read(limit - len(data), decode_content=False):
                data += chunk
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._broken(error) from None
        return bytes(data)

    def chunks(self) -> Iterator[bytes]:
        """Read the body as it comes, in pieces of at most _CHUNK bytes.

        Raises:
            RegistryUnreachable: the connection broke.
        """
        read = getattr(self._raw, "read1", self._raw.read)  # urllib3 1.26 has no read1
        try:
            while chunk := read(_CHUNK, decode_content=False):
                yield chunk
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> RegistryUnreachable:
        host = self.url.split("/")[2]
        return RegistryUnreachable(f"the connection to {host} broke: {reason(error)}")

    def close(self) -> None:
        """Give the connection up, or back for the next request if little is left to read."""
        length = self.length
        small = length is not None and length <= _LEFT_OVER
        if small or self.response.request.method == "HEAD":
            try:
                self._raw.read(_LEFT_OVER, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError):
                pass
        self.response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.response.close()  # at once: it may be Ctrl-C
