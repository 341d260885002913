"""Signals that ask a running tool to end. On the path of ``ebpm run``."""

from __future__ import annotations

try:
    import _signal as signals  # type: ignore[import-not-found]  # the C module alone: `signal` adds enums, which cost 3 ms
except ImportError:
    import signal as signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.output.stream import Stream
    from ebpm.runtime.session import Session

_GRACE = 0.5  # seconds that a slow reader of a pipe has, to take what was already counted


class Stalled(Exception):  # the end of a run, not a failure of it
    """The output takes nothing more, and the run is over."""


class SignalWatch:
    """Turns SIGINT, SIGTERM and SIGHUP into an orderly end.

    The first one stops the session. If the output is blocked in a write then, or at the second
    signal, the write is given up.
    """

    def __init__(self) -> None:
        self.received = 0  # the number of the first signal
        self._session: Session | None = None
        self._stream: Stream | None = None
        for number in (signals.SIGINT, signals.SIGTERM, signals.SIGHUP):
            signals.signal(number, self._on_signal)
        signals.signal(signals.SIGALRM, self._on_alarm)

    def watch(self, session: Session, stream: Stream) -> None:
        """Say what is to be stopped; a signal that came before stops it now."""
        self._session, self._stream = session, stream
        if self.received:
            session.stop()

    def end_by(self, seconds: float) -> None:
        """Give up a write that is still blocked after so many seconds."""
        signals.setitimer(signals.ITIMER_REAL, seconds + _GRACE)

    def _on_signal(self, number: int, _frame: object) -> None:
        again = bool(self.received)
        self.received = self.received or number
        if self._session is None:
            return  # still loading: an exception would be lost in a callback of libbpf's
        self._session.stop()
        if again and self._stream is not None and self._stream.writing:
            raise Stalled
        signals.setitimer(signals.ITIMER_REAL, _GRACE)

    def _on_alarm(self, _number: int, _frame: object) -> None:
        if self._stream is not None and self._stream.writing:
            raise Stalled

    def close(self) -> None:
        """Take the alarm back: one that rings while the interpreter ends would kill it."""
        signals.setitimer(signals.ITIMER_REAL, 0)

    @property
    def status(self) -> int:
        """The exit status that the signal asks for; 0 if there was none."""
        return 128 + self.received if self.received else 0


def default_signals() -> None:
    """Give a child process the signals that it expects; Python ignores SIGPIPE."""
    for number in (signals.SIGINT, signals.SIGTERM, signals.SIGHUP, signals.SIGPIPE):
        signals.signal(number, signals.SIG_DFL)
