from __future__ import annotations

from ebpm.runtime.log import Log

VERIFIER = """libbpf: prog 'go': -- BEGIN PROG LOAD LOG --
0: R1=ctx() R10=fp0
1: (61) r0 = *(u32 *)(r1 +0)
R1 invalid mem access 'scalar'
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
-- END PROG LOAD LOG --"""


def test_the_last_line_that_says_something_is_found() -> None:
    log = Log()
    log(0, "libbpf: failed to find 'x'")
    log(0, "libbpf: failed to load object 'tool_bpf'")
    assert log.last() == "failed to find 'x'"


def test_the_verifiers_last_words_are_found_with_the_program() -> None:
    log = Log()
    log(0, VERIFIER)
    log(0, "libbpf: prog 'go': failed to load: -13")
    assert log.verifier() == ("go", "R1 invalid mem access 'scalar'")


def test_a_log_without_a_verifier_has_no_verdict() -> None:
    assert Log().verifier() is None
    assert Log().last() is None


def test_only_warnings_are_kept_and_everything_is_shown() -> None:
    shown: list[str] = []
    log = Log(shown.append)
    log(2, "debug")
    log(0, "warning")
    assert shown == ["debug", "warning"]
    assert log.lines == ["warning"]


def test_the_log_does_not_grow_for_ever() -> None:
    log = Log()
    for number in range(2000):
        log(0, str(number))
    assert len(log.lines) < 1000
    assert log.lines[-1] == "1999"
