from __future__ import annotations

import os

import pytest

from ebpm.runtime.perfbuf import online_cpus


def test_the_online_cpus_are_among_those_that_exist() -> None:
    cpus = online_cpus()
    assert cpus
    assert set(os.sched_getaffinity(0)) <= set(cpus)


def test_without_sysfs_the_cpus_of_this_process_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refuse)
    assert online_cpus() == sorted(os.sched_getaffinity(0))
