"""The seam between packages and the kernel: all that a run needs to know, worked out beforehand.

A plan is made from a package once (:mod:`ebpm.runtime.planner`) and kept as JSON; running from a
kept one parses neither ELF nor BTF nor YAML. On the path of ``ebpm run``: imports nothing heavy.
"""

from __future__ import annotations

from ebpm.btf.layout import Layout
from ebpm.event import EVENTS
from ebpm.plainjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ebpm.plainjson import Json

FORMAT = 8
"""Of the kept form; another number means that the plan is made again."""

RINGBUF, PERF_EVENT_ARRAY, SAMPLED = "ringbuf", "perf_event_array", "sampled"


class VariablePlan:
    """A variable that can be set: where it lies, its type, and its command-line option."""

    __slots__ = ("default", "help", "layout", "long", "name", "offset", "section", "short", "type")

    def __init__(
        self,
        *,
        name: str,
        section: str,
        offset: int,
        layout: Layout,
        type: str,  # noqa: A002  # what it is
        long: str,
        short: str | None = None,
        help: str | None = None,  # noqa: A002
        default: Json = None,
    ) -> None:
        self.name = name
        self.section = section  # ".rodata"
        self.offset = offset  # bytes in the section
        self.layout = layout
        self.type = type  # C text, for people
        self.long = long  # without dashes
        self.short = short
        self.help = help
        self.default = default  # written unless the user gives a value; None: as the object has it


class ProgramPlan:
    """A program and its hook: ``kind`` "auto" is left to libbpf, others are attached here.

    One that goes elsewhere than its section in the object says has ``retype``: what libbpf is told
    before the load; see :class:`ebpm.package.sections.Retype`.
    """

    __slots__ = ("alternative", "kind", "name", "options", "origin", "retype", "section", "when")

    def __init__(
        self,
        *,
        name: str,
        section: str,
        kind: str,
        options: dict[str, Any],
        origin: str | None = None,
        retype: tuple[int | None, int, int, str | None] | None = None,
        alternative: Sequence[Any] | None = None,
        when: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.section = section  # where it goes
        self.origin = origin or section  # as the object has it
        self.kind = kind
        self.options = options
        self.retype = retype  # type, attach type, flags, target
        self.alternative = alternative  # group (text), rank (1 is tried first), perhaps "optional"
        self.when = when  # variables, one of which must not be zero; else it is not loaded


class SamplePlan:
    """How a sampled map is read (``@sample``)."""

    __slots__ = ("clear", "interval", "limit", "sort", "unit")

    def __init__(
        self, *, interval: int, unit: str, clear: bool, sort: str = "", limit: int = 0
    ) -> None:
        self.interval = interval  # milliseconds
        self.unit = unit  # heads its histograms
        self.clear = clear  # whether each reading empties it
        self.sort = sort  # columns, see ebpm.runtime.order
        self.limit = limit  # rows of a reading that are shown; 0: all


class StackPlan:
    """Where records hold a stack trace; see :class:`ebpm.event.StackFields`."""

    __slots__ = ("names", "symbols", "table")

    def __init__(self, *, names: dict[str, str], symbols: bool, table: str | None) -> None:
        self.names = names  # of the members, by their roles
        self.symbols = symbols
        self.table = table  # the stack-trace map that ids are of


class SourcePlan:
    """A map that reports events or is read, and the layout of a record; None if nobody knows it."""

    __slots__ = ("form", "kind", "layout", "map", "name", "sample", "stack", "unknown", "when")

    def __init__(
        self,
        *,
        map: str,  # noqa: A002
        kind: str,
        name: str,
        layout: Layout | None,
        form: str = EVENTS,
        sample: SamplePlan | None = None,
        stack: StackPlan | None = None,
        unknown: str | None = None,
        when: Sequence[str] = (),
    ) -> None:
        self.map = map
        self.kind = kind  # RINGBUF, PERF_EVENT_ARRAY or SAMPLED
        self.name = name  # shown to people: the map's
        self.layout = layout  # with the members to show, in order; of a sampled map, its entries'
        self.form = form  # see ebpm.event
        self.sample = sample
        self.stack = stack
        self.unknown = unknown  # why there is no layout
        self.when = when  # variables, one of which must be given; else nothing is read


class MapPlan:
    """What is done to a map before the programs are attached.

    ``entries`` are keys and values as bytes, in hex; the key is None where the kind of map has no
    keys. A value of a per-CPU map is a list: of the one value for all CPUs, or of one for each. Of
    a map that ``refers`` to others, the values are names.
    """

    __slots__ = ("entries", "max_entries", "name", "per_cpu", "refers")

    def __init__(
        self,
        *,
        name: str,
        max_entries: int | None,
        per_cpu: bool,
        entries: list[tuple[str | None, list[str]]],
        refers: str | None = None,
    ) -> None:
        self.name = name
        self.max_entries = max_entries  # None: as the object has it
        self.per_cpu = per_cpu
        self.entries = entries
        self.refers = refers  # to a "program" or a "map" of the object


class CounterPlan:
    """A variable in which the program counts what it could not report (``@lost``)."""

    __slots__ = ("layout", "name", "offset", "section")

    def __init__(self, *, name: str, section: str, offset: int, layout: Layout) -> None:
        self.name = name
        self.section = section
        self.offset = offset
        self.layout = layout


class Plan:
    """Everything about one object on one platform."""

    __slots__ = (
        "arguments",
        "description",
        "epilog",
        "lost",
        "maps",
        "name",
        "object_digest",
        "object_name",
        "object_size",
        "perf_pages",
        "poll_timeout",
        "printk",
        "programs",
        "sources",
        "trims",
        "usdt_spec_size",
        "variables",
        "version",
    )

    def __init__(
        self,
        *,
        name: str,
        object_name: str,
        object_digest: str,
        object_size: int,
        version: str | None,
        description: str,
        epilog: str | None,
        variables: list[VariablePlan],
        programs: list[ProgramPlan],
        sources: list[SourcePlan],
        lost: list[CounterPlan],
        maps: list[MapPlan],
        perf_pages: int,
        poll_timeout: int,
        printk: list[str] | bool = False,
        usdt_spec_size: int,
        trims: bool,
        arguments: Sequence[VariablePlan] = (),
    ) -> None:
        self.name = name
        self.object_name = object_name
        self.object_digest = object_digest  # sha256:…
        self.object_size = object_size  # bytes
        self.version = version
        self.description = description
        self.epilog = epilog
        self.variables = variables
        self.programs = programs
        self.sources = sources
        self.lost = lost
        self.maps = maps  # only those that something is done to
        self.perf_pages = perf_pages  # per CPU, a power of two
        self.poll_timeout = poll_timeout  # milliseconds
        # What bpf_printk prints is the output: the formats, True if they are not known, else False.
        self.printk = printk
        self.usdt_spec_size = usdt_spec_size  # bytes, as the object has it; 0 without USDT
        self.arguments = list(arguments)  # options that are the run's: "sort" and "rows"
        self.trims = trims  # whether a part of the kernel's BTF is all that libbpf needs of it

    def sources_for(self, values: Mapping[str, Json]) -> list[SourcePlan]:
        """List the sources but for those that wait for an option (``@when``) that is not given."""
        given = {one.name for one in self.variables if values.get(one.name, one.default)}
        return [
            one for one in self.sources if not one.when or any(name in given for name in one.when)
        ]

    def dump(self) -> str:
        """Write the plan as JSON."""
        plain = {slot: getattr(self, slot) for slot in _PLAIN}
        return dumps(
            plain
            | {
                "format": FORMAT,
                "variables": [_dump(one) for one in self.variables],
                "arguments": [_dump(one) for one in self.arguments],
                "programs": [_dump(one) for one in self.programs],
                "sources": [_dump(one) for one in self.sources],
                "lost": [_dump(one) for one in self.lost],
                "maps": [_dump(one) for one in self.maps],
            }
        )

    @classmethod
    def load(cls, text: str | bytes) -> Plan | None:
        """Read what :meth:`dump` wrote; None where that was another version, or is damaged."""
        try:
            data: Any = loads(text)
            if data["format"] != FORMAT:
                return None
            return cls(
                **{slot: data[slot] for slot in _PLAIN},
                variables=[VariablePlan(**_load(one)) for one in data["variables"]],
                arguments=[VariablePlan(**_load(one)) for one in data["arguments"]],
                programs=[ProgramPlan(**_load(one)) for one in data["programs"]],
                sources=[SourcePlan(**_load(one)) for one in data["sources"]],
                lost=[CounterPlan(**_load(one)) for one in data["lost"]],
                maps=[MapPlan(**one) for one in data["maps"]],
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None


_PLAIN = (
    "name",
    "object_name",
    "object_digest",
    "object_size",
    "version",
    "description",
    "epilog",
    "perf_pages",
    "poll_timeout",
    "printk",
    "usdt_spec_size",
    "trims",
)


def _dump(one: Any) -> dict[str, Any]:  # noqa: ANN401  # any of the parts
    fields = {slot: getattr(one, slot) for slot in one.__slots__}
    if fields.get("layout") is not None:
        fields["layout"] = fields["layout"].dump()
    for part in ("sample", "stack"):
        if fields.get(part) is not None:
            fields[part] = _dump(fields[part])
    return fields


def _load(fields: dict[str, Any]) -> dict[str, Any]:
    if fields.get("layout") is not None:
        fields["layout"] = Layout.load(fields["layout"])
    if fields.get("sample") is not None:
        fields["sample"] = SamplePlan(**fields["sample"])
    if fields.get("stack") is not None:
        fields["stack"] = StackPlan(**fields["stack"])
    return fields
