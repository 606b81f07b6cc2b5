"""What makes names alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.people import names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("García-López", "garcia lopez"),
        ("O’Brien", "obrien"),
        ("O'Brien", "OBRIEN"),
        ("  José   María ", "jose maria"),
        ("Straße", "STRASSE"),
        ("Ｗｉｄｅ", "wide"),
    ],
)
def test_spellings_of_one_name(one: str, other: str) -> None:
    assert names.fold(one) == names.fold(other)


@given(st.text(max_size=60))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert names.fold(names.fold(text)) == names.fold(text)


@given(st.text(max_size=300), st.text(max_size=300))
def test_keys_fit_their_columns(first: str, last: str) -> None:
    key = names.search_key(first, last)
    assert len(key) <= 420
    assert all(0 < len(word) <= names.WORD_LIMIT for word in names.words(key))
    assert len(names.phone_key(first)) <= 20


@given(st.text(max_size=40))
def test_every_word_of_a_name_is_found_by_its_own_search(text: str) -> None:
    found = names.words(names.search_key(text, ""))
    assert all(names.words(names.fold(word)) == [word] for word in found)


def test_phones_are_kept_from_their_end() -> None:
    assert names.phone_key("+1 (312) 555-0100").startswith(names.phone_key("555-0100"))


def test_a_tag_of_signs_keeps_them() -> None:
    assert names.tag_key("★") == "★"
    assert names.tag_key("  Very   Important ") == names.tag_key("very important")
