"""Whose stacks wait in sampled maps: asked now and then, so that names are learnt in time.

A stack is counted by addresses, and named when its map is read, which may be long after its process
has ended. On the path of ``ebpm run``, imported for tools that sample stacks.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ebpm.runtime.sampler import Sampler

_FIRST, _USUAL = 0.01, 0.1  # seconds between two looks: commands may be short
_PART = 50  # of the time at most goes into looking


class Look:
    """Looks into maps of stacks.

    Args:
        samplers: of the maps.
        tell: told the processes whose stacks are there.
        now: the monotonic clock, in seconds.
    """

    def __init__(
        self, samplers: Sequence[Sampler], tell: Callable[[Collection[int]], None], now: float
    ) -> None:
        self._samplers = samplers
        self._tell = tell
        self._pause = _FIRST
        self._next = now + _FIRST

    def wait(self, now: float) -> float:
        """Tell the seconds until the next look."""
        return max(self._next - now, 0.0)

    def due(self, now: float) -> None:
        """Look, if it is time."""
        if now < self._next:
            return
        self._tell({pid for one in self._samplers for pid in one.processes()})
        after = time.monotonic()
        self._pause = min(self._pause * 2, _USUAL)
        self._next = after + max(self._pause, (after - now) * _PART)
