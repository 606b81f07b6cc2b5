"""Merge fields: `{{ first_name|friend }}`, by a small parser of our own.

A field is a name from a fixed list with an optional fallback, and nothing else: no expressions,
no attributes, no template language ever sees what a person wrote. What does not look exactly
like a field (`{{7*7}}`, `{%`, `{0.__class__}`) is text and comes out as it went in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import unescape

from markupsafe import escape

PERSON_FIELDS = ("first_name", "last_name", "postal_code", "ward")
"""What an organizer may put into a message about the person who gets it."""
LINK_FIELDS = ("preferences_url", "unsubscribe_url")
"""Links that mail makes itself for each recipient at the moment of sending."""

_FIELD = re.compile(r"\{\{[ \t]*([a-z][a-z0-9_]{0,39})[ \t]*(?:\|([^{}|\r\n]{0,200}))?\}\}")


@dataclass(frozen=True, slots=True)
class Field:
    """One merge field where it stands. `fallback` serves when the value is missing or blank."""

    name: str
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A field with an unknown name, and where it stands (both from 1)."""

    name: str
    line: int
    column: int


Part = str | Field


@lru_cache(maxsize=256)
def parse(text: str) -> tuple[Part, ...]:
    """`text` as literal pieces and fields, in order. Never raises: what is no field is text."""
    parts: list[Part] = []
    at = 0
    for match in _FIELD.finditer(text):
        if match.start() > at:
            parts.append(text[at : match.start()])
        parts.append(Field(match[1], (match[2] or "").strip()))
        at = match.end()
    if at < len(text):
        parts.append(text[at:])
    return tuple(parts)


def names_in(*texts: str) -> set[str]:
    """The names of all fields in `texts`."""
    return {part.name for text in texts for part in parse(text) if isinstance(part, Field)}


def problems(text: str, known: Iterable[str] = (*PERSON_FIELDS, *LINK_FIELDS)) -> list[Problem]:
    """The fields whose name is not in `known`, in reading order."""
    allowed = frozenset(known)
    found = []
    for match in _FIELD.finditer(text):
        if match[1] not in allowed:
            before = text[: match.start()]
            line_start = before.rfind("\n") + 1
            found.append(Problem(match[1], before.count("\n") + 1, match.start() - line_start + 1))
    return found


def merge_text(text: str, values: Mapping[str, str]) -> str:
    """`text` with its fields filled in, for plain text and subjects."""
    return "".join(_fill(parse(text), values, _plain))


def merge_html(html: str, values: Mapping[str, str]) -> str:
    """`html` with its fields filled in and escaped. A fallback there is HTML already."""
    return "".join(_fill(parse(html), values, in_html))


def value_of(field: Field, values: Mapping[str, str]) -> str:
    """The value for `field`: on one line, never blank while there is a fallback."""
    value = values.get(field.name)
    return " ".join(value.split()) if value and not value.isspace() else ""


def in_html(field: Field, value: str) -> str:
    """What stands for `field` in HTML. The fallback was written as HTML, the value was not."""
    return str(escape(value or unescape(field.fallback)))


def _plain(field: Field, value: str) -> str:
    return value or field.fallback


def _fill(
    parts: tuple[Part, ...], values: Mapping[str, str], shape: Callable[[Field, str], str]
) -> Iterable[str]:
    for part in parts:
        yield part if isinstance(part, str) else shape(part, value_of(part, values))
