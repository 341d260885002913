import subprocess
import sys
import threading
import time

import pytest

from ebpm.oci.crew import Cancelled, Crew


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    assert Crew(slow_first).run(range(20)) == [number * number for number in range(20)]


def test_nothing_to_do_is_done() -> None:
    assert Crew(str).run([]) == []


def test_one_item_needs_no_thread() -> None:
    assert Crew(lambda _: threading.current_thread()).run([1]) == [threading.current_thread()]


def test_several_items_are_done_at_once() -> None:
    together = threading.Barrier(4, timeout=5)
    assert len(Crew(lambda _: together.wait()).run(range(4))) == 4


def test_the_first_error_comes_out_and_the_rest_is_told() -> None:
    begun, told = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 0:
            begun.wait(5)
            raise LookupError("the first")
        begun.set()
        try:
            while True:
                crew.check()
                time.sleep(0.001)
        except Cancelled:
            told.set()
            raise

    crew: Crew[int, None] = Crew(work)
    with pytest.raises(LookupError, match="the first"):
        crew.run(range(3))
    assert told.is_set()


def test_what_had_not_begun_does_not_begin_after_an_error() -> None:
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"\d"):
        Crew(work).run(range(1000))
    assert len(begun) < 1000


def test_a_thread_that_hangs_holds_up_neither_an_error_nor_the_end_of_the_process() -> None:
    code = """
import threading, time
from ebpm.oci import crew
crew._GRACE = 0.2
begun = threading.Event()
def work(number):
    if number:
        begun.set()
        threading.Event().wait()  # for ever
    begun.wait()
    raise ValueError
try:
    crew.Crew(work).run([0, 1, 2])
except ValueError:
    print("raised")
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.returncode) == ("raised\n", 0)
    assert time.monotonic() - started < 5
