"""Letters from their three files: one line, inlined, the same for every recipient."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from markupsafe import Markup
from syrupy.assertion import SnapshotAssertion

from campaign.mail import merge
from campaign.mail.letters import Letter, inline_css, merge_tag, render_letter, tidy_text

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def folder(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A letter of a slice that does not exist, in templates of its own beside the real ones."""
    from jinja2 import ChoiceLoader, FileSystemLoader

    place = tmp_path / "email" / "nowhere" / "hello"
    place.mkdir(parents=True)
    (place / "subject.txt").write_text("Hello {{ name }}\n from {{ place }}\n")
    (place / "body.txt").write_text(
        '{% extends "email/base.txt" %}\n{% block content %}\nDear {{ name }},\n\n\n\n\n'
        "{{ place }} is open.\n{% endblock %}\n"
    )
    (place / "body.html").write_text(
        '{% extends "email/base.html" %}\n{% from "macros/email.html" import button %}\n'
        "{% block content %}<h1>Dear {{ name }}</h1>\n<p>{{ place }} is open.</p>\n"
        '{{ button(url, _("Open the page")) }}{% endblock %}\n'
    )
    loader = ChoiceLoader([FileSystemLoader(tmp_path), app.jinja_loader])  # type: ignore[list-item]
    monkeypatch.setattr(app.jinja_env, "loader", loader)
    app.extensions.pop("letters", None)
    return "nowhere/hello"


def hello(folder: str, language: str = "en", **more: Any) -> Letter:
    context = {
        "name": merge_tag("first_name", "friend"),
        "place": "Woodlawn <b>& co</b>",
        "url": merge_tag("confirm_url"),
        "organization_name": "STOP Coalition",
        "postal_address": "1 Main St, Chicago, IL 60637",
        "crisis_line": "Warmline: 866-359-7953",
        "why": "You get this because you signed.",
        "preferences_url": merge_tag("preferences_url"),
    }
    return render_letter(folder, language, **(context | more))


def test_a_rendered_email(folder: str, snapshot: SnapshotAssertion) -> None:
    letter = hello(folder)
    values = {
        "first_name": 'Rosa "<script>" O\'Neil',
        "confirm_url": "https://campaign.example/confirm/token",
        "preferences_url": "https://campaign.example/me/token",
    }
    assert merge.merge_text(letter.subject, values) == snapshot(name="subject")
    assert merge.merge_text(letter.text, values) == snapshot(name="text")
    assert merge.merge_html(letter.html, values) == snapshot(name="html")


def test_the_subject_is_one_line(folder: str) -> None:
    assert hello(folder).subject == "Hello {{ first_name|friend }} from Woodlawn <b>& co</b>"


def test_text_stays_text_and_html_is_escaped(folder: str) -> None:
    letter = hello(folder)
    assert "Woodlawn <b>& co</b> is open." in letter.text
    assert "Woodlawn &lt;b&gt;&amp; co&lt;/b&gt; is open." in letter.html
    assert 'href="{{ confirm_url }}"' in letter.html


def test_styles_are_inlined_and_dark_mode_stays(folder: str) -> None:
    html = hello(folder).html
    assert html.count("<style") == 1
    assert "prefers-color-scheme: dark" in html
    assert "padding: 14px 28px" in html.split("</style>")[1]


def test_every_tag_is_closed(folder: str) -> None:
    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in {"meta", "br", "img", "hr"}:
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    balance = Balance()
    balance.feed(hello(folder).html)
    assert balance.open == []


def test_the_same_letter_comes_from_the_cache(folder: str) -> None:
    assert hello(folder) is hello(folder)
    assert hello(folder, "es") is not hello(folder)
    assert hello(folder, place=Markup("<i>x</i>")).html != hello(folder, place="<i>x</i>").html


def test_what_cannot_be_a_key_is_rendered_each_time(folder: str) -> None:
    assert hello(folder, things=["a"]) == hello(folder, things=["a"])


@pytest.mark.parametrize("fallback", ["a}b", "a|b", "a\nb", "{{"])
def test_a_fallback_cannot_break_out(fallback: str) -> None:
    with pytest.raises(ValueError, match="braces"):
        merge_tag("first_name", fallback)


def test_a_tag_is_text_in_text_and_escaped_in_html() -> None:
    tag = merge_tag("first_name", "you & yours")
    assert str(tag) == "{{ first_name|you & yours }}"
    assert Markup("<p>%s</p>") % tag == "<p>{{ first_name|you &amp; yours }}</p>"
    assert merge.merge_html(str(Markup("%s") % tag), {}) == "you &amp; yours"
    assert merge.merge_text(str(tag), {}) == "you & yours"


def test_tidy_text() -> None:
    assert tidy_text("\n\na  \n\n\n\nb\n--\nc\n\n") == "a\n\nb\n-- \nc\n"


def test_nothing_is_fetched_while_inlining() -> None:
    html = '<html><head><link rel="stylesheet" href="http://127.0.0.1:9/x.css"></head></html>'
    assert "<html>" in inline_css(html)
