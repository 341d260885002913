"""The site: what is on its pages, that nothing can be smuggled into them, and a browser's view."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ebpm import site
from ebpm.index.document import Page, ToolIndex, pack_index
from ebpm.index.entry import IndexEntry
from ebpm.oci.digest import Digest
from ebpm.package.files import read_package
from tests import needs
from tests.conftest import Ebpm

CAPABILITIES = {
    "programs": [
        {
            "name": "open",
            "section": "tracepoint/syscalls/sys_enter_openat",
            "helpers": ["bpf_get_current_comm"],
            "kernelFunctions": [],
        }
    ],
    "maps": [{"name": "calls", "type": "hash", "maxEntries": 10, "bytes": 999, "bytesPerCpu": 8}],
    "needs": [{"kernel": "5.8", "what": "ring buffers"}, {"kernel": "4.7", "what": "x"}],
    "reads": ["user memory"],
}
README = """# opensnoop

Files as `processes` open [them](elsewhere.md).

```console
$ sudo ebpm run opensnoop
<b>PID</b>
```

## Options
not shown
"""


def entry(name: str, **fields: Any) -> IndexEntry:
    given = {"summary": f"What {name} shows", "groups": ("files",), "capabilities": CAPABILITIES}
    return IndexEntry(name=name, digest=Digest.of(name.encode()), size=9, **given | fields)


@pytest.fixture
def index() -> ToolIndex:
    parameter = {
        "name": "pid",
        "type": "int",
        "long": "pid",
        "short": "p",
        "default": 0,
        "help": "P",
    }
    field = {"name": "comm", "type": "char[16]", "description": "command"}
    entries = [
        entry(
            "opensnoop",
            summary="Files that processes open",
            keywords=("openat", "descriptor"),
            hooks=("tracepoint/syscalls/sys_enter_openat",),
            parameters=(parameter,),
            reports=({"name": "event", "fields": [field]},),
            kernel="5.8",
        ),
        entry("biolatency", summary="Latency of block devices", groups=("block",)),
        entry("tcptop", summary="Traffic by connection", groups=("network",)),
    ]
    page = Page(name="opensnoop", readme=README, files={"opensnoop.bpf.c": "int x < 1;"})
    return ToolIndex(*pack_index(entries, [page]))


@pytest.fixture
def pages(index: ToolIndex, tmp_path: Path) -> Path:
    assert site.write_site(index, tmp_path / "site", package=lambda _: b"{}") == 3
    return tmp_path / "site"


def test_every_tool_has_a_page_with_all_that_is_known(pages: Path) -> None:
    names = {path.parent.name for path in pages.glob("*/index.html")}
    assert names == {"opensnoop", "biolatency", "tcptop"}
    text = (pages / "opensnoop" / "index.html").read_text()
    for part in (
        *(
            "Files that processes open",
            "sudo ebpm run opensnoop",
            "<code>-p,</code> <code>--pid</code>",
            "char[16]",
        ),
        *("tracepoint/syscalls/sys_enter_openat", "bpf_get_current_comm", "per CPU", "5.8"),
        *("attaches to 1 tracepoint", "reads user memory", "int x &lt; 1;", "ring buffers"),
        *("&lt;b&gt;PID&lt;/b&gt;", "<code>processes</code>", "open them."),
    ):
        assert part in text, part
    assert "not shown" not in text
    assert (pages / "opensnoop" / "package.json").read_bytes() == b"{}"


def test_the_same_index_gives_the_same_pages(index: ToolIndex, pages: Path, tmp_path: Path) -> None:
    site.write_site(index, tmp_path / "again", package=lambda _: b"{}")
    for path in (one for one in pages.rglob("*") if one.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(pages)).read_bytes()


class Strict(HTMLParser):
    """Fails on what a strict content security policy would refuse, or what comes from elsewhere."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag not in ("style", "iframe", "object", "base")
        assert tag != "script" or given["src"] == "search.js"
        assert not any(name.startswith("on") or name == "style" for name in given), given
        link = given.get("href") or given.get("src") or ""
        assert not re.match(r"(javascript|data|//)", link), link


def test_what_an_author_writes_stays_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    field = {"name": evil, "type": evil, "description": evil}
    hostile = entry(
        "evil",
        summary=evil,
        groups=(evil,),
        keywords=(evil,),
        license=evil,
        hooks=(evil,),
        reports=({"name": evil, "fields": [field]},),
        source="javascript:alert(1)",
        parameters=({"long": evil}, {}),
        capabilities={"programs": [{"name": evil, "section": evil}], "reads": [evil]},
    )
    page = Page(name="evil", readme=f"{evil}\n\n```\n{evil}\n```\n", files={evil: evil})
    hostile_name = entry("../../outside")
    index = ToolIndex(*pack_index([hostile, hostile_name], [page]))
    assert site.write_site(index, tmp_path / "site") == 1
    for path in (tmp_path / "site").rglob("*.html"):
        text = path.read_text()
        assert "<script>alert" not in text
        assert "<img" not in text
        Strict().feed(text)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["site"]


def test_pages_fit_a_strict_policy(pages: Path) -> None:
    for path in pages.rglob("*.html"):
        text = path.read_text()
        assert "default-src 'none'" in text
        assert "unsafe" not in text
        Strict().feed(text)


@pytest.mark.needs("compiler")
def test_the_command_makes_pages_whose_packages_run(work: Path, ebpm: Ebpm) -> None:
    from tests.index.test_catalogue import TOOLS

    (work / "tools").mkdir()
    (work / "tools" / "sigsnoop").symlink_to(TOOLS / "sigsnoop")
    ebpm.run("index", "build", "tools", "-o", "layout")
    assert "1 tools" in ebpm.run("index", "site", "layout", "site").stdout
    package = read_package(work / "site" / "sigsnoop" / "package.json")
    assert package.name == "sigsnoop"
    done = json.loads(
        ebpm.run("index", "site", "layout", "site", "--base", "ghcr.io/me", "--json").stdout
    )
    assert done["tools"] == 1
    assert "ghcr.io/me/sigsnoop" in (work / "site" / "sigsnoop" / "index.html").read_text()


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a network."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        yield chromium
        chromium.close()


@pytest.mark.needs("chromium")
def test_search_finds_and_pages_show_without_an_error(browser: Any, pages: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{(pages / 'index.html').as_uri()}?q=latency")
    found = page.locator("#found li:visible a")
    assert found.all_inner_texts() == ["biolatency"]
    for words, names in {
        "opne": ["opensnoop"],
        "sys_enter_openat": ["opensnoop"],
        "network": ["tcptop"],
        "files processes": ["opensnoop"],
        "opensnop": ["opensnoop"],
        "zzzz": [],
    }.items():
        page.fill("#words", words)
        assert found.all_inner_texts() == names, words
        assert page.inner_text("#count") == ("1 tool" if len(names) == 1 else f"{len(names)} tools")
    page.fill("#words", "")
    assert page.locator("#all li:visible").count() == 3
    page.fill("#words", "opensnoop")
    found.first.click()
    assert page.inner_text("h1") == "opensnoop"
    assert "--pid" in page.inner_text("table >> nth=0")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390  # nothing but tables and examples scrolls sideways
    assert said == []


@pytest.mark.needs("chromium")
def test_all_is_there_without_scripts(browser: Any, pages: Path) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto((pages / "index.html").as_uri())
    assert page.locator("li a:visible").count() == 3
    assert not page.locator("#words").is_visible()


@pytest.mark.needs("chromium")
def test_a_name_is_not_broken_on_a_phone(browser: Any, pages: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((pages / "opensnoop" / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    names = page.locator("td + td code", has_text="bpf_get_current_comm").first
    assert names.bounding_box()["height"] < 30  # one line


@pytest.mark.needs("chromium", "axe")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(browser: Any, pages: Path, scheme: str) -> None:
    # axe runs in the page, which the page's own policy would forbid
    page = browser.new_context(bypass_csp=True, color_scheme=scheme).new_page()
    for path in ("index.html", "opensnoop/index.html"):
        page.goto((pages / path).as_uri())
        page.add_script_tag(path=str(needs.axe()))
        found = page.evaluate("axe.run()")
        assert [one["id"] for one in found["violations"]] == []
        assert len(found["passes"]) > 10
