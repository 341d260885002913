"""When a busy stream is left to gather."""

from __future__ import annotations

import pytest

from ebpm.runtime.pace import Pace


def pauses(rate: float, share: float = 0.0, seconds: float = 0.1) -> list[float]:
    """Let a stream of a rate come in, read every millisecond; share: of the ring, each time."""
    pace, found, now = Pace(), [], 100.0
    for _ in range(int(seconds * 1000)):
        found.append(pace.pause(now))
        pace.took(round(rate / 1000), share)
        now += 0.001
    return found


def test_a_quiet_stream_is_read_at_once() -> None:
    assert set(pauses(1000)) == {0.0}


def test_a_busy_stream_gathers_for_a_millisecond() -> None:
    found = pauses(100_000)
    assert found[:9:2] == [0, 0.0002, 0.0004, 0.0008, 0.001]
    assert set(found[9:]) == {0.001}


def test_a_ring_that_fills_fast_gathers_for_less() -> None:
    *_, last = pauses(1_000_000, share=0.5)
    assert last == pytest.approx(0.0005)  # half a ring in a millisecond: a quarter in a half


def test_the_first_event_after_a_busy_time_is_read_at_once() -> None:
    pace = Pace()
    for now in (100.0, 100.002, 100.004):
        pace.pause(now)
        pace.took(1000, 0.1)
    assert pace.pause(100.006) > 0
    assert pace.pause(101.0) == 0
