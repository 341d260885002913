"""When to let a busy stream gather: each wake-up costs the traced process more than its event does.

A reader that empties its ring after every event is woken for every event (1 to 2 µs each, charged
to whoever caused the event). One that waits up to a millisecond once it is woken finds many. It
waits only while events come fast: a quiet tool reports at once. On the path of ``ebpm run``.
"""

from __future__ import annotations

_WINDOW = 0.002  # seconds that a rate is taken over
_BUSY = 8000  # records a second: eight in the longest pause
_SHORTEST, _LONGEST = 0.0002, 0.001  # seconds: the first pause of a busy time, and the last
_SHARE = 0.25  # of a ring that may fill during a pause


class Pace:
    """The rate of one session's records, and the pause that it allows."""

    __slots__ = ("_filled", "_pause", "_records", "_since")

    def __init__(self) -> None:
        self._since = 0.0
        self._records = 0
        self._filled = 0.0
        self._pause = 0.0

    def took(self, records: int, share: float) -> None:
        """Count records that were read, and the share of their ring that they had filled."""
        self._records += records
        self._filled += share

    def pause(self, now: float) -> float:
        """Tell how many seconds to wait before the next look; 0 for a stream that is not busy.

        Args:
            now: time.monotonic().
        """
        elapsed = now - self._since
        if elapsed >= _WINDOW:
            busy = self._records > _BUSY * elapsed
            room = _SHARE * elapsed / self._filled if self._filled else _LONGEST
            # Who was held up by wake-ups may come faster without them: little by little.
            bold = max(_SHORTEST, 2 * self._pause)
            self._pause = min(_LONGEST, bold, room) if busy else 0.0
            self._since, self._records, self._filled = now, 0, 0.0
        return self._pause
