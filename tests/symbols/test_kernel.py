"""The kernel's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpm.symbols.kernel import KernelSymbols
from ebpm.symbols.names import Names

KALLSYMS = """\
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 t do_one
ffffffff81000200 D some_data
ffffffff81000300 T do_two
ffffffffc0000000 t helper\t[a_module]
"""


@pytest.fixture
def kernel(tmp_path: Path) -> KernelSymbols:
    (tmp_path / "kallsyms").write_text(KALLSYMS)
    return KernelSymbols(str(tmp_path / "kallsyms"))


@pytest.mark.parametrize(
    ("address", "returns", "name"),
    [
        (0xFFFFFFFF81000100, False, "do_one+0 [kernel]"),
        (0xFFFFFFFF81000250, False, "do_one+336 [kernel]"),
        (0xFFFFFFFF81000300, True, "do_one+512 [kernel]"),
        (0xFFFFFFFFC0000010, False, "helper+16 [a_module]"),
        (0xFFFFFFFF81000001, False, "_stext+1 [kernel]"),
        (0x1000, False, "None+None [kernel]"),
    ],
)
def test_an_address_belongs_to_the_function_before_it(
    kernel: KernelSymbols, address: int, returns: bool, name: str
) -> None:
    found = kernel.frame(address, returns=returns)
    assert f"{found.symbol}+{found.offset} {found.module}" == name


def test_where_addresses_are_hidden_nothing_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "kallsyms").write_text("0000000000000000 T _stext\n0000000000000000 T do_one\n")
    hidden = KernelSymbols(str(tmp_path / "kallsyms"))
    assert hidden.hidden
    assert hidden.frame(0xFFFFFFFF81000100, returns=False).symbol is None
    assert KernelSymbols(str(tmp_path / "absent")).hidden


@pytest.mark.needs("root")
def test_this_kernels_functions_are_where_it_says() -> None:
    kernel = KernelSymbols()
    assert not kernel.hidden
    line = next(
        one for one in Path("/proc/kallsyms").read_text().split("\n") if one.endswith(" T vprintk")
    )
    found = kernel.frame(int(line.split()[0], 16) + 4, returns=False)
    assert (found.symbol, found.offset) == ("vprintk", 4)


def test_a_size_ends_a_name_and_no_size_reaches_to_the_next() -> None:
    names = Names([(100, 10, "a"), (200, 0, "b"), (300, 1, "c"), (100, 50, "again")])
    found = {at: names.find(at) for at in (99, 100, 109, 110, 250, 300, 301)}
    assert found == {
        99: None,
        100: ("a", 100),
        109: ("a", 100),
        110: None,
        250: ("b", 200),
        300: ("c", 300),
        301: None,
    }
