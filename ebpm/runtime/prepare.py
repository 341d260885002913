"""Between opening an object and loading it: which of its programs are loaded, and as what."""

from __future__ import annotations

import os

from ebpm.errors import FeatureMissing, HookNotFound, InvalidParameter, LoadFailed
from ebpm.runtime.libbpf.binding import LibbpfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.errors import EbpmError
    from ebpm.runtime.libbpf.binding import BpfObject, Program
    from ebpm.runtime.plan import Plan, ProgramPlan

_NOTHING = float("inf")  # a rank that no program has


class Choice:
    """Which programs of a plan are used: of alternatives, those of one rank at a time.

    Those in a section that begins with ``?`` are not, until a hook without it is asked for; nor
    those whose variable (``@when``) is zero, once :meth:`look` has seen it.

    The best ranks come first; :meth:`next` goes on where the kernel refuses one. Of a group that is
    optional the last rank has no programs.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._off: set[str] = set()
        self._ranks: dict[str, list[float]] = {}  # what is left of each group, the best first
        for one in plan.programs:
            if one.alternative and not one.section.startswith("?"):
                group, rank, *optional = one.alternative
                ranks = self._ranks.setdefault(group, [])
                ranks += {rank, _NOTHING} - {*ranks} if optional else {rank} - {*ranks}
                ranks.sort()

    @property
    def programs(self) -> list[ProgramPlan]:
        """Those to be loaded and attached now, in the plan's order."""
        return [one for one in self._plan.programs if self._is_used(one)]

    def _is_used(self, one: ProgramPlan) -> bool:
        if one.section.startswith("?") or one.name in self._off:
            return False
        return not one.alternative or self._ranks[one.alternative[0]][0] == one.alternative[1]

    def look(self, bpf: BpfObject) -> None:
        """See which variables are zero that programs wait for; once they are set."""
        waiting = [one for one in self._plan.programs if one.when]
        names = {name for one in waiting for name in one.when}
        zero = set()
        for place in [one for one in self._plan.variables if one.name in names]:
            section = bpf.map(place.section)
            memory = section.initial_value() if section else None
            if memory and not any(memory.read(place.offset, place.layout.size)):
                zero.add(place.name)
        self._off = {one.name for one in waiting if zero.issuperset(one.when)}

    def next(self, error: EbpmError) -> bool:
        """Give up the rank of the program that an error is about; False if that was the last.

        An error that names no program may be any group's: those give up a rank one after another.
        """
        named = [one for one in self.programs if one.name == error.program]
        groups = [one.alternative[0] for one in named if one.alternative]
        if not named:
            groups = list(self._ranks)
        for group in groups:
            if len(self._ranks[group]) > 1:
                self._ranks[group].pop(0)
                return True
        return False

    @property
    def taken(self) -> list[tuple[str, str, str]]:
        """The alternatives that are used: group, program, section."""
        return [
            (one.alternative[0], one.name, one.section) for one in self.programs if one.alternative
        ]


class Preparation:
    """Tells libbpf what it cannot know; holds what must stay open until the object is loaded."""

    def __init__(self, bpf: BpfObject, plan: Plan, choice: Choice) -> None:
        self._fds: list[int] = []
        used = {one.name: one for one in choice.programs}
        planned = {one.name for one in plan.programs}
        try:
            for program in bpf.programs():
                if program.name in used:
                    self._prepare(bpf, program, used[program.name])
                elif program.name in planned:
                    program.leave_out()
        except BaseException:
            self.close()
            raise

    def _prepare(self, bpf: BpfObject, program: Program, one: ProgramPlan) -> None:
        if one.origin.startswith("?"):
            program.set("bpf_program__set_autoload", True)  # asked for: its plan says no "?"
        if program.type == 0:
            give_type(bpf, program, one)
        if one.kind == "freplace":
            self._replace(bpf, program, one)

    def _replace(self, bpf: BpfObject, program: Program, one: ProgramPlan) -> None:
        from ebpm.runtime.libbpf.attachments import program_descriptor, set_target

        target = str(one.options.get("prog", ""))
        function = one.section.partition("/")[2]
        if not target or not function:
            raise InvalidParameter(
                f"program {one.name!r} at {one.section} replaces a function of a program, and "
                f"{'no function' if target else 'no program'} is named",
                hint=f"--attach {one.name}=freplace/FUNCTION,prog=ID",
            )
        try:
            fd = program_descriptor(bpf.library, target)
            self._fds.append(fd)
            set_target(program, fd, function)
        except LibbpfError as error:
            raise HookNotFound(
                f"program {target} has no function {function!r} to be replaced: {error.strerror}",
                hint="`bpftool prog` lists the programs; the function must be global",
            ) from None

    def close(self) -> None:
        """Let go of what was open. May be called twice."""
        while self._fds:
            os.close(self._fds.pop())


def give_type(bpf: BpfObject, program: Program, one: ProgramPlan) -> None:
    """Give a program the type of the longest name that its section begins with and libbpf knows.

    libbpf before 1.0 did so: ``socket1`` is ``socket``, ``xdp/mine`` is ``xdp``.

    Raises:
        FeatureMissing: this libbpf is too old for the section.
        LoadFailed: no libbpf knows such a section.
    """
    from ebpm.runtime.failures import too_old
    from ebpm.runtime.features import feature_of

    section = one.section.removeprefix("?")
    feature = feature_of(section)
    if feature and (why := too_old(feature, bpf.library)):
        raise FeatureMissing(f"program {one.name!r} needs {why}")
    for end in range(len(section) - 1, 1, -1):
        if not section[end].isalpha() and program.set_type(section[:end]):
            return
    raise LoadFailed(
        f"libbpf knows no section {section!r}, so program {one.name!r} has no type",
        hint="docs/spec/hooks.md lists the sections",
    )
