"""Lists that come in pages (distribution-spec v1.1: ``Link: <…>; rel="next"``, RFC 8288)."""

from __future__ import annotations

from collections.abc import Iterator

from ebpm.errors import RegistryError
from ebpm.oci.manifest import LARGEST
from ebpm.registry.address import join, origin
from ebpm.registry.answer import Answer
from ebpm.registry.channel import Channel

_PAGES = 10_000


def pages(channel: Channel, first: Answer) -> Iterator[tuple[Answer, bytes]]:
    """Read a page and those that follow; the next one is where the last one says.

    Args:
        channel: the repository.
        first: a page that was answered with 200, whose body is not read yet.

    Raises:
        RegistryError: a page is larger than any, on another host, or there is no end of them.
    """
    answer = first
    for _ in range(_PAGES):
        with answer:
            data = answer.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise RegistryError(
                f"{channel} answers with a list that is larger than {LARGEST} bytes"
            )
        yield answer, data
        following = answer.next_page
        if following is None:
            return
        url = join(answer.url, following)
        if origin(url) != origin(channel.url):
            raise RegistryError(f"{channel} continues its list on another host")
        answer = channel.send("GET", url)
        channel.expect_manifest(answer, (200,))
    raise RegistryError(f"{channel} answers with a list without end")
