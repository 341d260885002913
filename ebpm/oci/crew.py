"""A few threads for work that waits for networks and disks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_WORKERS = 6
_GRACE = 1.0  # seconds that the others have to stop after an error


class Cancelled(Exception):  # never reaches anybody: the first error does
    """Another part of the same work has failed."""


class Crew(Generic[T, R]):
    """Calls a function for each of several items, a few at a time.

    The threads are daemons: one that waits for a silent server holds up neither Ctrl-C nor the end
    of the process. The function is to call :meth:`check` now and then.

    Args:
        work: the function; called from several threads.
    """

    def __init__(self, work: Callable[[T], R]) -> None:
        self._work = work
        self._cancelled = Event()
        self._waiting: SimpleQueue[tuple[int, T]] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, R | BaseException]] = SimpleQueue()

    def check(self) -> None:
        """Raise Cancelled once the work of another thread has failed, or Ctrl-C came."""
        if self._cancelled.is_set():
            raise Cancelled

    def run(self, items: Sequence[T]) -> list[R]:
        """Do all items; give the results in their order, or raise the first error."""
        if len(items) < 2:
            return [self._work(item) for item in items]
        for numbered in enumerate(items):
            self._waiting.put(numbered)
        count = min(_WORKERS, len(items))
        threads = [Thread(target=self._loop, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        results: dict[int, R] = {}
        try:
            for _ in items:
                number, result = self._done.get()
                if isinstance(result, BaseException):
                    raise result
                results[number] = result
        except BaseException:
            self._cancelled.set()
            _join(threads, _GRACE)
            raise
        return [results[number] for number in range(len(items))]

    def _loop(self) -> None:
        while not self._cancelled.is_set():
            try:
                number, item = self._waiting.get_nowait()
            except Empty:
                return
            try:
                self._done.put((number, self._work(item)))
            except BaseException as error:  # noqa: BLE001  # the waiting thread raises it
                self._done.put((number, error))
                self._cancelled.set()  # after that, so that this error is the first


def _join(threads: Iterable[Thread], patience: float) -> None:
    end = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
