"""Content on its way down: over as many connections as it takes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

from ebpm.errors import BlobNotFound, RegistryError, RegistryUnreachable
from ebpm.oci.descriptor import Descriptor
from ebpm.registry.answer import Answer
from ebpm.registry.channel import Channel
from ebpm.registry.trouble import pause

_FAILURES = 5  # in a row, without a byte in between
_RESUMES = 100


class Download:
    """A blob or manifest of a repository; a broken connection is taken up where it broke.

    Args:
        channel: the repository.
        path: below it.
        headers: beside ours.
        descriptor: what is there; its size tells the end.
        start: the first byte to give: what comes before it is here already.
    """

    def __init__(
        self,
        channel: Channel,
        path: str,
        headers: Mapping[str, str],
        descriptor: Descriptor,
        start: int = 0,
    ) -> None:
        self._channel = channel
        self._path = path
        self._headers = headers
        self._descriptor = descriptor
        self._got = start
        self._answer: Answer | None = None

    def chunks(self) -> Iterator[bytes]:
        """Read it; whether the bytes are the right ones is for the reader to see."""
        if self._got and self._got >= self._descriptor.size:
            return  # nobody asks for a range behind the end: some servers break on it
        failures = 0
        for _ in range(_RESUMES):
            before = self._got
            answer = self._begin()
            try:
                yield from self._fresh(answer)
            except RegistryUnreachable as error:
                failures = failures + 1 if self._got == before else 1
                if failures >= _FAILURES:
                    raise RegistryUnreachable(
                        f"{self._channel}: {error.message}, {failures} times in a row"
                    ) from None
                time.sleep(pause(failures))
            else:
                partial = answer.status == 206 and self._got > before
                if not partial or self._got >= self._descriptor.size:
                    return
        raise RegistryUnreachable(
            f"{self._channel} broke off {self._descriptor.digest} {_RESUMES} times"
        )

    def _begin(self) -> Answer:
        self.close()
        headers = dict(self._headers)
        if self._got:
            headers["Range"] = f"bytes={self._got}-"
        answer = self._answer = self._channel.call("GET", self._path, headers=headers)
        self._channel.expect(answer, (200, 206), BlobNotFound, f"@{self._descriptor.digest}")
        match = re.match(r"bytes ([0-9]{1,18})-", answer.headers.get("Content-Range", ""))
        if answer.status == 206 and (not match or int(match[1]) != self._got):
            raise RegistryError(f"{self._channel} answers with another range than asked for")
        return answer

    def _fresh(self, answer: Answer) -> Iterator[bytes]:
        """Read on; where everything is sent again, leave out what is here already."""
        skip = self._got if answer.status == 200 else 0
        for chunk in answer.chunks():
            fresh, skip = chunk[skip:], max(0, skip - len(chunk))
            if fresh:
                self._got += len(fresh)
                yield fresh

    def close(self) -> None:
        """Give up the connection."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None
