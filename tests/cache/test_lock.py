from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebpm.cache.lock import locked
from ebpm.errors import StoreLocked, StoreUnusable

HOLD = """
import sys
from ebpm.cache.lock import locked
with locked(sys.argv[1], shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path: Path, kind: str = "exclusive") -> Iterator[subprocess.Popen[str]]:
    """Hold a lock in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.communicate("")


def test_a_lock_is_waited_for_and_its_holder_named(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as process:
        started = time.monotonic()
        with pytest.raises(StoreLocked) as caught, locked(str(tmp_path / "lock"), patience=0.2):
            pass
        assert 0.2 <= time.monotonic() - started < 2
        assert caught.value.message == f"{tmp_path}/lock is in use by process {process.pid}"
    with locked(str(tmp_path / "lock"), patience=0.2):
        pass


def test_whoever_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as process:
        assert process.stdin
        threading.Timer(0.1, process.stdin.close).start()
        with locked(str(tmp_path / "lock"), patience=10):
            pass
        process.stdin = None


def test_sharers_share_and_keep_others_out(tmp_path: Path) -> None:
    with holder(tmp_path / "lock", "shared"):
        with locked(str(tmp_path / "lock"), shared=True, patience=0.2):
            pass
        with pytest.raises(StoreLocked), locked(str(tmp_path / "lock"), patience=0.1):
            pass


def test_threads_of_one_process_lock_each_other_out_as_well(tmp_path: Path) -> None:
    again = locked(str(tmp_path / "lock"), patience=0.1)
    with locked(str(tmp_path / "lock")), pytest.raises(StoreLocked) as caught, again:
        pass
    assert f"process {os.getpid()}" in caught.value.message


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as process:
        process.kill()
        process.wait()
        with locked(str(tmp_path / "lock"), patience=1):
            pass


def test_the_file_stays_empty_and_serves_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(str(tmp_path / "lock")):
            assert (tmp_path / "lock").read_bytes() == b""


def test_no_link_is_followed_to_a_file_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnusable, match="cannot open"), locked(str(tmp_path / "lock")):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot open"), locked(str(tmp_path / "none" / "lock")):
        pass


def test_an_error_inside_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(str(tmp_path / "lock")):
        raise ZeroDivisionError
    with locked(str(tmp_path / "lock"), patience=0.1):
        pass
