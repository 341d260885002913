"""From package to plan. Pure: the same package gives the same plan on any machine."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from ebpm.btf import layout as kinds
from ebpm.btf import types as t
from ebpm.btf.core import TYPE_ID_TARGET, relocations
from ebpm.btf.encode import encode
from ebpm.btf.layout import Layout
from ebpm.errors import InvalidPackage, InvalidParameter
from ebpm.package.describe import DUMMIES, ObjectFacts, VariableFact, describe
from ebpm.package.hook import Hook, alternative_of, hook_of, when_of
from ebpm.package.model import ObjectFile, Package, ProgramSpec, Variable
from ebpm.package.printk import printed_formats
from ebpm.package.sections import find_section, retype
from ebpm.runtime.entries import plan_maps
from ebpm.runtime.params import value_of
from ebpm.runtime.plan import CounterPlan, Plan, ProgramPlan, VariablePlan
from ebpm.runtime.sources import make_sources, table_options

DEFAULT_DESCRIPTION = "A simple eBPF program"
EUNOMIA_EPILOG = (  # of packages that eunomia-bpf's compiler made, as its loaders print it
    "Built with eunomia-bpf framework.\n"
    "See https://github.com/eunomia-bpf/eunomia-bpf for more information."
)
_USDT_SPECS = "__bpf_usdt_specs"  # the map of usdt.bpf.h that libbpf describes arguments in
_IN_SECTIONS = ("direction", "binary", "function", "provider", "name")  # a new one says it anew
_PERF_PAGES = 64  # per CPU, as eunomia-bpf's metadata has it


def make_plan(package: Package, one: ObjectFile) -> Plan:
    """Work out how to run one object of a package.

    Raises:
        InvalidPackage: the metadata speaks of what the object does not have.
        InvalidObject: the object is not a BPF object, or is damaged.
    """
    facts = describe(one.data)
    variables = {(fact.section, fact.name): fact for fact in facts.variables}
    doc = package.documentation
    sources = make_sources(package, facts)
    return Plan(
        name=package.name,
        object_name=package.object_name,
        object_digest=str(one.digest),
        object_size=len(one.data),
        version=package.version,
        description=doc.brief or doc.description or DEFAULT_DESCRIPTION,
        epilog=doc.details or (EUNOMIA_EPILOG if "eunomia_version" in package.extra else None),
        variables=[
            _variable(fact, variable, facts)
            for section, variable in [*package.variables, *_unmentioned(package, facts)]
            if (fact := _fact(section, variable, variables)) and not _counts(variable)
        ],
        programs=[_program(program, facts) for program in package.programs],
        sources=sources,
        printk=False if sources else _printk(facts),
        lost=[
            CounterPlan(
                name=fact.name,
                section=fact.section,
                offset=fact.offset,
                layout=facts.layout(fact.type_id),
            )
            for section, variable in package.variables
            if _counts(variable) and (fact := variables.get((section, variable.name)))
        ],
        maps=plan_maps(package.maps, facts),
        perf_pages=_perf_pages(package.settings.get("perf_buffer_pages")),
        poll_timeout=_positive(package.settings.get("poll_timeout_ms"), 100),
        usdt_spec_size=next((one.value_size for one in facts.maps if one.name == _USDT_SPECS), 0),
        trims=_trims(one.data, facts),
        arguments=table_options(package, sources),
    )


def _trims(data: bytes, facts: ObjectFacts) -> bool:
    """Whether libbpf can do with a trimmed BTF: it asks the kernel's for fields and sizes alone.

    Ids of types would be others, and what libbpf looks up for programs, variables and functions of
    the kernel makes it read the whole anyway.
    """
    local, asked = relocations(data)
    if local is None or not asked or any(one.kind == TYPE_ID_TARGET for one in asked):
        return False
    if local.find(t.KIND_DATASEC, ".ksyms"):
        return False
    sections = [find_section(one.section) for one in facts.programs]
    return not any(one is None or one.by_btf for one in sections)


def _unmentioned(package: Package, facts: ObjectFacts) -> list[tuple[str, Variable]]:
    """List the object's variables that the metadata does not have: they can be set all the same."""
    known = {(section, variable.name) for section, variable in package.variables}
    return [
        (fact.section, Variable(name=fact.name, type=fact.type))
        for fact in facts.variables
        if (fact.section, fact.name) not in known
    ]


def _printk(facts: ObjectFacts) -> list[str] | bool:
    formats = printed_formats(facts)
    return True if formats is None else (formats or False)


def _counts(variable: Variable) -> bool:
    """Whether the program itself counts lost events in the variable (``@lost``)."""
    return bool(variable.extra.get("lost"))


def _fact(
    section: str, variable: Variable, known: dict[tuple[str, str], VariableFact]
) -> VariableFact | None:
    if variable.name.startswith(DUMMIES):
        return None
    fact = known.get((section, variable.name))
    if fact is None and variable.value is not None:
        near = get_close_matches(variable.name, [name for _, name in known], 1)
        raise InvalidPackage(
            f"variable {variable.name!r} of section {section} is given a value, and the object "
            "does not have it",
            hint=f"did you mean {near[0]}?" if near else "correct its name, or leave the value out",
        )
    return fact


def _variable(fact: VariableFact, variable: Variable, facts: ObjectFacts) -> VariablePlan:
    option = variable.option
    layout = facts.layout(fact.type_id)
    default = variable.value
    if option is not None and option.default is not None:
        default = option.default
    if default is not None:
        default = _default(fact, layout, default)
    short = option.short if option else None
    if short is not None and len(short) != 1:
        raise InvalidPackage(
            f"variable {variable.name!r}: the short option {short!r} is not one letter"
        )
    return VariablePlan(
        name=variable.name,
        section=fact.section,
        offset=fact.offset,
        layout=layout,
        type=fact.type,
        long=(option.long if option else None) or variable.name,
        short=short,
        help=(option.help if option else None) or variable.description,
        default=default,
    )


def _default(fact: VariableFact, layout: Layout, value: Any) -> Any:  # noqa: ANN401  # JSON
    """Check a default; numbers as text, and text that YAML took for a number, are understood."""
    try:
        if isinstance(value, str) and layout.kind not in (kinds.STRING, kinds.ENUM, kinds.ARRAY):
            value = value_of(layout, value)
        elif layout.kind == kinds.STRING and type(value) in (int, float):
            value = str(value)
        if layout.kind != kinds.CGROUP or not isinstance(value, str):  # a path: the run resolves it
            encode(layout, value)
    except ValueError as error:
        raise InvalidPackage(
            f"variable {fact.name!r} of type {fact.type} has a value that it cannot hold: {error}",
            hint="correct its value or cmdarg.default in the package's metadata",
        ) from None
    return value


def _program(program: ProgramSpec, facts: ObjectFacts) -> ProgramPlan:
    origins = {fact.name: fact.section for fact in facts.programs}
    if program.name not in origins:
        known = ", ".join(origins) or "none"
        raise InvalidPackage(
            f"the metadata names a program {program.name!r}, and the object has {known}"
        )
    hook = hook_of(program)
    alternative = alternative_of(program)
    plan = ProgramPlan(
        name=program.name,
        section=hook.section,
        kind=hook.kind,
        options=dict(hook.options),
        origin=origins[program.name],
        alternative=list(alternative) if alternative else None,
        when=when_of(
            f"program {program.name}",
            program.extra.get("when"),
            [fact.name for fact in facts.variables],
        ),
    )
    try:
        move(plan, hook)
    except InvalidParameter as error:
        raise InvalidPackage(f"program {program.name}: {error.message}", hint=error.hint) from None
    return plan


def move(plan: ProgramPlan, hook: Hook) -> None:
    """Have a program go to a hook; options that the hook does not give stay, if it takes them.

    Raises:
        InvalidParameter: the program cannot go there; the message says why.
    """
    told = retype(plan.origin, hook.section)
    kept = plan.options if hook.kind == plan.kind else {}
    if hook.section != plan.section:
        kept = {name: value for name, value in kept.items() if name not in _IN_SECTIONS}
    plan.section, plan.kind = hook.section, hook.kind
    plan.options = {**kept, **hook.options}
    plan.retype = (told.type, told.attach_type, told.flags, told.target) if told else None


def _perf_pages(value: Any) -> int:  # noqa: ANN401  # JSON
    """Read the size of perf buffers: a power of two, as perf_event_open(2) wants it."""
    pages = _positive(value, _PERF_PAGES)
    return 1 << (min(pages, 1 << 16) - 1).bit_length()


def _positive(value: Any, default: int) -> int:  # noqa: ANN401  # JSON
    return (
        value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default
    )
