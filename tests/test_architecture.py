"""The house rules that no reader should have to check by hand."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ebpm
from ebpm import errors
from ebpm.errors import EbpmError

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ebpm"

# Which rooms a room may import besides itself; `errors`, `files` and `plainjson` are open to all.
# See ARCHITECTURE.md.
ALLOWED = {
    "errors": set(),
    "files": set(),
    "plainjson": set(),
    "target": set(),
    "btf": set(),
    "oci": set(),
    "config": set(),
    "event": {"btf"},
    "symbols": set(),
    "lockfile": set(),
    "package": {"oci", "btf"},
    "registry": {"oci"},
    "cache": {"oci"},
    "index": {"oci", "package"},
    "output": {"event", "btf", "package"},
    "check": {"package", "btf", "runtime"},
    "build": {"package", "btf", "oci"},
    "runtime": {"package", "btf", "event", "symbols"},
    "kept": {"cache", "config", "lockfile", "runtime", "target"},
    "places": {"cache", "oci", "registry", "target"},
    "artifacts": {"api", "cache", "oci", "places", "registry", "target"},
    "sources": {"cache", "package", "registry", "target"},
    "api": {"index", "kept", "places", "sources"}
    | {"build", "cache", "config", "oci", "package", "registry", "runtime", "target"},
    "project": {"api", "cache", "lockfile", "oci", "target"},
    "mirror": {"api", "artifacts", "cache", "oci", "places", "target"},
    "catalogue": {"api", "cache", "index", "oci", "package", "target"},
    "scaffold": set(),
    "site": {"index", "package"},
    "testing": {"api", "oci", "output", "package", "runtime", "target"},
    "cli": {"api", "btf", "build", "cache", "check", "config", "event", "oci", "output", "package"}
    | {"artifacts", "catalogue", "index", "mirror", "places", "registry", "runtime", "symbols"}
    | {"kept", "lockfile", "project", "scaffold", "site", "sources", "target", "testing"},
}
COMMON = {"errors", "files", "plainjson"}
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60
LONG_MODULES = {
    "errors.py": "every error has its code, status and hint in one place to read",
}
# What a run out of the store may import beside our own modules: all of it is C, or needed by C.
RUN_PATH = {"ctypes", "errno", "hashlib", "mmap", "os", "select", "struct", "time", "sys"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> set[str]:
    """All modules of ours that a file imports, at any depth, type checking included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ebpm"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= set(names) if node.module == "ebpm" else {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("ebpm.")}
    return found


def test_every_room_is_in_the_table() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert rooms - {"__init__", "__main__"} == set(ALLOWED)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room.startswith("__"):
        pytest.skip("the package's own front door")
    used = {room_of(module) for module in imports(path)} - {room, "__version__", ""} - COMMON
    assert used <= ALLOWED[room], f"{path.name} reaches up to {used - ALLOWED[room]}"


def test_the_table_has_no_cycle() -> None:
    order: list[str] = []

    def visit(room: str, above: tuple[str, ...]) -> None:
        assert room not in above, f"cycle: {' -> '.join((*above, room))}"
        if room not in order:
            for lower in ALLOWED[room]:
                visit(lower, (*above, room))
            order.append(room)

    for room in ALLOWED:
        visit(room, ())
    assert len(order) == len(ALLOWED)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    name = str(path.relative_to(PACKAGE))
    if name not in LONG_MODULES:
        assert len(text.splitlines()) <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1 - _docstring_lines(node)
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def _docstring_lines(node: ast.FunctionDef) -> int:
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return (first.end_lineno or 0) - first.lineno + 1
    return 0


def test_a_long_module_is_still_long() -> None:
    for name in LONG_MODULES:
        assert len((PACKAGE / name).read_text().splitlines()) > LONGEST_MODULE, (
            f"{name} is short now"
        )


def all_errors() -> list[type[EbpmError]]:
    found = [
        one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, EbpmError)
    ]
    assert len(found) > 30
    return found


def test_error_codes_are_kebab_case_and_used_once() -> None:
    codes = [one.code for one in all_errors()]
    assert len(codes) == len(set(codes))
    assert all(code == code.lower() and " " not in code and "_" not in code for code in codes)


def test_every_error_has_a_code_a_status_and_a_hint_of_its_own_line_in_the_docs() -> None:
    documented = (ROOT / "docs" / "errors.md").read_text()
    for one in all_errors():
        assert one.hint, f"{one.__name__} has no hint"
        assert f"| `{one.code}` | {one.status} |" in documented, f"{one.code} is not documented"


def test_the_docs_name_no_error_that_does_not_exist() -> None:
    codes = {one.code for one in all_errors()}
    for line in (ROOT / "docs" / "errors.md").read_text().splitlines():
        if line.startswith("| `"):
            assert line.split("`")[1] in codes


def test_the_public_names_are_those_that_the_docs_list() -> None:
    listed = set()
    for line in (ROOT / "docs" / "guides" / "python.md").read_text().splitlines():
        if line.startswith("| `ebpm."):
            listed.add(line.split("`")[1].removeprefix("ebpm.").partition("(")[0])
    assert listed == set(ebpm.__all__)


def test_every_public_name_can_be_imported_and_is_described() -> None:
    for name in ebpm.__all__:
        value = getattr(ebpm, name)
        assert name == "__version__" or inspect.getdoc(value)


def test_every_module_can_be_imported() -> None:
    for module in pkgutil.walk_packages(ebpm.__path__, "ebpm."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_the_import_of_ebpm_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import ebpm; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("{'ebpm'}", "{'__future__', 'ebpm'}", "{'ebpm', '__future__'}")


def test_a_verb_stays_a_verb_when_the_folder_of_its_name_is_imported() -> None:
    import ebpm.build.headers

    assert callable(ebpm.build)
    with pytest.raises(EbpmError, match="no-such"):
        ebpm.build("/no-such.bpf.c")
    assert ebpm.build.headers.__name__ == "ebpm.build.headers"
