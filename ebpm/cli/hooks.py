"""``--attach [PROGRAM=]HOOK``: programs moved to other hooks for one run."""

from __future__ import annotations

from collections.abc import Sequence

from ebpm.errors import UsageError
from ebpm.package.hook import AUTO, OPTION_NAMES, parse_hook
from ebpm.runtime.plan import Plan, ProgramPlan


def move_hooks(plan: Plan, hooks: Sequence[str]) -> None:
    """Change a plan by what ``--attach`` says; without a program, all that take options move.

    Raises:
        UsageError: no such program, or none that takes options.
        InvalidParameter: the hook is malformed.
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
        movable = [one for one in plan.programs if one.kind != AUTO]
        if not movable:
            raise UsageError(f"no program of {plan.name} takes --attach {text}")
        for one in movable:
            _move(one, text)


def _move(program: ProgramPlan, text: str) -> None:
    hook = parse_hook(text, program.section)
    if hook.kind != program.kind:
        raise UsageError(f"program {program.name!r} at {program.section} cannot move to {text}")
    program.section = hook.section
    program.options = {**program.options, **hook.options}
