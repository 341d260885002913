"""The options of ``ebpm run``: one table, read by the fast parser and by the click command."""

from __future__ import annotations

from ebpm.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def seconds(text: str) -> float:
    """Read a duration: ``3s``, ``500ms``, ``2m``, ``1h``, or plain seconds."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    unit = next((one for one in units if text.endswith(one)), "")
    number = text.removesuffix(unit)
    try:
        value = float(number) * units.get(unit, 1.0)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise ValueError(f"{text!r} is no duration, such as 3s or 500ms")
    return value


def positive(text: str) -> int:
    """Read a count."""
    if not text.isdecimal() or not int(text):
        raise ValueError(f"{text!r} is no count above zero")
    return int(text)


def natural(text: str) -> int:
    """Read a count that may be zero."""
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no count")
    return int(text)


def assignment(text: str) -> tuple[str, str]:
    """Read ``NAME=VALUE``; the value may hold more of the same sign."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    return name, value


def one_of(*words: str) -> Callable[[str], str]:
    """Make a reader of one of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}")
        return text

    return read


class Option:
    """One option. ``read`` is None for a flag; ``many`` collects all values in a list."""

    __slots__ = ("help", "key", "many", "metavar", "names", "read")

    def __init__(
        self,
        *names: str,
        help: str,  # noqa: A002  # as click calls it
        metavar: str = "",
        read: Callable[[str], Any] | None = None,
        many: bool = False,
    ) -> None:
        self.names = names
        self.key = max(names, key=len).lstrip("-").replace("-", "_")
        self.help = help
        self.metavar = metavar
        self.read = read
        self.many = many


RUN_OPTIONS = (
    Option("-j", "--json", help="Print events as JSON, one object a line."),
    Option("-o", "--output", metavar="FILE", read=str, help="Write events to FILE."),
    Option(
        "-d", "--duration", metavar="TIME", read=seconds, help="Stop after TIME: 3s, 500ms, 2m."
    ),
    Option("-c", "--count", metavar="N", read=positive, help="Stop after N events."),
    Option("--timestamps", help="Print dates and times by RFC 3339, in tables and in JSON."),
    Option(
        "--interval", metavar="TIME", read=seconds, help="Read the sampled maps every TIME: 1s."
    ),
    Option(
        "--sort",
        metavar="COLUMNS",
        read=str,
        help="Sort the rows of sampled tables: R_BYTES, -PID,+COMM, READS+WRITES.",
    ),
    Option(
        "--rows",
        metavar="N",
        read=natural,
        help="Print the first N rows of each reading of sampled tables; 0 prints all.",
    ),
    Option("--per-cpu", help="Show each CPU's value of per-CPU maps rather than their sum."),
    Option("--folded", help="Count stack traces, and print them folded at the end."),
    Option(
        "--flamegraph",
        metavar="FILE",
        read=str,
        help="Draw stack traces as FILE, a SVG, at the end.",
    ),
    Option(
        "--set",
        metavar="VARIABLE=VALUE",
        read=assignment,
        many=True,
        help="Set a variable of the tool by its name in the source. May be repeated.",
    ),
    Option(
        "--attach",
        metavar="[PROGRAM=]HOOK",
        read=str,
        many=True,
        help="Attach elsewhere, e.g. xdp,dev=eth0 (docs/spec/hooks.md). May be repeated.",
    ),
    Option("--pin", help="Pin the maps that ask for it below /sys/fs/bpf, and leave them there."),
    Option(
        "--pull",
        metavar="WHEN",
        read=one_of("missing", "always"),
        help="Ask the registry for a reference: missing (if the store has it not), always.",
    ),
    Option(
        "--btf",
        metavar="FILE",
        read=str,
        help="Take the kernel's types from FILE. [environment: BTF_FILE_PATH]",
    ),
    Option(
        "--type",
        metavar="TYPE",
        read=one_of("json", "yaml", "tar", "wasm", "o", "c"),
        help="What TARGET holds, whatever it looks like: json, yaml, tar, wasm, o, c.",
    ),
    Option("--no-cache", help="Download again what comes from a URL."),
    Option("--plain-http", help="Speak plain http to the registry."),
    Option("--offline", help="Use no network: what is not here is an error."),
    Option("--verbose", help="Print libbpf's log to standard error."),
    Option("--debug", help="Show Python's traceback of an error."),
)


def parse(options: tuple[Option, ...], arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Read options up to the first word that is none; give their values and the rest.

    Raises:
        UsageError: an unknown option, or a missing or bad value.
    """
    values: dict[str, Any] = {one.key: [] if one.many else None for one in options}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            _take(options, name, value if equals else None, values, rest)
            continue
        letters = word[1:]
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            if _take(options, name, letters.removeprefix("=") or None, values, rest):
                break
    return values, rest


def _take(
    options: tuple[Option, ...],
    name: str,
    value: str | None,
    values: dict[str, Any],
    rest: list[str],
) -> bool:
    """Set an option; tell whether it took what was joined to it as its value."""
    option = next((one for one in options if name in one.names), None)
    if option is None:
        raise UsageError(f"no option {name}", hint=_near(options, name))
    if option.read is None:
        if value is not None and name.startswith("--"):
            raise UsageError(f"option {name} takes no value")
        values[option.key] = True
        return False
    if value is None:
        if not rest:
            raise UsageError(f"option {name} needs a value, {option.metavar}")
        value = rest.pop(0)
    try:
        read = option.read(value)
    except ValueError as error:
        raise UsageError(f"option {name}: {error}") from None
    if option.many:
        values[option.key].append(read)
    else:
        values[option.key] = read
    return True


def _near(options: tuple[Option, ...], name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [known for one in options for known in one.names], 1)
    tail = "; the tool's own options come after TARGET"
    return (f"did you mean {near[0]}" if near else "see `ebpm run --help`") + tail
