"""What time it is, as rows and lines say it. On the path of ``ebpm run``."""

from __future__ import annotations

import time


def time_of_day() -> str:
    """Write the local time as ``HH:MM:SS``."""
    return time.strftime("%H:%M:%S")


def timestamp() -> str:
    """Write the local time by RFC 3339, with microseconds: ``2023-02-01T22:01:04.000123+01:00``."""
    nanoseconds = time.time_ns()
    local = time.localtime(nanoseconds // 1_000_000_000)
    zone = time.strftime("%z", local)  # +0100
    micros = nanoseconds // 1000 % 1_000_000
    day = time.strftime("%Y-%m-%dT%H:%M:%S", local)
    return f"{day}.{micros:06}{zone[:3]}:{zone[3:]}"
