"""What was hashed is what is parsed and loaded: no changed byte of a package reaches the kernel.

``Workspace.prepare`` is the one gate before the kernel: it gives the plan and the object to load.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.errors import EbpmError, IntegrityError
from ebpm.oci.descriptor import Descriptor
from ebpm.target import Target, parse_target
from ebpm.testing.registry import RegistryServer, registry_server
from tests.conftest import Ebpm
from tests.synthetic import ALLOC, EXEC, WRITE, Sec, Sym, elf, instruction

NAME = parse_target("tiny:1")
HOOK = "tracepoint/syscalls/sys_enter_kill"


def tiny() -> bytes:
    """Write the smallest object that the kernel takes: one program that returns 0."""
    code = instruction(0xB7) + instruction(0x95)
    return elf(
        [
            Sec(HOOK, code, flags=ALLOC | EXEC, align=8),
            Sec("license", b"GPL\0", flags=ALLOC | WRITE),
        ],
        [Sym("entry", HOOK, 0, len(code), type=2), Sym("LICENSE", "license", 0, 4)],
    )


@pytest.fixture
def stored(work: Path) -> Descriptor:
    """tiny:1 in the store."""
    (work / "tiny.bpf.o").write_bytes(tiny())
    return Workspace().push(parse_target("./tiny.bpf.o"), NAME)


def prepared(target: Target = NAME) -> tuple[str, bytes]:
    plan, data, _ = Workspace().prepare(target)
    return plan.dump(), data


def flipped(path: Path) -> Iterator[int]:
    """Change one byte of a file after the other, and put it right again; tell which."""
    data = path.read_bytes()
    path.chmod(0o644)
    for at in range(len(data)):
        with path.open("r+b") as file:  # in place: the same file, as a bad disk changes it
            file.seek(at)
            file.write(bytes([data[at] ^ (1 << at % 8)]))
            file.flush()
            yield at
            file.seek(at)
            file.write(data[at : at + 1])
    assert path.read_bytes() == data


@pytest.mark.needs("bpf")
def test_the_package_is_one_that_the_kernel_takes(ebpm: Ebpm, stored: Descriptor) -> None:
    ebpm.run("run", "-d", "0.1s", "tiny:1")


@pytest.mark.parametrize("kept", [True, False], ids=["with its plan", "without a plan"])
def test_a_byte_that_changes_in_the_store_is_noticed_or_does_not_matter(
    stored: Descriptor, kept: bool
) -> None:
    right = prepared()
    plans = Path(os.environ["EBPM_CACHE"], "plans")
    files = [one for one in Path(os.environ["EBPM_STORE"]).rglob("*") if one.is_file()]
    needed = noticed = 0
    wrong = False
    for path in files:
        whole = path.read_bytes()
        for _ in flipped(path):
            if not kept:
                shutil.rmtree(plans, ignore_errors=True)
            try:
                assert prepared() == right
            except EbpmError as error:
                noticed += 1
                wrong |= "blobs" in path.parts and not isinstance(error, IntegrityError)
            if whole == right[1]:
                needed += 1
    assert not wrong
    assert needed == len(tiny())
    assert noticed >= needed  # no byte of the object may change
    assert prepared() == right


def test_a_blob_that_is_swapped_cut_or_grown_is_noticed(stored: Descriptor) -> None:
    right = prepared()
    blobs = sorted(Path(os.environ["EBPM_STORE"], "blobs/sha256").iterdir())
    contents = [one.read_bytes() for one in blobs]
    (at,) = [number for number, data in enumerate(contents) if data == right[1]]
    for other in [*contents[:at], *contents[at + 1 :], right[1][:-1], right[1] + b"\0", b""]:
        blobs[at].chmod(0o644)
        blobs[at].write_bytes(other)
        with pytest.raises(IntegrityError):
            prepared()


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as running:
        yield running


@pytest.mark.parametrize("pinned", [True, False])
def test_a_registry_that_serves_other_bytes_brings_none_of_them_near_the_kernel(
    stored: Descriptor, server: RegistryServer, tmp_path: Path, pinned: bool
) -> None:
    """Pinned, not even the digest that it states of them is believed."""
    right = prepared()
    target = parse_target(f"{server.host}/tools/tiny:1")
    Workspace().push(NAME, target)
    if pinned:
        server.faults.no_digest_header = True
        target = parse_target(f"{server.host}/tools/tiny@{stored.digest}")
    state = server.repositories["tools/tiny"]
    bodies = [*state.blobs.values(), *(raw for _, raw in state.manifests.values())]
    places = [(body, at) for body in bodies for at in range(0, len(body), 17)]
    for number, (body, at) in enumerate(places):
        lie = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        server.faults.wrong_bytes = lambda data, body=body, lie=lie: lie if data == body else data  # type: ignore[misc]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EBPM_STORE", str(tmp_path / f"store-{number}"))
            with pytest.raises(IntegrityError):
                prepared(target)
            assert Workspace().store().entries() == []
    server.faults.wrong_bytes = None
    assert prepared(target) == right


def test_one_name_is_asked_for_once(
    stored: Descriptor, server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag that moves in between does not mix two packages."""
    target = parse_target(f"{server.host}/tools/tiny:1")
    Workspace().push(NAME, target)
    server.log.clear()
    monkeypatch.setenv("EBPM_STORE", str(tmp_path / "another"))
    prepared(target)
    by_tag = [one for one in server.log if one.path.endswith("/manifests/1")]
    assert len(by_tag) == 1
    assert all(one.method == "GET" for one in server.log)
    assert len(server.log) == len({one.path for one in server.log})
