"""Merge fields: what is one, what is not, and that no value can become code or markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.mail.merge import (
    Field,
    Problem,
    in_html,
    merge_html,
    merge_text,
    names_in,
    parse,
    problems,
)

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
names = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
plain = st.text(st.characters(exclude_characters="{}|\r\n", exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    "text",
    [
        "{{7*7}}",
        "{{ 7*7 }}",
        "{% if x %}",
        "{0.__class__}",
        "{{ first_name.upper() }}",
        "{{ config }",
        "{{ FIRST_NAME }}",
        "{{ first_name | a | b }}",
        "{{ first_name|two\nlines }}",
        "{{ __class__ }}",
        "{# comment #}",
        "${first_name}",
    ],
)
def test_what_only_looks_like_a_field_comes_out_as_text(text: str) -> None:
    assert merge_text(text, {"first_name": "Ada", "config": "secret"}) == text
    assert problems(text) == []


def test_a_value_stands_or_its_fallback_does() -> None:
    assert merge_text("Hi {{ first_name|friend }}!", {"first_name": "Ada"}) == "Hi Ada!"
    assert merge_text("Hi {{first_name|friend}}!", {}) == "Hi friend!"
    assert merge_text("Hi {{ first_name|friend }}!", {"first_name": "  "}) == "Hi friend!"
    assert merge_text("Hi {{ first_name }}!", {}) == "Hi !"


def test_a_value_never_brings_a_line_into_a_subject() -> None:
    assert merge_text("Hi {{ first_name }}", {"first_name": "A\r\nBcc: x@y.z"}) == "Hi A Bcc: x@y.z"


def test_values_are_escaped_in_html_and_fallbacks_are_html_already() -> None:
    html = merge_html("<b>{{ first_name|Ms. O&#39;Neil &amp; Co }}</b>", {})
    assert html == "<b>Ms. O&#39;Neil &amp; Co</b>"
    assert merge_html("<b>{{ first_name }}</b>", {"first_name": "<img src=x>"}) == (
        "<b>&lt;img src=x&gt;</b>"
    )


def test_an_unknown_name_is_reported_with_its_place() -> None:
    assert problems("Dear {{ first_name }},\nyour {{ bank_account|x }}") == [
        Problem("bank_account", line=2, column=6)
    ]


@given(anything, names, anything)
def test_a_value_is_never_read_again(before: str, name: str, value: str) -> None:
    """A person who calls herself {{ email }} gets exactly that."""
    text = merge_text(f"{{{{ {name} }}}}", {name: "{{ " + name + " }}"})
    assert text == "{{ " + name + " }}"


@given(anything)
def test_parsing_loses_nothing(text: str) -> None:
    rebuilt = "".join(part if isinstance(part, str) else merge_text("", {}) for part in parse(text))
    if not names_in(text):
        assert rebuilt == text
        assert merge_text(text, {}) == text


@given(names, plain, plain)
def test_every_field_is_found_again(name: str, fallback: str, around: str) -> None:
    parts = parse(f"{around}{{{{ {name}|{fallback} }}}}{around}")
    assert Field(name, fallback.strip()) in parts
    assert names_in(f"{{{{{name}}}}}") == {name}


@given(anything)
def test_no_value_opens_a_tag_or_leaves_an_attribute(value: str) -> None:
    shown = in_html(Field("first_name"), value)
    assert not set("<>\"'") & set(shown)
