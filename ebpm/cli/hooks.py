"""``--attach [PROGRAM=]HOOK``: programs moved to other hooks for one run."""

from __future__ import annotations

from collections.abc import Sequence

from ebpm.errors import InvalidParameter, UsageError
from ebpm.package.hook import OPTION_NAMES, parse_hook, suits
from ebpm.runtime.plan import Plan, ProgramPlan
from ebpm.runtime.planner import move


def move_hooks(plan: Plan, hooks: Sequence[str]) -> None:
    """Change a plan by what ``--attach`` says.

    Without a program, the only one moves; of several, those that take options.

    Raises:
        UsageError: no such program, or none that takes options.
        InvalidParameter: the hook is malformed, or not one that the program can go to.
    """
    programs = {one.name: one for one in plan.programs}
    for text in hooks:
        name, equals, hook = text.partition("=")
        if equals and name in programs:
            _move(programs[name], hook)
            continue
        if equals and name.isidentifier() and name not in OPTION_NAMES:
            raise UsageError(
                f"{plan.name} has no program {name!r}", hint=f"it has {', '.join(programs)}"
            )
        movable = [one for one in plan.programs if suits(text, one.section)]
        if len(plan.programs) == 1:
            movable = plan.programs
        if not movable:
            raise UsageError(
                f"{plan.name} has several programs: which of them is to move to {text}?",
                hint=f"write --attach PROGRAM={text}; the programs are {', '.join(programs)}",
            )
        for one in movable:
            _move(one, text)


def _move(program: ProgramPlan, text: str) -> None:
    hook = parse_hook(text, program.section)
    try:
        move(program, hook)
    except InvalidParameter as error:
        raise InvalidParameter(
            f"program {program.name!r}: {error.message}", hint=error.hint
        ) from None
