"""Wasm modules: said to be what they are; the object inside is found."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import EbpmError, WasmModule
from ebpm.package.files import parse_package
from ebpm.package.wasm import embedded_object
from tests.strategies import examples
from tests.synthetic import Sec, elf

HEAD = b"\0asm\1\0\0\0"
OBJECT = elf([Sec("license", b"GPL\0")])


def test_a_module_says_what_it_is_and_what_can_be_done() -> None:
    with pytest.raises(WasmModule, match=r"app\.wasm is a Wasm module with an eBPF object") as one:
        parse_package(HEAD + b"code" + OBJECT + b"more", "app.wasm")
    assert "ebpm convert" in one.value.hint
    assert one.value.embedded == OBJECT
    with pytest.raises(WasmModule, match="no eBPF object that can be found"):
        parse_package(HEAD + b"code", "app.wasm")


def test_the_object_is_found_among_what_looks_like_one() -> None:
    other = b"\x7fELF" + bytes(80)
    assert embedded_object(HEAD + other + b"\x7fELF" + OBJECT + b"tail") == OBJECT
    assert embedded_object(HEAD + elf(machine=62)) is None
    assert embedded_object(HEAD + OBJECT[:-70]) is None


@examples(60)
@given(st.binary(max_size=100), st.integers(0, len(OBJECT) - 1))
def test_any_bytes_give_an_object_or_none(junk: bytes, at: int) -> None:
    data = bytearray(HEAD + OBJECT)
    data[at : at + len(junk)] = junk
    with suppress(EbpmError):
        embedded_object(bytes(data))
