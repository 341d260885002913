"""Options that name a control group, on this machine's."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout
from ebpm.errors import InvalidParameter
from ebpm.package.model import Package
from ebpm.runtime.cgroup import cgroup_id, cgroup_root, open_cgroup
from ebpm.runtime.params import assigned, parse_arguments
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from tests.cgroups import inside, new_cgroup
from tests.runtime.test_params import plan, variable
from tests.runtime.test_session import fields

CGROUP = Layout(kinds.CGROUP, "ebpm_cgroup", 8)


def reported(package: Package, *words: str) -> dict[str, Any]:
    """Run the program with options; give what it says of this process."""
    one = package.objects[0]
    tool = make_plan(package, one)
    values = parse_arguments(tool, ["--pid", str(os.getpid()), *words]).values
    with Session(tool, one.data, values) as session:
        os.getpgid(0)
        (event,) = fields(session, 1)
    return event


@pytest.mark.needs("compiler", "bpf", "cgroup2")
@pytest.mark.parametrize("below", ["", "one", "one/two"])
def test_a_program_gets_the_id_and_the_group(program: Callable[[str], Package], below: str) -> None:
    with new_cgroup() as group, new_cgroup() as other:
        place = group / below
        place.mkdir(parents=True, exist_ok=True)
        with inside(place):
            found = reported(program("cgroup"), "-c", str(group))
            assert found["wanted"] == cgroup_id(str(group)) == group.stat().st_ino
            assert found["own"] == place.stat().st_ino
            assert (found["in"], found["task_in"]) == (True, True)
            found = reported(program("cgroup"), "-c", str(other))
            assert (found["in"], found["task_in"]) == (False, False)
            for name in (group.name, f"/{group.name}"):  # the second is what /proc/PID/cgroup has
                by_name = reported(program("cgroup"), "-c", name)
                assert (by_name["in"], by_name["task_in"]) == (True, True)
        outside = reported(program("cgroup"), "-c", str(place))
        assert (outside["in"], outside["task_in"]) == (False, False)


@pytest.mark.needs("compiler", "bpf")
@pytest.mark.parametrize("words", [[], ["--cgroup", ""]])
def test_where_none_is_given_everybody_is_in_it(
    program: Callable[[str], Package], words: list[str]
) -> None:
    found = reported(program("cgroup"), *words)
    assert (found["wanted"], found["in"], found["task_in"]) == (0, True, True)


def loaded() -> set[str]:
    """List the IDs of the programs that this process has descriptors of."""
    infos = ""
    for path in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):  # closed since, as that of the folder itself
            infos += path.read_text()
    return set(re.findall(r"^prog_id:\s+(\d+)", infos, flags=re.MULTILINE))


@pytest.mark.needs("compiler", "bpf", "cgroup2", "bpftool")
def test_where_none_is_given_nobody_asks(program: Callable[[str], Package]) -> None:
    """The verifier takes out what is never reached: the option costs nothing without a value."""
    package = program("cgroup")
    one = package.objects[0]

    def called(*words: str) -> set[str]:
        tool = make_plan(package, one)
        before = loaded()
        with Session(tool, one.data, parse_arguments(tool, list(words)).values):
            (number,) = loaded() - before
            dump = ["bpftool", "prog", "dump", "xlated", "id", number]
            return set(re.findall(r"call (bpf_\w+)", subprocess.check_output(dump, text=True)))

    asking = "bpf_current_task_under_cgroup"
    assert asking not in called()
    with new_cgroup() as group:
        assert asking in called("-c", str(group))


@pytest.mark.needs("compiler", "bpf", "cgroup2")
def test_a_package_may_have_a_group_as_default(program: Callable[[str], Package]) -> None:
    from dataclasses import replace

    package = program("cgroup")
    with new_cgroup() as group:
        sections = tuple(
            replace(
                section,
                variables=tuple(
                    replace(one, value=str(group)) if one.name == "cgroup" else one
                    for one in section.variables
                ),
            )
            for section in package.sections
        )
        found = reported(replace(package, sections=sections))
        assert (found["wanted"], found["in"]) == (group.stat().st_ino, False)


@pytest.mark.needs("cgroup2")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/no/such", "there is no cgroup /no/such: No such file or directory"),
        ("no-such", f"there is no cgroup {cgroup_root()}/no-such: No such"),
        ("/etc/passwd", "there is no cgroup /etc/passwd: Not a directory"),
        ("/proc", "/proc is no folder of cgroup2"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_what_is_no_group_is_refused(path: str, reason: str) -> None:
    tool = plan(variable("cgroup", CGROUP, type="struct ebpm_cgroup", short="c"))
    with pytest.raises(InvalidParameter, match=reason) as caught:
        parse_arguments(tool, ["-c", path])
    assert caught.value.message.startswith("option -c: ")
    with pytest.raises(InvalidParameter, match=reason):
        assigned(tool, [("cgroup", path)])


def test_a_group_of_the_first_version_is_told_from_others(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    with pytest.raises(ValueError, match="is no folder of cgroup2: it is one of cgroup v1"):
        open_cgroup(str(tmp_path))
    (tmp_path / "cgroup.controllers").touch()
    os.close(open_cgroup(str(tmp_path)))
