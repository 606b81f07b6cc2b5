"""HTML that people paste: what a letter can hold, what is taken out, and what swallows the rest."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.designs import pasted
from campaign.mailings import writing

POWERFUL = {
    *("script", "iframe", "object", "embed", "form", "input", "button", "select", "textarea"),
    *("style", "link", "meta", "base", "svg", "math", "video", "audio", "frame", "applet"),
}


class Powers(HTMLParser):
    """What in a piece of HTML could do something to its reader, or to what stands around it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in POWERFUL:
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in {"id", "srcdoc", "formaction", "background"}:
                self.found.append(f"{tag} {name}")
            if re.match(r"\s*(javascript|data|vbscript):", value or "", re.IGNORECASE):
                self.found.append(f"{tag} {name}={value}")
            if name == "style" and re.search(r"position|url\(|expression|:\s*-|@", value or ""):
                self.found.append(f"{tag} {name}={value}")


PAGE = """<!DOCTYPE html><html><head><title>Ours</title>
<style>p { color: #123456 } .hero { padding: 4px } @media (max-width: 600px) { p { color: red } }</style>
</head><body bgcolor="#ffffff">
<!-- built with a tool -->
<table width="600" align="center" cellpadding="0"><tr><td style="padding: 10px; position: absolute; background: url(https://spy.example/x.png)">
<p class="hero">Dear {{ first_name|friend & co }},</p>
<img src="https://a.example/x.jpg" alt="A march" width="600" onerror="alert(1)">
<a href="javascript:alert(1)">bad</a> <a href="https://a.example/go" onclick="x()">good</a>
<script>alert(1)</script><iframe src="https://spy.example"></iframe>
<form action="https://spy.example"><input name="a"><button>Go</button></form>
<svg onload="alert(1)"></svg>
</td></tr></table></body></html>"""


def test_what_remains_and_what_was_taken_out() -> None:
    cleaned = writing.cleaned(PAGE)
    assert Powers(cleaned.html).found == []
    for gone in (
        "script",
        "iframe",
        "form",
        "onerror",
        "javascript",
        "position",
        "spy.example",
        "Ours",
        "built with",
    ):
        assert gone not in cleaned.html
    for kept in (
        'width="600"',
        "padding: 10px",
        "color: #123456",
        "{{ first_name|friend & co }}",
        'alt="A march"',
    ):
        assert kept in cleaned.html
    assert cleaned.removed == {
        "script": 1,
        "frame": 1,
        "form": 3,
        "media": 1,
        "handler": 2,
        "address": 1,
        "position": 1,
        "style": 1,
    }


def test_cleaned_twice_is_cleaned_once() -> None:
    once = writing.cleaned(PAGE).html
    again = writing.cleaned(once)
    assert again.html == once
    assert again.removed == {}


def test_both_parts_come_from_it() -> None:
    written = writing.render(writing.cleaned(PAGE).html, form="html", link=lambda url: f"{url}?c")
    assert "{{ first_name|friend &amp; co }}" in written.html
    assert "https://a.example/go?c" in written.html
    assert written.text == (
        "Dear {{ first_name|friend & co }},\n\n[A march] bad good (https://a.example/go) Go\n"
    )


def test_tables_that_lay_out_are_read_in_their_order() -> None:
    html = "<table><tr><td>One</td><td><p>Two</p><p>Three</p></td></tr></table><table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>"
    assert writing.render(html, form="html").text == "One\n\nTwo\n\nThree\n\nA | B\n1 | 2\n"


@pytest.mark.parametrize(
    ("source", "line", "is_fatal"),
    [
        ('<p>One</p>\n<a href="https://a.example>go</a>', 2, True),
        ("One\n<!-- never closed", 2, True),
        ("One\n\n<title>what", 3, True),
        ("<div>\n<table><tr><td>x", 1, False),
    ],
)
def test_what_does_not_end_is_found_with_its_line(source: str, line: int, is_fatal: bool) -> None:
    found = pasted.breaks(source)
    assert (found[0].line, found[0].is_fatal) == (line, is_fatal)


def test_sloppy_but_fine() -> None:
    assert pasted.breaks("<p>One<p>Two<ul><li>a<li>b</ul><br><img src=x>1 < 2 & 3") == []


@pytest.mark.parametrize(
    "declaration",
    [
        "position: fixed",
        "margin: -10px",
        "margin-left: 1px -5px",
        "background: url(x)",
        "width: expression(1)",
        "color: red /* x */",
        "behavior: x",
        "color: \\72 ed",
        "color",
    ],
)
def test_styles_that_reach_out_are_dropped(declaration: str) -> None:
    assert pasted.style_of(declaration) == ""


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<script>",
                "</script>",
                "<table>",
                "<td>",
                "<a href='javascript:x'>",
                "<img src=x onerror=x>",
                "<svg/onload=x>",
                "<style>a{}",
                "</style>",
                "{{ first_name|x }}",
                "{%",
                "<!--",
                "-->",
                '"',
                "'",
                "<",
                "x",
                "<math><mi>",
                "<a href=\"https://a.example\" style='position:fixed;color:red'>",
            ]
        ),
        max_size=14,
    )
)
def test_no_html_gets_power(parts: list[str]) -> None:
    source = "".join(parts)
    pasted.breaks(source)
    written = writing.render(source, form="html")
    assert Powers(written.html).found == []
    assert Powers(writing.cleaned(source).html).found == []
