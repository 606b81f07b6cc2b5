"""Markdown to both parts of an e-mail, and what a reader would stumble over."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.mail import merge
from campaign.mailings import writing
from campaign.mailings.writing import Level

ATTRIBUTES = {"href", "src", "alt", "width", "height", "start", "title", "class", "role"} | {
    "cellpadding",
    "cellspacing",
    "border",
}


class Powers(HTMLParser):
    """What in a piece of HTML could do something to its reader."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in writing.TAGS | {"tbody"}:
            self.found.append(tag)
        for name, value in attrs:
            if name not in ATTRIBUTES:
                self.found.append(f"{tag} {name}")
            if name == "href" and not re.match(r"https?://|mailto:|tel:", value or "", re.I):
                self.found.append(f"{tag} {name}={value}")
            if name == "src" and re.match(r"(javascript|data):", value or "", re.I):
                self.found.append(f"{tag} {name}={value}")


@pytest.mark.parametrize(
    "source",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        '<a href="javascript:alert(1)">a</a>',
        '<a href="JaVaScRiPt:alert(1)">a</a>',
        '<a href="data:text/html,<script>alert(1)</script>">a</a>',
        "<iframe src=https://evil.example></iframe>",
        "<style>body{display:none}</style>",
        '<p style="position:fixed" onclick="x()">a</p>',
        "<svg><script>alert(1)</script></svg>",
        "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
        "<form action=https://evil.example><input name=password></form>",
        "```\n<script>\n```",
        "<!--[if mso]><script>alert(1)</script><![endif]-->",
        '[x](https://e.example/"onmouseover=alert(1))',
        "<a href='https://e.example' ping=https://spy.example>x</a>",
    ],
)
def test_hostile_markdown_loses_its_power(source: str) -> None:
    assert Powers(writing.render(source).html).found == []


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_renders_and_the_parts_hold_the_same_fields(source: str) -> None:
    written = writing.render(source)
    assert Powers(written.html).found == []
    assert merge.names_in(written.text) <= merge.names_in(source)


@given(
    st.lists(
        st.sampled_from(
            [
                "{{ first_name|a*b }}",
                "{{ward}}",
                "*",
                "**",
                "_",
                "{{7*7}}",
                "{0.__class__}",
                "{% x %}",
                "\n",
                "\n\n",
                "- ",
                "> ",
                "# ",
                "[a](https://e.example)",
                "text",
                " ",
                "<b>",
            ]
        ),
        max_size=25,
    )
)
def test_braces_survive_all_markdown_around_them(pieces: list[str]) -> None:
    source = "".join(pieces)
    written = writing.render(source)
    read = re.sub(r"<[^>]*>", "", written.html)  # a bare address stands in its link once more
    for raw in ("{{7*7}}", "{0.__class__}", "{% x %}"):
        assert read.count(raw) == source.count(raw)
    wanted = {piece for piece in pieces if piece.startswith(("{{ f", "{{w"))}
    assert len(merge.names_in(written.html)) == len(wanted)


def test_expressions_come_out_as_text() -> None:
    written = writing.render("{{7*7}} {% raw %} {0.__class__} {{ config.SECRET_KEY }}")
    assert "{{7*7}} {% raw %} {0.__class__} {{ config.SECRET_KEY }}" in written.html
    assert merge.merge_html(written.html, {}) == written.html


def test_a_fallback_is_escaped_in_html_and_plain_in_text() -> None:
    written = writing.render("Dear {{ first_name|<b>O'Neil & co</b> }}")
    assert "<b>" not in written.html
    merged = merge.merge_html(written.html, {})
    assert "&lt;b&gt;O&#39;Neil &amp; co&lt;/b&gt;" in merged
    assert merge.merge_text(written.text, {}) == "Dear <b>O'Neil & co</b>\n"


def test_a_value_is_escaped_in_html() -> None:
    html = writing.render("Dear {{ first_name|x }}").html
    assert merge.merge_html(html, {"first_name": '<img src="x">'}) == (
        "<p>Dear &lt;img src=&#34;x&#34;&gt;</p>\n"
    )


def test_a_link_alone_becomes_a_button_with_its_address() -> None:
    written = writing.render(
        "[Sign **now**](https://a.example/p?x=1&y=2)",
        link=lambda _url: "https://go.example/t",
        bare_link=lambda url: f"{url}&s=1",
        address_words="Or open:",
    )
    assert '<a class="button" href="https://go.example/t">Sign <strong>now</strong></a>' in (
        written.html
    )
    shown = "https://a.example/p?x=1&amp;y=2&amp;s=1"
    assert f'Or open:<br><a href="{shown}">{shown}</a>' in written.html
    assert written.text == "Sign now:\nhttps://a.example/p?x=1&y=2&s=1\n"


def test_words_that_are_an_address_lead_where_they_say() -> None:
    written = writing.render(
        "See https://a.example/x, [a.example/y](https://a.example/y) and [z](https://a.example/z).",
        link=lambda _url: "https://go.example/t",
    )
    assert '<a href="https://a.example/x">https://a.example/x</a>,' in written.html
    assert '<a href="https://a.example/y">' in written.html
    assert '<a href="https://go.example/t">z</a>' in written.html


def test_plain_text_says_the_same() -> None:
    source = (
        "# Come\n\nDear all,\nsecond line\n\n- one\n- two [here](https://a.example)\n  - deep\n\n"
        "3. three\n4. four\n\n> quoted\n> twice\n\n![A clinic](https://a.example/c.png)\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\nWrite to [us](mailto:us@a.example) or call "
        "[us](tel:+13125550100)"
    )
    assert writing.render(source).text == (
        "Come\n\nDear all,\nsecond line\n\n- one\n- two here (https://a.example)\n  - deep\n\n"
        "3. three\n4. four\n\n> quoted\n> twice\n\n[A clinic]\n\na | b\n1 | 2\n\n* * *\n\n"
        "Write to us (us@a.example) or call us (+13125550100)\n"
    )


def test_a_field_never_gets_into_an_address() -> None:
    written = writing.render("[x](https://a.example/?z={{ postal_code|0 }})")
    assert "href" not in written.html
    assert "a.example" not in written.text


def codes(subject: str = "Come on Monday", body: str = "[Sign](https://a.example)") -> list[str]:
    return [finding.code for finding in writing.findings(subject, "", body)]


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ("", "no_subject"),
        ("x" * 61, "long_subject"),
        ("COME ON MONDAY", "shouting_subject"),
        ("Come now!!", "exclaiming_subject"),
        ("Dear {{ nickname }}", "unknown_field_in_subject"),
        ("Dear {{ first_name }}", "no_fallback"),
    ],
)
def test_findings_about_the_subject(subject: str, code: str) -> None:
    assert codes(subject=subject) == [code]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("", ["no_body"]),
        ("Only words", ["no_link"]),
        ("[a](www.example.org)", ["no_scheme"]),
        ("[a](somewhere)", ["broken_link"]),
        ("[a](https://bit.ly/x)", ["shortened_link"]),
        ("[](https://a.example)", ["empty_link"]),
        ("[![](https://a.example/x.png)](https://a.example)", ["no_alt", "no_plain_text"]),
        ("[a](https://a.example) ![x](x.png)", ["broken_image"]),
        ("[a](https://a.example/{{ ward|0 }})", ["field_in_link"]),
        ("[a](https://a.example) {{ nope }}", ["unknown_field_in_body"]),
        ("[a](https://a.example) {{ ward }}", ["no_fallback"]),
        ("[a](mailto:x@a.example)", []),
        ("https://a.example/x", []),
    ],
)
def test_findings_about_the_body(body: str, found: list[str]) -> None:
    assert codes(body=body) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("Go [here](https://a.org)", ["vague_link"]),
        ("Go [**Click here** →](https://a.org)", ["vague_link"]),
        ("Vaya [aquí](https://a.org)", ["vague_link"]),
        ("[Sign here](https://a.org)", []),
        ("[![Our clinic](https://a.org/x.png)](https://a.org)", ["no_plain_text"]),
        ("[a](https://)", ["broken_link"]),
        ("[a](https://a..org/)", ["broken_link"]),
        ("<a href='https://two words.org/'>a</a>", ["broken_link"]),
        ("[a](https://BIT.LY/x)", ["shortened_link"]),
        ("COME ON MONDAY AND BRING A FRIEND [a](https://a.org)", ["shouting_body"]),
        ("Come.\n\n# WE MEET ON MONDAY AT NOON\n\n[a](https://a.org)", ["shouting_body"]),
        ("NAMI and STOP meet at City Hall. [a](https://a.org)", []),
        ("LUNES 3 PM [a](https://a.org)", []),
    ],
)
def test_findings_about_links_and_capitals(body: str, found: list[str]) -> None:
    assert codes(body=body) == found


HARD = (
    "Notwithstanding the {{ ward|neighborhood }} administrative determination regarding the "
    "consolidation of behavioral health facilities, the organization respectfully requests "
    "immediate municipal reconsideration. "
)
EASY = "We meet at the clinic on Monday. Bring a friend, {{ first_name|neighbor }}. It is free. "
SIGN = "[Sign the letter](https://a.org)"


def test_how_hard_it_is_to_read_is_said_and_holds_nothing() -> None:
    body = f"## A heading\n\n{HARD * 8}\n\n{SIGN}"
    [finding] = writing.findings("Hi", "", body)
    assert (finding.code, finding.level, finding.line) == ("grade_high", Level.LOOK, 18)
    assert finding.detail.startswith("Notwithstanding the neighborhood administrative")
    assert len(finding.detail) <= 242
    [finding] = writing.findings("Hi", "", f"{EASY * 12}\n\n{SIGN}")
    assert (finding.code, finding.level, finding.line) == ("grade_fine", Level.NOTE, 1)
    assert codes(body=f"{EASY * 3}\n\n{SIGN}") == []


def test_each_language_of_a_letter_is_measured_by_itself() -> None:
    spanish = (
        "Considerando las determinaciones administrativas correspondientes a la consolidación "
        "institucional de los establecimientos, solicitamos su inmediata reconsideración. "
    )
    found = codes(body=f"{EASY * 12}\n\n{spanish * 8}\n\n{SIGN}")
    assert found == ["ease_very_hard", "grade_fine"]


def test_pasted_html_is_measured_too() -> None:
    html = f"<table><tr><td>{HARD * 4}</td><td><p>{HARD * 4}</p></td></tr></table>{'<br>'}"
    found = writing.findings("Hi", "", f"{html}<a href='https://a.org'>Sign it</a>", form="html")
    assert [finding.code for finding in found] == ["grade_high"]


def test_what_must_be_fixed_comes_first_and_names_its_line() -> None:
    first, *rest = writing.findings("Hi", "", "{{ ward }}\n\nline 3 {{ nope }}")
    assert (first.level, first.detail, first.line) == (Level.STOP, "nope", 3)
    assert all(finding.level == Level.LOOK for finding in rest)
