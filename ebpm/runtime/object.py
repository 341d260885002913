"""A plan's object in the kernel: opened, its variables set, loaded; and what failures mean."""

from __future__ import annotations

import sys

from ebpm.btf import layout as kinds
from ebpm.btf.encode import encode
from ebpm.errors import FeatureMissing, InvalidParameter, LoadFailed
from ebpm.runtime.libbpf.binding import DEBUG, WARN, BpfObject, Libbpf, LibbpfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ebpm.plainjson import Json
    from ebpm.runtime.libbpf.binding import Map
    from ebpm.runtime.log import Log
    from ebpm.runtime.plan import MapPlan, Plan, ProgramPlan


def open_object(
    library: Libbpf,
    plan: Plan,
    data: bytes,
    log: Log,
    *,
    verbose: bool,
    pin: bool = False,
    btf: str | None = None,
) -> BpfObject:
    """Open a plan's object; the kernel does not know of it yet.

    Args:
        library: libbpf.
        plan: of the object.
        data: the object.
        log: takes libbpf's log.
        verbose: every line of it.
        pin: let maps that ask for it be pinned.
        btf: path of BTF to relocate against instead of the kernel's.

    Raises:
        FeatureMissing: this libbpf would give its USDT programs garbage for arguments.
        LoadFailed: libbpf cannot read it.
    """
    _check_usdt(library, plan)
    library.capture(log, DEBUG if verbose else WARN)
    try:
        return BpfObject(library, data, plan.object_name, btf, pin=pin)
    except LibbpfError as error:
        raise LoadFailed(
            f"libbpf cannot read the object of {plan.name}: {log.last() or error.strerror}"
        ) from None


def _check_usdt(library: Libbpf, plan: Plan) -> None:
    """Hold the object's layout of USDT arguments against libbpf's: nothing else would notice."""
    if plan.usdt_spec_size in (0, library.usdt_spec_size):
        return
    older = library.usdt_spec_size > plan.usdt_spec_size
    wanted = "a libbpf below 1.7" if older else "libbpf 1.7 or later"
    rebuild = "" if older else ", or build it again"
    raise FeatureMissing(
        f"the USDT programs of {plan.name} were compiled for {wanted}, and {library.path} is "
        f"{library.version}: their arguments would be garbage",
        hint=f"name another in the environment, EBPM_LIBBPF=/path/to/libbpf.so{rebuild}",
    )


def set_variables(bpf: BpfObject, plan: Plan, values: Mapping[str, Json]) -> None:
    """Write defaults and the given values into the data sections.

    Args:
        bpf: the open object.
        plan: knows where each variable lies.
        values: by variable name, as JSON; see :func:`ebpm.btf.encode.encode`.

    Raises:
        InvalidParameter: no such variable, or a value that it cannot hold.
    """
    known = {variable.name: variable for variable in plan.variables}
    for name in values:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidParameter(f"{plan.name} has no variable {name!r}; it has {names}")
    for variable in plan.variables:
        value = values.get(variable.name, variable.default)
        section = bpf.map(variable.section)
        memory = section.initial_value() if section and value is not None else None
        if value is None:
            continue
        if memory is None:
            raise LoadFailed(f"the object of {plan.name} has no section {variable.section}")
        before = memory.read(variable.offset, variable.layout.size)
        try:
            if variable.layout.kind == kinds.CGROUP:
                from ebpm.runtime.cgroup import stored

                value = stored(value)
            memory.write(variable.offset, encode(variable.layout, value, before))
        except ValueError as error:
            raise InvalidParameter(f"{variable.name}: {error}") from None


def move_programs(bpf: BpfObject, plan: Plan, programs: Sequence[ProgramPlan], log: Log) -> None:
    """Tell libbpf of the programs that go elsewhere than their sections say; before the load.

    Args:
        bpf: the open object.
        plan: what it was made from.
        programs: those of the plan that will be loaded.
        log: libbpf's, for the reasons of failures.

    Raises:
        HookNotFound: the kernel's BTF has no such function or tracepoint.
        AttachFailed, FeatureMissing: libbpf or the kernel cannot do it otherwise.
    """
    moved = {one.name: one for one in programs if one.retype is not None}
    if not moved:
        return
    from ebpm.runtime.libbpf.moved import retype

    for program in bpf.programs():
        one = moved.get(program.name)
        if one is None or one.retype is None:
            continue
        try:
            retype(program, *one.retype)
        except LibbpfError as error:
            from ebpm.runtime.failures import attach_error

            raise attach_error(error, one, plan, log, bpf.library) from None


def size_maps(bpf: BpfObject, plan: Plan) -> None:
    """Give maps the capacities that the plan has for them; before the load."""
    for one in plan.maps:
        if one.max_entries is not None:
            _map(bpf, plan, one.name).resize(one.max_entries)


def fill_maps(bpf: BpfObject, plan: Plan, given: Mapping[str, Json]) -> None:
    """Put in the entries of the plan, and the cgroup that an option names, after the load.

    Raises:
        InvalidParameter: there are more values than CPUs, or the cgroup is gone.
        LoadFailed: the kernel does not take an entry.
    """
    if any(one.layout.kind == kinds.CGROUP for one in plan.variables):
        from ebpm.runtime.cgroup import fill_array

        fill_array(bpf, plan, given)
    for one in plan.maps:
        if not one.entries:
            continue
        target = _map(bpf, plan, one.name)
        for key, values in one.entries:
            try:
                data = _entry_value(bpf, one, values)
                target.update(None if key is None else bytes.fromhex(key), data)
            except LibbpfError as error:
                raise LoadFailed(
                    f"map {one.name!r} of {plan.name} does not take the entry with key "
                    f"{key or 'none'}: {error.strerror}"
                ) from None


def _entry_value(bpf: BpfObject, one: MapPlan, values: list[str]) -> bytes:
    """Put a value together as the kernel takes it: of each CPU, or the descriptor of what it is."""
    if one.refers is not None:
        things = bpf.maps() if one.refers == "map" else bpf.programs()
        (found,) = (thing for thing in things if thing.name == values[0])
        return found.fd.to_bytes(4, sys.byteorder)
    data = [bytes.fromhex(value) for value in values]
    if not one.per_cpu:
        return data[0]
    cpus = bpf.library.possible_cpus
    if len(data) > cpus:
        raise InvalidParameter(
            f"map {one.name!r} is given values for {len(data)} CPUs, and there are {cpus}"
        )
    data = [value + bytes(-len(value) % 8) for value in data]
    data = data * cpus if len(data) == 1 else data
    return b"".join(data) + bytes(len(data[0]) * (cpus - len(data)))


def _map(bpf: BpfObject, plan: Plan, name: str) -> Map:
    found = bpf.map(name)
    if found is None:
        raise LoadFailed(f"the object of {plan.name} has no map {name!r}")
    return found


def load(bpf: BpfObject, plan: Plan, log: Log) -> None:
    """Load an object into the kernel.

    Raises:
        PermissionMissing: this process lacks a capability.
        BtfMissing: the kernel has no BTF.
        ProgramRejected: the verifier refused a program.
        HookNotFound: a program names a kernel function or tracepoint that is not there.
        FeatureMissing, LoadFailed: the kernel or libbpf cannot do it otherwise.
    """
    try:
        bpf.load()
    except LibbpfError as error:
        from ebpm.runtime.failures import load_error

        raise load_error(error, plan, log, bpf) from None
