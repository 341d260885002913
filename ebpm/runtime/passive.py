"""Programs that wait for nobody: iterators, syscall programs, struct_ops, entries of maps."""

from __future__ import annotations

from ebpm.errors import InvalidParameter
from ebpm.runtime.libbpf import attachments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpm.runtime.attach import Attacher, Attachment
    from ebpm.runtime.libbpf.binding import Program
    from ebpm.runtime.plan import ProgramPlan

_STRUCT_OPS_PROGRAM, _STRUCT_OPS_MAP = 27, 26  # enum bpf_prog_type, enum bpf_map_type


class Reading:
    """An iterator: what its program writes is the output."""

    def __init__(self, name: str, iterator: attachments.Iterator) -> None:
        self.name = name
        self._iterator = iterator

    def text(self) -> str:
        """Walk once; give what the program wrote."""
        return self._iterator.text().decode("utf-8", "replace")

    def close(self) -> None:
        """Detach. May be called twice."""
        self._iterator.close()


class Result:
    """A program that has run."""

    def __init__(self, name: str, value: int) -> None:
        self.name = name
        self.value = value  # an int of C

    def close(self) -> None:
        """Nothing is left of it."""


def attach_iterator(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Make an iterator."""
    map_fd = 0
    if "map" in one.options:
        target = program.owner.map(str(one.options["map"]))
        if target is None:
            names = ", ".join(each.name for each in program.owner.maps()) or "none"
            raise InvalidParameter(f"the object has no map {one.options['map']!r}; it has {names}")
        map_fd = target.fd
    elif one.section.endswith("/bpf_map_elem"):
        raise InvalidParameter(
            f"program {one.name!r} at {one.section} walks a map, and none is named",
            hint=f"--attach {one.name}=map=NAME",
        )
    pid = int(one.options.get("pid", 0))
    return [Reading(one.name, attachments.attach_iterator(program, map_fd=map_fd, pid=pid))]


def run_syscall(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Run a program once."""
    return [Result(one.name, attachments.run_once(program))]


def attach_struct_ops(program: Program, one: ProgramPlan) -> Sequence[Attachment]:
    """Register the object's struct_ops maps, with the first of their programs."""
    first = next(each for each in program.owner.programs() if each.type == _STRUCT_OPS_PROGRAM)
    if first.name != one.name:
        return []
    maps = [each for each in program.owner.maps() if each.type == _STRUCT_OPS_MAP]
    done: list[Attachment] = []
    for each in maps:
        try:
            done.append(attachments.attach_struct_ops(each))
        except BaseException:
            for link in done:
                link.close()
            raise
    return done


ATTACHERS: dict[str, Attacher] = {
    "iter": attach_iterator,
    "syscall": run_syscall,
    "struct_ops": attach_struct_ops,
    "entry": lambda _program, _one: [],  # whoever owns the map puts it in
}
