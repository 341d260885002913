"""Tools on this machine's kernel."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from ebpm.errors import (
    HookNotFound,
    InterfaceNotFound,
    InvalidObject,
    InvalidParameter,
    LoadFailed,
    ProgramRejected,
)
from ebpm.package.model import ObjectFile, Package
from ebpm.runtime.plan import Plan
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session

pytestmark = pytest.mark.needs("compiler", "bpf")
Build = Callable[[str], Package]


def start(package: Package, values: Mapping[str, object] | None = None) -> Session:
    one = package.objects[0]
    return Session(make_plan(package, one), one.data, values)  # type: ignore[arg-type]


def watching(**values: object) -> dict[str, object]:
    return {"watched": os.getpid(), **values}


def fields(session: Session, count: int, seconds: float = 5) -> list[dict[str, object]]:
    """Read events until there are enough."""
    found: list[dict[str, object]] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        for batch in session.batches(0.1):
            found += [event.fields for event in batch.events()]
    return found


def trigger(argument: int, count: int = 1) -> None:
    """Call getpgid(ARGUMENT), which the test programs watch; its failure does not matter."""
    for _ in range(count):
        try:
            os.getpgid(argument)
        except ProcessLookupError:
            pass


def open_bpf_descriptors() -> list[str]:
    """List the BPF objects that this process holds."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if "bpf" in target or "perf_event" in target:
            found.append(target)
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = open_bpf_descriptors()
    yield
    assert open_bpf_descriptors() == before


def test_all_kinds_of_values_are_decoded(program: Build) -> None:
    with start(program("values"), watching()) as session:
        trigger(0)
        (event,) = fields(session, 1)
    assert event == {
        "stamp": 1,
        "small": -1,
        "byte": 200,
        "flag": True,
        "colour": 2,
        "strange": 99,
        "text": "hello",
        "raw": [1, 0, 255],
        "list": [1, 2, 3],
        "names": ["ab", "cd"],
        "point": {"x": -5, "y": 65535},
        "word": {"whole": 0x04030201, "bytes": [1, 2, 3, 4]},
        "low": 5,
        "high": -3,
        "pointer": 0xFFFF888000000001,
        "wide": (1 << 64) + 2,
        "inner": 7,
    }
    assert str(event["colour"]) == "GREEN(2)"


def test_variables_of_all_kinds_and_sections_are_set(program: Build) -> None:
    given = watching(
        text="bye",
        colour="BLUE",
        list=[7, -8],
        point={"y": 9},
        flag=False,
        small=-128,
        stamp=(1 << 64) - 1,
        writable=40,
        zeroed=2,
    )
    with start(program("values"), given) as session:
        trigger(0)
        (event,) = fields(session, 1)
    assert event["text"] == "bye"
    assert event["colour"] == -3
    assert event["list"] == [7, -8, 3]
    assert event["point"] == {"x": -5, "y": 9}
    assert event["flag"] is False
    assert event["small"] == -128
    assert event["stamp"] == (1 << 64) - 1
    assert event["inner"] == 42


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"small": 128}, "small: 128 is out of range for signed char, which holds -128 to 127"),
        ({"colour": "PINK"}, "colour: 'PINK' is not one of RED, GREEN, BLUE"),
        ({"text": "x" * 12}, "text: the text takes 13 bytes"),
        ({"list": [1, 2, 3, 4]}, "list: 4 values are too many"),
        ({"point": {"z": 1}}, "point: no member 'z'"),
        ({"unknown": 1}, "no variable 'unknown'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    program: Build, values: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        start(program("values"), values)
    assert said in caught.value.message


def test_several_buffers_are_read_and_tell_their_names(program: Build) -> None:
    with start(program("streams"), watching()) as session:
        trigger(1, 2)
        trigger(2, 3)
        trigger(3, 1)
        found: dict[str, list[int]] = {"ring": [], "perf": []}
        end = time.monotonic() + 5
        while sum(map(len, found.values())) < 3 and time.monotonic() < end:
            for batch in session.batches(0.1):
                found[batch.source.name] += [e.fields["seq"] for e in batch.events()]
        assert found == {"ring": [0, 1], "perf": [2]}
        assert session.lost == 0


def test_what_a_program_counts_as_lost_is_told(program: Build) -> None:
    with start(program("streams"), watching()) as session:
        trigger(1, 1000)
        kept = sum(batch.count for batch in session.remaining())
        assert kept > 0
        assert kept + session.lost == 1000
        assert session.overflowed == ["ring"]


def test_what_a_perf_buffer_loses_is_told(program: Build) -> None:
    package = replace(program("streams"), settings={"perf_buffer_pages": 1})
    with start(package, watching()) as session:
        trigger(3, 500)
        session_events = sum(batch.count for batch in session.remaining())
        trigger(3, 1)
        assert 0 < session_events < 500
        assert session_events + session.lost <= 500


def test_batches_return_after_the_timeout(program: Build) -> None:
    with start(program("streams"), watching()) as session:
        began = time.monotonic()
        assert list(session.batches(0.05)) == []
        assert 0.04 < time.monotonic() - began < 5


def test_another_thread_can_stop_the_wait(program: Build) -> None:
    with start(program("values"), watching()) as session:
        threading.Timer(0.2, session.stop).start()
        assert list(session) == []
        assert session.stopped


def test_events_after_the_session_stay_readable(program: Build) -> None:
    with start(program("values"), watching()) as session:
        trigger(0)
        events = [event for batch in session.batches(5) for event in batch.events()]
    assert events[0].fields["text"] == "hello"


def test_closing_twice_is_no_error(program: Build) -> None:
    session = start(program("values"), watching())
    session.close()
    session.close()
    session.stop()  # as a signal does that comes late
    assert session.stopped


def test_a_program_that_the_verifier_refuses_is_named_with_its_reason(program: Build) -> None:
    with pytest.raises(ProgramRejected) as caught:
        start(program("refused"))
    assert "'reads_anywhere'" in caught.value.message
    assert "invalid mem access" in caught.value.message


def test_a_hook_that_is_not_there_gets_the_nearest(program: Build) -> None:
    with pytest.raises(HookNotFound) as caught:
        start(program("nohook"))
    assert "sys_enter_kil" in caught.value.message
    assert "syscalls/sys_enter_kill" in caught.value.hint


def test_bytes_that_are_no_object_never_reach_libbpf() -> None:
    with pytest.raises(InvalidObject):
        make_plan(Package(name="x", object_name="x"), ObjectFile(data=b"nothing"))


def test_an_object_that_is_not_the_plans_is_refused(program: Build) -> None:
    values, net = program("values"), program("net")
    plan = make_plan(values, values.objects[0])
    with pytest.raises(LoadFailed):
        Session(plan, net.objects[0].data, watching())


# --- interfaces, in a network namespace of the test's own ---------------------------------------


def in_namespace(code: str, package: Package) -> str:
    """Run Python with `plan` and `data` in a new network namespace; give its standard output."""
    one = package.objects[0]
    head = (
        "import os, socket, subprocess, sys\n"
        "from ebpm.runtime.plan import Plan\n"
        "from ebpm.runtime.session import Session\n"
        "plan = Plan.load(sys.argv[1])\n"
        "data = sys.stdin.buffer.read()\n"
        "def ip(*words): subprocess.run(['ip', *words], check=True)\n"
        "def packets():\n"
        "    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "    for _ in range(3): out.sendto(b'x' * 10, ('127.0.0.1', 9))\n"
        "def seen(session, count):\n"
        "    hooks = []\n"
        "    while len(hooks) < count:\n"
        "        hooks += [e.fields['hook'] for b in session.batches(5) for e in b.events()]\n"
        "    return sorted(set(hooks))\n"
        "ip('link', 'set', 'lo', 'up')\n"
    )
    done = subprocess.run(
        ["unshare", "--net", "python3", "-c", head + code, make_plan(package, one).dump()],
        input=one.data,
        capture_output=True,
        timeout=60,
        env={
            **os.environ,
            "PATH": f"{os.path.dirname(__import__('sys').executable)}:{os.environ['PATH']}",
        },
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.needs("netns")
def test_xdp_and_tc_programs_see_packets_and_leave_nothing(program: Build) -> None:
    out = in_namespace(
        "for one in plan.programs: one.options['dev'] = 'lo'\n"
        "with Session(plan, data) as session:\n"
        "    packets()\n"
        "    print(seen(session, 6))\n"
        "print(subprocess.check_output(['ip', '-d', 'link', 'show', 'lo'], text=True))\n"
        "print(subprocess.check_output(['tc', 'qdisc', 'show', 'dev', 'lo'], text=True))\n",
        program("net"),
    )
    assert out.splitlines()[0] == "[1, 2]"
    assert "xdp" not in out
    assert "clsact" not in out


OTHER = (
    "import copy\n"
    "plan.programs = [one for one in plan.programs if one.kind == 'tc']\n"
    "other = copy.deepcopy(plan)\n"
    "other.programs[0].options.update(priority=9, handle=9, direction='egress')\n"
    "def filters(): return subprocess.check_output(\n"
    "    'tc filter show dev lo egress; tc filter show dev lo ingress', shell=True, text=True)\n"
    "def qdiscs(): return subprocess.check_output('tc qdisc show dev lo', shell=True, text=True)\n"
)


@pytest.mark.needs("netns")
def test_a_clsact_of_ours_goes_with_its_last_filter(program: Build) -> None:
    out = in_namespace(
        OTHER + "first = Session(plan, data)\n"
        "second = Session(other, data)\n"
        "first.close()\n"
        "print('handle 0x9' in filters(), 'handle 0x7' in filters(), 'clsact' in qdiscs())\n"
        "second.close()\n"
        "print(filters() == '', 'clsact' in qdiscs())\n",
        program("net"),
    )
    # The second found clsact there, so it is not its own to remove.
    assert out.split() == ["True", "False", "True", "True", "True"]


@pytest.mark.needs("netns")
def test_a_clsact_of_somebody_else_stays(program: Build) -> None:
    out = in_namespace(
        OTHER + "subprocess.run('tc qdisc add dev lo clsact'.split(), check=True)\n"
        "with Session(plan, data) as session:\n"
        "    packets()\n"
        "    print(seen(session, 3))\n"
        "print(filters() == '', 'clsact' in qdiscs())\n",
        program("net"),
    )
    assert out.splitlines() == ["[2]", "True True"]


def test_an_interface_that_is_not_there_is_named_with_those_that_are(program: Build) -> None:
    package = program("net")
    one = package.objects[0]
    plan: Plan = make_plan(package, one)
    for part in plan.programs:
        part.options["dev"] = "nosuch0"
    with pytest.raises(InterfaceNotFound) as caught:
        Session(plan, one.data)
    assert "'nosuch0'" in caught.value.message
    assert "lo" in caught.value.hint
