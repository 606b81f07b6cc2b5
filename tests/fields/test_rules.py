"""What may stand under a field: everything that is read is said again and read as the same."""

from __future__ import annotations

from decimal import Decimal

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from campaign.db import Words
from campaign.errors import Invalid
from campaign.fields import rules
from campaign.fields.models import LONGEST, CustomField, FieldKind

CHOICES = [
    {"value": "bus", "words": {"en": "By bus", "es": "En autobús"}},
    {"value": "car", "words": {"en": "By car", "es": "En coche"}},
]


def field(kind: FieldKind) -> CustomField:
    return CustomField(key="one", kind=kind.value, name=Words(en="One"), choices=CHOICES)


@pytest.mark.parametrize(
    ("kind", "typed", "language", "text"),
    [
        (FieldKind.TEXT, "  Local  1 ", "en", "Local  1"),
        (FieldKind.TEXT, " \t", "en", ""),
        (FieldKind.NUMBER, "12.50", "en", "12.5"),
        (FieldKind.NUMBER, "1,250.5", "en", "1250.5"),
        (FieldKind.NUMBER, "1.250,5", "es", "1250.5"),
        (FieldKind.NUMBER, "-0", "en", "0"),
        (FieldKind.NUMBER, "100", "en", "100"),
        (FieldKind.DATE, "2026-02-28", "en", "2026-02-28"),
        (FieldKind.YES_NO, "Sí", "es", "yes"),
        (FieldKind.YES_NO, "FALSE", "en", "no"),
        (FieldKind.CHOICE, "en autobus", "en", "bus"),
        (FieldKind.CHOICE, "car", "en", "car"),
    ],
)
def test_it_is_read_as_it_was_meant(
    app: Flask, kind: FieldKind, typed: str, language: str, text: str
) -> None:
    value = rules.read(field(kind), typed, language)
    assert (value.text if value else "") == text


@pytest.mark.parametrize(
    ("kind", "typed", "said"),
    [
        (FieldKind.TEXT, "x" * (LONGEST + 1), "500"),
        (FieldKind.TEXT, "a\x00b", "characters"),
        (FieldKind.TEXT, "two\nlines", "one line"),
        (FieldKind.NUMBER, "twelve", "number"),
        (FieldKind.NUMBER, "NaN", "large"),
        (FieldKind.NUMBER, "Infinity", "large"),
        (FieldKind.NUMBER, "1e40", "large"),
        (FieldKind.NUMBER, "1.00001", "four digits"),
        (FieldKind.DATE, "2026-02-31", "2026-06-30"),
        (FieldKind.DATE, "31/02/2026", "2026-06-30"),
        (FieldKind.DATE, "0001-01-01", "year"),
        (FieldKind.YES_NO, "perhaps", "yes or no"),
        (FieldKind.CHOICE, "by train", "By bus, By car"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    app: Flask, kind: FieldKind, typed: str, said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        rules.read(field(kind), typed)
    assert said in str(refused.value.message)


@given(st.sampled_from(FieldKind), st.text(max_size=40))
def test_any_text_is_a_value_or_refused(kind: FieldKind, typed: str) -> None:
    try:
        value = rules.read(field(kind), typed)
    except Invalid:
        return
    if value is not None:
        assert rules.read(field(kind), value.text) == value
        assert len(value.text_key) <= LONGEST


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=4))
def test_a_number_comes_back_as_it_was(number: Decimal) -> None:
    value = rules.read(field(FieldKind.NUMBER), f"{number:f}")
    assert value is not None
    assert value.number == number == Decimal(value.text)
