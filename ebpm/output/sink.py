"""What takes batches."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ebpm.event import Batch

    class Sink(Protocol):
        """Somewhere that batches go: a table, JSON lines, a counter."""

        def write(self, batch: Batch) -> None:
            """Take the records of a batch; it is not valid after this returns."""
