from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.errors import UsageError
from ebpm.output.template import Template

DOCUMENT = {
    "kind": "discover",
    "digest": "sha256:0",
    "size": 12,
    "signed": True,
    "subject": {"digest": "sha256:1"},
    "none": None,
    "empty": [],
    "referrers": [{"digest": "sha256:2", "type": "a/b"}, {"digest": "sha256:3", "type": "c/d"}],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.digest}}", "sha256:0"),
        ("{{ .digest }} has {{.size}} bytes", "sha256:0 has 12 bytes"),
        ("{{.subject.digest}}", "sha256:1"),
        ("{{.signed}}{{.none}}", "true"),
        ("{{json .subject}}", '{"digest":"sha256:1"}'),
        ("{{json .digest}}", '"sha256:0"'),
        ("{{.subject}}", '{"digest":"sha256:1"}'),
        ('{{.digest}}{{"\\t"}}{{.size}}', "sha256:0\t12"),
        ('{{range .referrers}}{{.digest}}{{"\\n"}}{{end}}', "sha256:2\nsha256:3"),
        ("{{range .referrers}}{{.type}} {{end}}", "a/b c/d "),
        ("{{range .empty}}x{{else}}nothing{{end}}", "nothing"),
        ("{{range .none}}x{{end}}", ""),
        ("{{if .signed}}yes{{else}}no{{end}}", "yes"),
        ("{{if .empty}}yes{{else}}no{{end}}", "no"),
        ("{{range .referrers}}{{if .type}}{{.type}}{{end}}{{end}}", "a/bc/d"),
        ("a {{- .digest -}} b", "asha256:0b"),
        ("{{range .referrers -}}\n  {{.digest}},\n{{- end}}", "sha256:2,sha256:3,"),
        ('{{"}}"}}', "}}"),
        ("{a}", "{a}"),
    ],
)  # fmt: skip
def test_it_is_filled_in(template: str, text: str) -> None:
    assert Template(template).render(DOCUMENT) == f"{text}\n"


def test_a_line_is_not_ended_twice() -> None:
    assert Template("{{.digest}}\n").render(DOCUMENT) == "sha256:0\n"


@pytest.mark.parametrize(
    "template",
    [
        "{{.digest",
        "{{",
        "{{}}",
        "{{digest}}",
        "{{.digest | upper}}",
        "{{printf .digest}}",
        "{{.a..b}}",
        "{{range .referrers}}",
        "{{end}}",
        "{{else}}",
        "{{if .a}}{{else}}{{else}}{{end}}",
        "{{range}}{{end}}",
        '{{"open}}',
        "{{template .x}}",
        "{{if .a}}" * 30,
    ],
)
def test_what_is_not_known_is_refused(template: str) -> None:
    with pytest.raises(UsageError):
        Template(template).render(DOCUMENT)


def test_a_field_that_is_not_there_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"no field \.digset") as caught:
        Template("{{.digset}}").render(DOCUMENT)
    assert "digest, size" in caught.value.hint
    with pytest.raises(UsageError, match="is no list"):
        Template("{{range .digest}}x{{end}}").render(DOCUMENT)


@settings(max_examples=200)
@given(st.text(alphabet='{}.- "\\abrangeifelsndjso\n', max_size=40))
def test_any_text_is_a_template_or_an_error(text: str) -> None:
    try:
        Template(text).render(DOCUMENT)
    except UsageError:
        pass
