"""A tool's command line, made from its variables."""

from __future__ import annotations

from ebpm.btf import layout as kinds
from ebpm.btf.encode import encode
from ebpm.errors import InvalidParameter
from ebpm.plainjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.btf.layout import Layout
    from ebpm.plainjson import Json
    from ebpm.runtime.plan import Plan, VariablePlan

_BUILT_IN = {  # a tool's own option of the same name wins, and its row takes the place
    "help": "shows help message and exits",
    "version": "prints version information and exits",
    "verbose": "prints libbpf debug information",
}
_SHORT = {"h": "help", "v": "version", "V": "version"}  # -V is the Rust loader's
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class ToolArguments:
    """What a tool's command line says."""

    __slots__ = ("help", "run", "values", "verbose", "version")

    def __init__(self) -> None:
        self.run: dict[str, Json] = {}  # what it says of the run: "sort", "rows"
        self.values: dict[str, Json] = {}  # by variable name
        self.help = False
        self.version = False
        self.verbose = False


def parse_arguments(plan: Plan, arguments: list[str]) -> ToolArguments:
    """Read a tool's own arguments.

    A variable's option wins over the built-in one of the same name (``--verbose``, ``-v``, …).

    Raises:
        InvalidParameter: an unknown option, a missing value, or one that is not of the type.
    """
    parser = _Parser(plan, arguments)
    while parser.rest:
        parser.step()
    return parser.result


def assigned(plan: Plan, pairs: list[tuple[str, str]]) -> dict[str, Json]:
    """Read ``--set VARIABLE=VALUE``: variables by their names in the source, values as text.

    Raises:
        InvalidParameter: no such variable, or a value that is not of its type.
    """
    known = {variable.name: variable for variable in plan.variables}
    values: dict[str, Json] = {}
    for name, text in pairs:
        variable = known.get(name)
        if variable is None:
            from difflib import get_close_matches

            near = get_close_matches(name, known, 1)
            raise InvalidParameter(
                f"{plan.name} has no variable {name!r}",
                hint=f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}",
            )
        values[name] = _read(variable, text, f"--set {name}")
    return values


def _read(variable: VariablePlan, text: str, option: str) -> Json:
    """Read a variable's value, and see whether it fits."""
    try:
        value = held = value_of(variable.layout, text)
        if variable.layout.kind == kinds.CGROUP:
            from ebpm.runtime.cgroup import stored

            held = stored(value)
        encode(variable.layout, held)
    except ValueError as error:
        raise InvalidParameter(
            f"{option}: {error}, for variable {variable.name} of type {variable.type}"
        ) from None
    return value


class _Parser:
    def __init__(self, plan: Plan, arguments: list[str]) -> None:
        self.plan = plan
        self.rest = list(arguments)
        self.result = ToolArguments()
        self._long: dict[str, VariablePlan] = {}
        self._short: dict[str, VariablePlan] = {}
        self._forced: dict[str, tuple[VariablePlan, bool]] = {}
        # An option goes by its own name; by that of its variable where no other option has it.
        named = [(variable.long, variable) for variable in plan.variables]
        named += [(variable.name, variable) for variable in plan.variables]
        named += [(one.long, one) for one in plan.arguments]
        for long, variable in named:
            for name in (long, long.replace("_", "-")):
                self._long.setdefault(name, variable)
                if variable.layout.kind == kinds.BOOL:
                    self._forced.setdefault(f"enable-{name}", (variable, True))
                    self._forced.setdefault(f"disable-{name}", (variable, False))
        for variable in (*plan.variables, *plan.arguments):
            if variable.short:
                self._short.setdefault(variable.short, variable)

    def step(self) -> None:
        """Read one argument, and its value if it has one."""
        word = self.rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            self._long_option(name, value if equals else None)
        elif word.startswith("-") and len(word) > 1:
            self._short_options(word[1:])
        else:
            raise InvalidParameter(
                f"{self.plan.name} takes no argument {word!r}", hint=self._help_hint()
            )

    def _long_option(self, name: str, value: str | None) -> None:
        if name in self._long:
            self._set(self._long[name], f"--{name}", value)
        elif name in self._forced and value is None:
            variable, state = self._forced[name]
            self.result.values[variable.name] = state
        elif name in _BUILT_IN and value is None:
            setattr(self.result, name, True)
        else:
            self._unknown(f"--{name}", [f"--{known}" for known in self._long])

    def _short_options(self, letters: str) -> None:
        while letters:
            letter, letters = letters[0], letters[1:]
            variable = self._short.get(letter)
            if variable is None:
                built_in = _SHORT.get(letter)
                if built_in is None:
                    self._unknown(f"-{letter}", [])
                setattr(self.result, str(built_in), True)
            elif variable.layout.kind == kinds.BOOL:
                self._set(variable, f"-{letter}", None)
            else:
                self._set(variable, f"-{letter}", letters.removeprefix("=") or None)
                return

    def _set(self, variable: VariablePlan, option: str, value: str | None) -> None:
        if value is None and variable.layout.kind == kinds.BOOL:
            self.result.values[variable.name] = True
            return
        if value is None:
            if not self.rest:
                raise InvalidParameter(
                    f"option {option} needs a value of type {variable.type}",
                    hint=self._help_hint(),
                )
            value = self.rest.pop(0)
        read = _read(variable, value, f"option {option}")
        (self.result.values if variable.section else self.result.run)[variable.name] = read

    def _unknown(self, option: str, known: list[str]) -> None:
        from difflib import get_close_matches

        near = get_close_matches(option, known, 1)
        hint = f"did you mean {near[0]}?" if near else self._help_hint()
        raise InvalidParameter(f"{self.plan.name} has no option {option}", hint=hint)

    def _help_hint(self) -> str:
        return f"`ebpm run {self.plan.name} --help` lists the options"


def value_of(layout: Layout, text: str) -> Json:
    """Read text as a value for a layout; ranges are checked where it is written.

    Raises:
        ValueError: it is not a value of this kind.
    """
    if layout.kind in (kinds.STRING, kinds.ADDRESS, kinds.CGROUP):
        return text
    if layout.kind == kinds.BOOL:
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        raise ValueError(f"{text!r} is not true or false")
    if layout.kind == kinds.FLOAT:
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
    if layout.kind in (*kinds.INTEGERS, kinds.POINTER, kinds.ENUM):
        return _integer(layout, text)
    try:
        value = loads(text)
    except ValueError:
        if layout.kind != kinds.ARRAY:
            raise ValueError(f"{text!r} is not JSON") from None
        value = None
    if layout.kind == kinds.ARRAY and layout.element and not isinstance(value, list | dict | str):
        element = layout.element  # 1,2,3, or 1 alone
        return [value_of(element, part.strip()) for part in text.split(",")]
    return value


def _integer(layout: Layout, text: str) -> Json:
    named = layout.kind == kinds.ENUM or layout.kind in kinds.NAMED
    if named and not text.lstrip("+-")[:1].isdecimal():
        return text
    digits = text.lstrip("+-").lower()
    try:
        return int(text, 0 if digits.startswith(("0x", "0o", "0b")) else 10)
    except ValueError:
        raise ValueError(f"{text!r} is not an integer") from None


def help_text(plan: Plan) -> str:
    """Write the tool's help in the layout of eunomia-bpf's manuals."""
    taken = {variable.long for variable in plan.variables} | {
        variable.short for variable in plan.variables
    }
    usage, rows = [], []
    for name, text in _BUILT_IN.items():
        if name not in taken:
            usage.append(f"[--{name}]")
            letter = name[0] if _SHORT.get(name[0]) == name and name[0] not in taken else None
            rows.append((_left(letter, name), text))
    for variable in (*plan.variables, *plan.arguments):
        flag = variable.layout.kind == kinds.BOOL
        usage.append(f"[--{variable.long}]" if flag else f"[--{variable.long} VAR]")
        text = variable.help or f"set value of {variable.type} variable {variable.name}"
        rows.append((_left(variable.short, variable.long), text))
    # The manuals' texts begin at a tab stop: their loader wrote a tab behind the longest name.
    width = (max(len(left) for left, _ in rows) + 2) // 8 * 8 + 5
    lines = [f"Usage: {plan.object_name} {' '.join(usage)}", "", plan.description, ""]
    lines += ["Optional arguments:"]
    indent = " " * (width + 3)
    lines += [f"  {left:<{width}} {text}".replace("\n", f"\n{indent}") for left, text in rows]
    if plan.epilog:
        lines += ["", plan.epilog]
    return "\n".join(lines) + "\n"


def _left(short: str | None, long: str) -> str:
    return f"-{short}, --{long}" if short else f"--{long}"
