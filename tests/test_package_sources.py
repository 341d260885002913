"""Packages from standard input, from URLs, and from HTTP bases."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ebpm.api import Workspace
from ebpm.errors import (
    InvalidObject,
    InvalidPackage,
    RegistryError,
    RegistryUnreachable,
    TargetNotFound,
    WasmModule,
)
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.manifest import write_manifest
from ebpm.oci.store import MemoryStore
from ebpm.package.artifact import unpack
from ebpm.package.files import write_bundle, write_composed
from ebpm.package.model import Documentation, ObjectFile, Package
from ebpm.sources import TYPES
from ebpm.target import parse_target
from tests import sources
from tests.conftest import Ebpm
from tests.synthetic import Sec, elf

OBJECT = ObjectFile(data=elf([Sec("license", b"GPL\0")]))
PACKAGE = Package(
    name="tool",
    object_name="tool_bpf",
    license="GPL",
    objects=(OBJECT,),
    documentation=Documentation(version="1.2"),
)
JSON = write_composed(PACKAGE, OBJECT, "json")
YAML = write_composed(PACKAGE, OBJECT, "yaml")
TAR = write_bundle(PACKAGE, OBJECT)
WASM = b"\0asm\1\0\0\0" + OBJECT.data


class Web:
    """A server of files on loopback: with an ETag, with a date, or with neither."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.stamp: str | None = "ETag"
        self.asked: list[tuple[str, int]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = web.files.get(self.path)
                mark = f'"{hash(data)}"' if web.stamp == "ETag" else "Fri, 20 Nov 2026 08:00:00 GMT"
                condition = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
                known = self.headers.get(condition.get(web.stamp or "", "none"))
                status = 404 if data is None else 304 if known == mark else 200
                if data == b"broken":
                    status = 501
                web.asked.append((self.path, status))
                self.send_response(status)
                if web.stamp:
                    self.send_header(web.stamp, mark)
                body = (data or b"") if status == 200 else b""
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


def read(target: str, **options: object) -> Package:
    workspace = Workspace()
    for name, value in options.items():
        setattr(workspace, name, value)
    return workspace.read(parse_target(target))


# --- URLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [JSON, YAML, TAR], ids=["json", "yaml", "tar"])
def test_a_package_comes_from_a_url_whatever_its_name(web: Web, data: bytes) -> None:
    web.files["/some/file?version=1"] = data
    assert read(f"{web.base}/some/file?version=1") == PACKAGE


def test_a_status_that_is_none_of_success_is_an_error(web: Web) -> None:
    with pytest.raises(TargetNotFound, match="does not exist"):
        read(f"{web.base}/package.json")
    web.files["/package.json"] = b"broken"
    with pytest.raises(RegistryError, match="answers 501"):
        read(f"{web.base}/package.json")


@pytest.mark.parametrize("stamp", ["ETag", "Last-Modified"])
def test_a_download_is_kept_and_asked_about(web: Web, stamp: str) -> None:
    web.stamp = stamp
    web.files["/package.json"] = JSON
    for _ in range(2):
        assert read(f"{web.base}/package.json") == PACKAGE
    assert [status for _, status in web.asked] == [200, 304]
    read(f"{web.base}/package.json", no_cache=True)
    assert web.asked[-1][1] == 200


def test_what_changed_is_downloaded_again(web: Web) -> None:
    web.files["/package.json"] = JSON
    read(f"{web.base}/package.json")
    web.files["/package.json"] = write_composed(PACKAGE.with_version("2"), OBJECT, "json")
    assert read(f"{web.base}/package.json").version == "2"
    assert [status for _, status in web.asked] == [200, 200]


def test_what_has_no_mark_is_not_kept(web: Web) -> None:
    web.stamp = None
    web.files["/package.json"] = JSON
    for _ in range(2):
        read(f"{web.base}/package.json")
    assert [status for _, status in web.asked] == [200, 200]


def test_a_kept_download_that_was_damaged_is_downloaded_again(web: Web) -> None:
    web.files["/package.json"] = JSON
    read(f"{web.base}/package.json")
    folder = Path(Workspace().config.cache) / "downloads"
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert read(f"{web.base}/package.json") == PACKAGE
    assert [status for _, status in web.asked] == [200, 200]


def test_a_server_that_is_gone_leaves_the_copy(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpm.registry.http.pause", lambda _: 0.0)
    web.files["/package.json"] = JSON
    url = f"{web.base}/package.json"
    read(url)
    web.close()
    said: list[str] = []
    assert Workspace(warn=said.append).read(parse_target(url)) == PACKAGE
    assert "the copy of an earlier download is used" in said[0]
    with pytest.raises(RegistryUnreachable):
        read(url, no_cache=True)
    with pytest.raises(RegistryUnreachable):
        read(f"{web.base}/other.json")
    web._server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    web.close = web._server.server_close  # type: ignore[method-assign]


# --- HTTP bases ----------------------------------------------------------------------------------


def based(web: Web, monkeypatch: pytest.MonkeyPatch, *, environment: bool = False) -> Workspace:
    if environment:
        monkeypatch.setenv("EUNOMIA_REPOSITORY", f"{web.base}/tools/")
    else:
        config = Path(os.environ["EBPM_CONFIG"])
        config.write_text(f"indexes: ['{web.base}/nothing', '{web.base}/tools']\n")
    web.files["/tools/tool/package.json"] = JSON
    return Workspace()


@pytest.mark.parametrize("environment", [False, True])
@pytest.mark.parametrize("name", ["tool", "tool:latest", "tool:1.2"])
def test_a_name_is_found_below_a_base(
    web: Web, monkeypatch: pytest.MonkeyPatch, name: str, environment: bool
) -> None:
    workspace = based(web, monkeypatch, environment=environment)
    found = workspace.fetch(parse_target(name))
    assert (found.name, found.version) == ("tool", "1.2")
    assert found.objects[0].data == OBJECT.data


def test_a_base_has_no_other_version_than_the_one_it_serves(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = based(web, monkeypatch)
    with pytest.raises(TargetNotFound, match="'tool:9' is no file, and no package here"):
        workspace.fetch(parse_target("tool:9"))
    with pytest.raises(TargetNotFound, match="other"):
        workspace.fetch(parse_target("other"))
    web.asked.clear()
    with pytest.raises(TargetNotFound):
        workspace.fetch(parse_target(f"tool@sha256:{'0' * 64}"))
    assert not web.asked


def test_a_base_that_has_a_wasm_module_of_the_name_says_so(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = based(web, monkeypatch, environment=True)
    web.files = {"/tools/tool/app.wasm": WASM}
    with pytest.raises(WasmModule, match=r"tool/app\.wasm is a Wasm module"):
        workspace.fetch(parse_target("tool"))


def test_the_store_comes_before_the_bases(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = based(web, monkeypatch)
    workspace.keep(PACKAGE.with_version("3"), "tool")
    assert workspace.fetch(parse_target("tool")).version == "3"
    assert not web.asked


# --- standard input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "form"),
    [(JSON, None), (YAML, None), (TAR, None), (JSON, "json"), (YAML, "yaml"), (TAR, "tar")],
)
def test_a_package_comes_through_a_pipe(ebpm: Ebpm, data: bytes, form: str | None) -> None:
    options = ["--type", form] if form else []
    done = subprocess.run(
        [sys.executable, "-m", "ebpm", "inspect", "--json", *options, "-"],
        input=data,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["name"] == "tool"


@pytest.mark.needs("compiler")
def test_a_source_comes_through_a_pipe(ebpm: Ebpm) -> None:
    for options in ([], ["--type", "c"]):
        done = ebpm.run("inspect", "--json", *options, "-", input=sources.MINIMAL)
        assert json.loads(done.stdout)["name"] == "stdin"


def test_the_type_wins_over_what_it_looks_like(tmp_path: Path) -> None:
    path = tmp_path / "tool.json"
    path.write_bytes(YAML)
    assert read(str(path)) == PACKAGE
    for form, error in (("json", "is not JSON"), ("tar", "is not a tar"), ("wasm", "Wasm module")):
        with pytest.raises(InvalidPackage, match=error):
            read(str(path), form=form)
    with pytest.raises(InvalidObject, match="not an ELF file"):
        read(str(path), form="o")
    assert set(TYPES) == {"json", "yaml", "tar", "wasm", "o", "c"}


def test_a_terminal_is_no_package() -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "ebpm", "inspect", "-"]
    done = subprocess.run(command, stdin=follower, capture_output=True, text=True, timeout=60)
    os.close(leader)
    os.close(follower)
    assert done.returncode == 2
    assert "standard input is a terminal" in done.stderr


# --- Wasm ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer_type", "config_type"),
    [
        (
            "application/vnd.wasm.content.layer.v1+wasm",
            "application/vnd.wasm.config.v1+json",
        ),
        ("application/wasm", "application/vnd.wasm.config.v0+json"),
    ],
)
def test_an_artifact_of_eunomia_bpf_says_that_it_is_a_module(
    layer_type: str, config_type: str
) -> None:
    from ebpm.api import host_platform

    store = MemoryStore()
    config = store.add(b"{}", Descriptor.of(b"{}", config_type))
    layer = store.add(WASM, Descriptor.of(WASM, layer_type))
    raw = write_manifest(config, [layer], annotations={"org.opencontainers.image.title": "x"})
    root = store.add(raw, Descriptor.of(raw, MANIFEST))
    with pytest.raises(WasmModule, match="the artifact is a Wasm module") as caught:
        unpack(store, root, [host_platform()])
    assert "ecli" in caught.value.hint
